"""docs/operators.md is correct: its examples run, the tests it names exist, its numbers match the result files."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "operators.md").read_text()


def test_examples() -> None:
    """Runs the examples in order, as one session."""
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, "operators.md", None, 0)
            report: list[str] = []
            doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
            assert not report, "".join(report)
            names |= test.globs
        else:
            exec(block, names)


def test_every_test_it_names_exists() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", DOCUMENT)
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in sources] == []


@pytest.mark.parametrize("name", re.findall(r"!\[[^]]+\]\(([^)]+)\)", DOCUMENT))
def test_pictures(name: str) -> None:
    assert 0 < (ROOT / "docs" / name).stat().st_size < 120_000


def test_speed_is_what_was_measured() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "fill_tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
