from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import pytest
import torch
from rich.console import Console

from adaptation.reports.installation import examine
from adaptation.support.versions import versions


def shown(width: int = 300) -> str:
    console = Console(file=io.StringIO(), width=width)
    examine(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_names_versions_devices_and_the_free_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMPL_MODELS", raising=False)
    text = shown()
    for wanted in (torch.__version__, "python", "numpy", "SIMD", "cpu", "free body", "SMPL_MODELS"):
        assert wanted in text, wanted
    assert dict(versions(("no-such-package",)))["no-such-package"] == "not installed"


def test_reports_good_and_bad_body_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "models [bold] of [/mine]"  # what would be markup is shown as it is
    (folder / "smpl").mkdir(parents=True)
    (folder / "notes.txt").write_text("no model")
    (folder / "smpl" / "BROKEN.pkl").write_bytes(b"\x80\x02corrupt")
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch '{marker}'",)

    (folder / "EVIL.pkl").write_bytes(pickle.dumps(Attack()))
    import adaptation

    good = Path(adaptation.__file__).parent / "assets" / "free_body.npz"
    (folder / "good.npz").write_bytes(good.read_bytes())
    monkeypatch.setenv("SMPL_MODELS", str(folder))
    lines = [line for line in shown(500).splitlines() if str(folder) in line]
    assert len(lines) == 3
    assert "EVIL.pkl" in lines[0] and "refused" in lines[0]
    assert "good.npz" in lines[1] and "1229 vertices" in lines[1]
    assert "BROKEN.pkl" in lines[2] and "is damaged or not a body model" in lines[2]
    assert not marker.exists()


@pytest.mark.parametrize(("exists", "message"), [(True, "no .pkl or .npz file"), (False, "no such folder")])
def test_folder_without_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exists: bool, message: str) -> None:
    folder = tmp_path / "models"
    if exists:
        folder.mkdir()
    monkeypatch.setenv("SMPL_MODELS", str(folder))
    assert message in shown()
