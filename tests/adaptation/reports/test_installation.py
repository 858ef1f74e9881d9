from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import pytest
import torch
from rich.console import Console

from adaptation.reports.installation import cuda_text, examine
from adaptation.support.versions import opencv_warning, versions


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


def test_cuda_kernels_and_why_there_are_none() -> None:
    built = {"cuda_toolkit": "13.0.88", "cuda_architectures": ["75-real", "90"], "cuda_missing": None}
    assert cuda_text(built) == "toolkit 13.0.88, sm 75-real, 90"
    missing = {"cuda_toolkit": None, "cuda_architectures": [], "cuda_missing": "nvcc 11.5 (nvcc) is older than 11.8"}
    assert cuda_text(missing) == "no: nvcc 11.5 (nvcc) is older than 11.8"


def test_two_opencvs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert opencv_warning(versions()) is None
    contrib = tmp_path / "opencv_contrib_python-4.10.0.84.dist-info"
    contrib.mkdir()
    (contrib / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-contrib-python\nVersion: 4.10.0.84\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = shown(500)
    (line,) = (line for line in text.splitlines() if line.startswith("cv2 "))
    assert "2 packages share the module cv2" in line
    assert "pip uninstall opencv-python-headless opencv-contrib-python, then" in line
    assert "4.10.0.84" in text
