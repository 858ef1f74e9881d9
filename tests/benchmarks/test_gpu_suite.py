from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parents[2] / "benchmarks/gpu_suite.py"


@pytest.mark.slow
def test_whole_suite_without_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, str(SUITE), "--device", "cpu", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + (tmp_path / "gpu_suite.log").read_text()
    assert len(list(tmp_path.iterdir())) <= 8
    content = json.loads((tmp_path / "gpu_suite.json").read_text())
    assert set(content["results"]) >= {"s2d", "d2t", "chamfer", "topology_loss"}
    assert all(result["rows"] for result in content["results"].values())
    assert "s2d over OpenCV DIST_C, 64 px" in done.stdout
