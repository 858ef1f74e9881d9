"""What the benchmarks share: inputs, side-by-side timing, and JSON and Markdown of the rows."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import topokernels


@dataclass(frozen=True)
class Row:
    """One comparison: medians in microseconds per call, and the quartiles of the ratio baseline / ours."""

    op: str
    direction: str  # forward, backward, or forward+backward
    shape: tuple[int, ...]
    depth: int
    dtype: str
    device: str
    baseline: str
    time_us: float
    baseline_us: float
    ratio: float
    ratio_low: float
    ratio_high: float


def figures(count: int, size: int, device: str, *, seed: int = 0) -> Tensor:
    """Masks (count, 1, size, size) of people-like figures: capsules for trunk, head and limbs, about a fifth full."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    masks = np.zeros((count, 1, size, size), np.float32)
    for mask in masks:
        cx = 0.5 + rng.uniform(-0.05, 0.05)
        bones = [((cx, 0.3), (cx, 0.55), 0.11), ((cx, 0.16), (cx, 0.18), 0.07)]
        for side in (-1, 1):
            arm, leg = rng.uniform(0.1, 0.3), rng.uniform(0.02, 0.18)
            bones.append(((cx + side * 0.09, 0.3), (cx + side * (0.09 + arm), 0.3 + rng.uniform(0, 0.25)), 0.035))
            bones.append(((cx + side * 0.06, 0.55), (cx + side * (0.06 + leg), 0.92), 0.05))
        for (x0, y0), (x1, y1), radius in bones:
            dx, dy = x1 - x0, y1 - y0
            t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            mask[0] += (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 < radius**2
    return torch.from_numpy((masks > 0).astype(np.float32)).to(device)


def compare(
    ours: Callable[[], object], baseline: Callable[[], object], device: str, seconds: float
) -> tuple[float, ...]:
    """Time two calls in turns, so that a noisy machine disturbs both alike.

    Returns:
        Medians of ours and of the baseline in microseconds, and median and quartiles of their ratio.
    """
    for call in (ours, baseline):
        _time(call, device)
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(pairs) < 5 or (time.perf_counter() < end and len(pairs) < 200):
        pairs.append((_time(ours, device), _time(baseline, device)))
    times = np.array(pairs) * 1e6
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    return (*np.median(times, axis=0).tolist(), float(middle), float(low), float(high))


def _time(call: Callable[[], object], device: str) -> float:
    """Seconds of one call, repeated until it can be measured."""
    repeats = 1
    while True:
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        if device == "cuda":
            torch.cuda.synchronize()
        elapsed = time.perf_counter() - start
        if elapsed > 5e-4 or repeats >= 64:
            return elapsed / repeats
        repeats *= 4


def machine(device: str) -> dict[str, object]:
    """What the figures were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "cpu": _cpu_name(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "build": topokernels.build_info(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.machine()


def show(row: Row) -> None:
    """One line of the table on the terminal."""
    shape = "x".join(map(str, row.shape))
    print(
        f"{row.op:8} {row.direction:17} {shape:16} {row.depth:5d} {row.baseline:16} {row.time_us:11.1f} "
        f"{row.baseline_us:12.1f} {row.ratio:9.2f}x ({row.ratio_low:.2f} to {row.ratio_high:.2f})",
        flush=True,
    )


HEAD = (
    f"{'op':8} {'pass':17} {'shape':16} {'depth':>5} {'baseline':16} {'ours us':>11} {'baseline us':>12} {'faster':>10}"
)


def write(folder: Path, name: str, rows: list[Row], device: str, command: str) -> None:
    """JSON of the rows with the machine, and a Markdown table made from it."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = machine(device) | {"command": command}
    entries = [{("pass" if key == "direction" else key): value for key, value in asdict(row).items()} for row in rows]
    (folder / f"{name}.json").write_text(json.dumps({"meta": meta, "rows": entries}, indent=1) + "\n")
    lines = [
        f"{meta['cpu']}, {meta['threads']} thread(s), torch {meta['torch']}, commit {str(meta['commit'])[:10]}; "
        f"medians of alternating calls, quartiles of their ratio. `{command}`",
        "",
        "| op | pass | shape | depth | baseline | ours, us | baseline, us | faster |",
        "|---|---|---|---:|---|---:|---:|---:|",
    ]
    lines += [
        f"| {r.op} | {r.direction} | {' x '.join(map(str, r.shape))} | {r.depth} | {r.baseline} | {r.time_us:,.1f} "
        f"| {r.baseline_us:,.1f} | {r.ratio:,.2f}x ({r.ratio_low:,.2f} to {r.ratio_high:,.2f}) |"
        for r in rows
    ]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
