"""Runs everything that needs a GPU within 8 minutes: tests, benchmarks, sanitizers, profiler.

    python benchmarks/gpu_suite.py --out DIR
    python benchmarks/gpu_suite.py --out DIR --device cpu --quick      the same flow in a minute, without a GPU

It builds nothing and needs no network: topokernels must be installed, or its compiled source tree must be on
PYTHONPATH. Each part runs in a process of its own with a time limit, and its results are written before the next part
starts. DIR receives gpu_suite.json (all rows), gpu_suite.md (their tables), gpu_suite.log (all output), ncu.csv and up
to four plots. The last lines on the terminal are the bars. The exit status is 1 if a part failed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import bars
from common import HEAD, command_line, machine, markdown, title
from plots import load, plot

HERE = Path(__file__).resolve().parent
PLOTTED = ("s2d", "d2t", "topology_loss", "chamfer")
# Few metrics: each group of them makes the profiler replay every kernel.
METRICS = {
    "gpu__time_duration.sum": "time",
    "dram__bytes_read.sum": "read",
    "dram__bytes_write.sum": "written",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "dram %",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "sm %",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy %",
    "launch__registers_per_thread": "registers",
    "launch__shared_mem_per_block": "shared",
}


@dataclass(frozen=True)
class Part:
    """One process of the suite."""

    name: str
    command: list[str]
    seconds: float  # time limit
    environment: dict[str, str] = field(default_factory=dict)
    module: str = "torch"  # which must be installed


@dataclass(frozen=True)
class Outcome:
    """How a part ended: ok, failed, timeout, or left out with the reason."""

    name: str
    status: str
    seconds: float
    last_line: str


def parts(device: str, quick: bool, scratch: Path, out: Path) -> list[Part]:
    """The parts of the suite, the most important first: a suite that is cut short loses the last ones."""

    def benchmark(name: str, seconds: float, options: str, small: str, **others: str) -> Part:
        # Results go to a scratch folder, so that a suite does not overwrite those of the single benchmarks.
        command = [sys.executable, str(HERE / f"bench_{name}.py"), "--device", device, "--out", str(scratch)]
        return Part(name, command + (small if quick else options).split(), seconds, **others)

    def operator(name: str, seconds: float, limit: float = 0.5) -> Part:
        # The shapes of the bars come first, so that a deadline cuts off the others.
        options = f"--sizes 224 64 512 1024 --batches 1024 1 64 --seconds 0.1 --limit {limit} --deadline {seconds - 15}"
        return benchmark(
            name, seconds, options, "--sizes 64 96 --batches 1 4 --masks inward --seconds 0.01 --deadline 10"
        )

    def workload(*prefix: str, options: str) -> list[str]:
        return [*prefix, sys.executable, str(HERE / "workload.py"), "--device", device, *options.split()]

    def sanitizer(tool: str) -> Part:
        command = workload("compute-sanitizer", "--tool", tool, "--error-exitcode", "1", options="--shapes 3x33 1x600")
        # Without the caching allocator every tensor has its own bounds, which memcheck can check.
        return Part(tool, command, 60, {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"})

    # Clocks are not locked, which needs rights that few users have.
    profiler = ["ncu", "--clock-control", "none", "--kernel-name-base", "demangled", "--kernel-name", "regex:topo::"]
    profiler += ["--metrics", ",".join(METRICS), "--csv", "--log-file", str(out / "ncu.csv")]
    # Without PYTHONSAFEPATH the source folder would come first on the path and hide the installed package.
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", str(HERE.parent / "tests/ops")]
    return [
        Part("tests", tests, 120, {"PYTHONSAFEPATH": "1"}),
        operator("s2d", 75, limit=1.5),  # seconds, enough for 112 iterations of the stacked convolution
        operator("d2t", 40),
        operator("topology_loss", 45),
        operator("chamfer", 35),
        benchmark(
            "m2s",
            60,
            "--faces 13776 27420 --batches 64 1 --seconds 0.1",
            "--faces 2454 --batches 1 --size 64 --seconds 0.01",
            module="roma",
        ),
        benchmark(
            "fit_step",
            40,
            "--faces 13776 27420 --batches 16 --sizes 224 --seconds 0.2",
            "--faces 2454 --batches 1 --sizes 56 --seconds 0.01",
            module="roma",
        ),
        Part("workload", workload(options="--shapes 2x33" if quick else "--shapes 3x33 1x600"), 30),
        sanitizer("memcheck"),
        sanitizer("racecheck"),
        Part("ncu", workload(*profiler, options="--shapes 512x224 --modes subgradient"), 50),
    ]


def run(part: Part, limit: float, log: Path) -> Outcome:
    """Run a part for at most ``limit`` seconds and append its output to the log."""
    start = time.perf_counter()
    # A missing tool leaves out its part; the others still run.
    if shutil.which(part.command[0]) is None:
        return Outcome(part.name, "left out", 0.0, f"{part.command[0]} is not on PATH")
    if importlib.util.find_spec(part.module) is None:
        return Outcome(part.name, "left out", 0.0, f"{part.module} is not installed")
    if limit < 5:
        return Outcome(part.name, "left out", 0.0, "no time left")
    with log.open("ab") as output:
        output.write(f"\n=== {part.name}\n".encode())
        # The child writes to the same file: the heading must be there first.
        output.flush()
        # The summary reads only this part's output.
        begin = output.tell()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **part.environment}
        process = subprocess.Popen(
            part.command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=HERE.parent,
            # A group of its own, so that a timeout ends the part's children as well.
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
            status = "ok" if code == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = "timeout"
    text = log.read_bytes()[begin:].decode(errors="replace")
    return Outcome(part.name, status, time.perf_counter() - start, summary(text))


def summary(text: str) -> str:
    """A part's output in one line: the numbers of comparisons, failures and omissions, or else its last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    counts = [f"{sum(line.startswith(f'{word}:') for line in lines)} {word}" for word in ("failed", "left out")]
    if HEAD in lines:
        # Lines of the table are told by the ratio, which ends in x, or in x* for device time.
        return f"{sum('x  ' in line or 'x* ' in line for line in lines)} comparisons, {', '.join(counts)}"
    return lines[-1][:80] if lines else ""


def kernel_table(lines: Iterable[str]) -> list[str]:
    """Ncu's CSV as lines of text, one per launch, since medians over the launches of a kernel would hide the shapes."""
    rows = csv.DictReader(line for line in lines if not line.startswith("=="))
    launches: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        kernel = row["Kernel Name"].removeprefix("void ").replace("topo::", "").replace("(anonymous namespace)::", "")
        # ncu writes one line per metric; those of a launch share an ID.
        values = launches.setdefault((row["ID"], kernel.split("(")[0]), {})
        values[METRICS.get(row["Metric Name"], row["Metric Name"])] = f"{row['Metric Value']} {row['Metric Unit']}"
    names = list(METRICS.values())
    table = [f"| kernel | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for (_, kernel), values in launches.items():
        table.append(f"| {kernel} | {' | '.join(values.get(name, '') for name in names)} |")
    return table if launches else []


def write(out: Path, meta: dict, outcomes: list[Outcome], results: dict[str, dict]) -> list[bars.Verdict]:
    """Write all results so far."""
    cpu, gpu = bars.CPU_BARS + bars.RENDERER_CPU_BARS, bars.GPU_BARS + bars.RENDERER_GPU_BARS
    judged = cpu if meta["gpu"] is None else gpu
    verdicts = bars.judge(judged, bars.entries_of(results.values()))
    # Everything is written again after each part, so that a suite that is killed keeps what it has.
    (out / "gpu_suite.json").write_text(
        json.dumps({"meta": meta, "parts": [asdict(outcome) for outcome in outcomes], "results": results}, indent=1)
    )
    lines = ["| part | status | seconds | last line |", "|---|---|---:|---|"]
    lines += [f"| {o.name} | {o.status} | {o.seconds:.0f} | {o.last_line} |" for o in outcomes]
    lines += ["", "```", *bars.table(verdicts), "```"]
    profile = out / "ncu.csv"
    if profile.exists():
        lines += ["", *kernel_table(profile.read_text().splitlines())]
    for name, result in results.items():
        lines += ["", f"## {name}", "", markdown(result)]
    (out / "gpu_suite.md").write_text("\n".join(lines) + "\n")
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--quick", action="store_true", help="small shapes, to test the suite itself")
    parser.add_argument("--parts", nargs="+", help="run only these parts")
    parser.add_argument("--seconds", type=float, default=450, help="seconds after which the suite ends")
    args = parser.parse_args()
    end = time.perf_counter() + args.seconds
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "gpu_suite.log"
    log.write_text(title(args.device) + "\n")
    print(title(args.device))
    meta = machine(args.device) | {"command": command_line()}
    outcomes: list[Outcome] = []
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        known = parts(args.device, args.quick, scratch, args.out.resolve())
        chosen = [part for part in known if args.parts is None or part.name in args.parts]
        if not chosen or len(chosen) < len(set(args.parts or ())):
            parser.error(f"--parts must be among {', '.join(part.name for part in known)}")
        for part in chosen:
            # No part may exceed what is left of the suite's time.
            outcome = run(part, min(part.seconds, end - time.perf_counter()), log)
            outcomes.append(outcome)
            results = load(scratch)
            for result in results.values():
                # The scratch folder is gone after the suite; without it the command can be repeated.
                result["meta"]["command"] = result["meta"]["command"].replace(f" --out {scratch}", "")
            verdicts = write(args.out, meta, outcomes, results)
            print(f"{outcome.name:14} {outcome.status:9} {outcome.seconds:5.0f} s  {outcome.last_line}", flush=True)
    for name in PLOTTED:
        if name in results:
            plot(results[name], args.out / f"{name}.png")
    print("", *bars.table(verdicts), sep="\n")
    return int(any(outcome.status in ("failed", "timeout") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
