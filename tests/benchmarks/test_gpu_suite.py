from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_suite import Part, run

SUITE = Path(__file__).parents[2] / "benchmarks/gpu_suite.py"


@pytest.mark.slow
def test_the_flow_without_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, str(SUITE), "--device", "cpu", "--quick", "--out", str(tmp_path)]
    command += ["--parts", "s2d", "topology_loss", "workload", "ncu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + (tmp_path / "gpu_suite.log").read_text()
    assert len(list(tmp_path.iterdir())) <= 8
    content = json.loads((tmp_path / "gpu_suite.json").read_text())
    assert [part["status"] for part in content["parts"][:3]] == ["ok"] * 3
    assert set(content["results"]) == {"s2d", "topology_loss"}
    assert all(result["rows"] for result in content["results"].values())
    assert "s2d over OpenCV DIST_C, 64 px" in done.stdout


def test_a_part_that_hangs_or_dies_costs_no_other(tmp_path: Path) -> None:
    python, log = sys.executable, tmp_path / "log"
    log.write_text("")
    hangs = Part("hangs", [python, "-c", "print('before', flush=True); import time; time.sleep(60)"], 60)
    assert run(hangs, 5.0, log).status == "timeout"
    dies = run(Part("dies", [python, "-c", "import os; print('alive', flush=True); os.abort()"], 60), 60, log)
    assert (dies.status, dies.last_line) == ("failed", "alive")
    assert run(Part("absent", ["no-such-tool"], 60), 60, log).status == "left out"
    assert run(Part("absent", [python], 60, module="no_such_module"), 60, log).status == "left out"
    assert run(Part("late", [python, "-c", ""], 60), 1.0, log).last_line == "no time left"
    assert "before" in log.read_text()
