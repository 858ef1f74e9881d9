"""Commands that read and write single files."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command, one_line


@pytest.mark.parametrize("program", ["prior", "uap"])
def test_a_file_that_cannot_be_written_is_noticed_first(
    program: str, command: Command, work: Path, tmp_path: Path
) -> None:
    what = ["prior"] if program == "prior" else ["uap", work / "source", "--model", "small"]
    code, _, errors = command(*what, "--out", tmp_path, "--steps", 10**6)
    assert code == 2 and "is a folder; --out must name a file" in one_line(errors)
    (tmp_path / "file").touch()
    code, _, errors = command(*what, "--out", tmp_path / "file" / "out", "--steps", 10**6)
    assert code == 2 and "cannot write" in one_line(errors)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", b"\x93NUMPY\x01\x00"])
def test_files_of_the_wrong_kind(content: bytes, command: Command, work: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    code, _, errors = command("prior", "--poses", tmp_path / "file", "--out", tmp_path / "out")
    assert code == 2 and ("expected poses in an npz or npy" in (line := one_line(errors)) or "damaged" in line)
    degrading = ("degrade", work / "target", "--out", tmp_path / "out", "--delta", tmp_path / "file", "--shift")
    code, _, errors = command(*degrading, "uap-8")
    assert code == 2 and ("expected an npz or npy file" in (line := one_line(errors)) or "file is damaged" in line)
    code, _, errors = command(*degrading, "night")
    assert code == 2 and "--delta is for uap-4, uap-8 and uap-16, not for night" in one_line(errors)
