"""Shared by the benchmarks: rows, their table, JSON, Markdown and plot, and the loop over sizes and batches."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from inputs import KINDS, Batch, batch_of, figures
from plots import plot
from timing import Call, Loop, Numbers, compare, compare_kernels, faults_per_call, measure

import topokernels

__all__ = ["HEAD", "Contest", "Memory", "Numbers", "Row"]
__all__ += ["command_line", "compare", "figures", "machine", "main", "show", "write"]


@dataclass(frozen=True)
class Compared:
    """What a comparison is about."""

    op: str
    direction: str  # forward, backward, or forward+backward; "pass" in the JSON
    shape: tuple[int, ...]
    depth: int
    dtype: str
    device: str
    baseline: str


@dataclass(frozen=True)
class Row(Numbers, Compared):  # the fields of Compared come first, then those of Numbers
    """One comparison and its numbers."""

    masks: str = ""
    threads: int = 1
    clock: str = "wall"  # or "kernel": replay of a CUDA graph, device time only
    faults: float | None = None  # page faults per call, for loops on the CPU
    relu_faults: float | None = None  # those of torch.relu in the same loop


@dataclass(frozen=True)
class Memory:
    """Peak CUDA memory of one forward and backward pass; inputs, outputs and gradients take ``io_bytes`` of it."""

    op: str
    shape: tuple[int, ...]
    implementation: str
    peak_bytes: int
    io_bytes: int


@dataclass(frozen=True)
class Contest:
    """Two calls that do the same work."""

    op: str
    direction: str
    ours: Call
    baseline: str
    theirs: Call
    kernel: bool = False  # whether to time a graph replay on CUDA as well
    threads: int | None = None  # None: those of the batch
    steps: int | None = None  # iterations of the stacked convolution; None: those of the batch
    dtype: str = "float32"  # of our masks
    relu: Loop | None = None  # torch.relu, if `ours` is a loop whose page faults are compared with its


@dataclass
class Rates:
    """The time of each baseline's last call, used to leave out calls that would take too long.

    The time of iterative baselines grows with the cube of the size; for other baselines this overestimates the time.
    A batch that does not fill the GPU takes as long as its kernel launches.
    """

    seconds: dict[tuple[str, ...], float] = field(default_factory=dict)
    skipped: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    @staticmethod
    def _work(batch: Batch) -> float:
        count, _, _, size = batch.mask.shape
        # 64 images of 224 pixels: fewer do not fill a GPU, and take as long.
        return max(count * size**3, 64 * 224**3 if batch.device == "cuda" else 0)

    def note(self, contest: Contest, batch: Batch, seconds: float) -> None:
        """Record the time of a call."""
        self.seconds[contest.op, contest.direction, contest.baseline, batch.kind] = seconds / self._work(batch)

    def expected(self, contest: Contest, batch: Batch) -> float:
        """Expected seconds of a call of the baseline on this batch."""
        key = (contest.op, contest.direction, contest.baseline, batch.kind)
        return self.seconds.get(key, 0.0) * self._work(batch)

    def skip(self, contest: Contest, batch: Batch, why: str) -> None:
        """Record that a comparison was left out."""
        count, _, _, size = batch.mask.shape
        places = self.skipped.setdefault((contest.op, PASSES[contest.direction], contest.baseline), [])
        places.append(f"{count}x{size} {batch.kind} ({why})")

    def report(self, limit: float) -> None:
        """Print what was left out."""
        for (op, direction, baseline), places in self.skipped.items():
            text = (
                f"left out: {op} {direction} against {baseline}, calls over {limit:g} s (--limit): {', '.join(places)}"
            )
            print(*textwrap.wrap(text, 120, subsequent_indent="  ", break_long_words=False), sep="\n")


def main(
    name: str,
    description: str | None,
    contests: Callable[[Batch], Iterator[Contest]],
    memory: Callable[[Batch], Iterator[Memory]] | None = None,
    kinds: tuple[str, ...] = KINDS,
) -> None:
    """The command line of a benchmark: every contest at every size, batch and kind of mask."""
    args = _arguments(description, kinds)
    torch.set_num_threads(args.threads)
    start, rates = time.perf_counter(), Rates()
    rows: list[Row] = []
    memories: list[Memory] = []
    failures: list[str] = []
    print(title(args.device))
    print(HEAD)
    # One small call of every baseline gives a first estimate, before anything slow can start.
    for kind in args.masks:
        small = batch_of(kind, 1, 64, args.device, args.threads)
        for contest in contests(small):
            if contest.baseline not in args.without:
                # Untimed: the first call compiles, allocates and fills caches.
                contest.theirs()
                rates.note(contest, small, measure(contest.theirs, args.device))
    for size in args.sizes:
        for count, kind in ((count, kind) for count in args.batches for kind in args.masks):
            # Shallow and deep masks show how the time depends on depth; one batch size is enough for that.
            if kind in ("shallow", "deep") and count != args.batches[0]:
                continue
            if count * size * size > MOST_PIXELS[args.device]:
                print(f"left out: {count} x {size} px, more pixels than {MOST_PIXELS[args.device]:,}")
                continue
            batch = batch_of(kind, count, size, args.device, args.threads)
            for contest in contests(batch):
                if contest.baseline in args.without:
                    continue
                # The deadline ends the size, but what is measured is still written below.
                if time.perf_counter() - start > args.deadline:
                    break
                rows += _rows(contest, batch, rates, failures, args)
            if memory is not None and args.device == "cuda":
                for entry in memory(batch):
                    memories.append(entry)
                    show_memory(entry)
        # Written after every size, so that a benchmark that is killed loses only the last one.
        if args.out:
            write(args.out, name, rows, args.device, command_line(), memories)
        if time.perf_counter() - start > args.deadline:
            print(f"left out: comparisons from {size} px on that did not fit into {args.deadline:.0f} s (--deadline)")
            break
    rates.report(args.limit)
    if args.out:
        stem = args.out / file_stem(name)
        plot(json.loads(stem.with_suffix(".json").read_text()), stem.with_suffix(".png"))
    if failures:
        sys.exit(f"failed: {len(failures)} comparisons, see above")


# The largest number of pixels of a batch: as float32 they take 128 MiB on the CPU and 1 GiB on the GPU.
MOST_PIXELS = {"cpu": 1 << 25, "cuda": 1 << 28}


def _arguments(description: str | None, kinds: tuple[str, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 224, 512, 1024])
    parser.add_argument(
        "--batches", type=int, nargs="+", help="batch sizes; default: 1 16 on the CPU, 1 64 1024 on CUDA"
    )
    parser.add_argument("--masks", nargs="+", default=list(kinds), choices=kinds)
    parser.add_argument(
        "--threads", type=int, default=1, help="number of CPU threads of torch and of multi-threaded peers"
    )
    parser.add_argument("--seconds", type=float, default=0.2, help="duration of one comparison in seconds")
    parser.add_argument("--limit", type=float, default=0.5, help="leave out baselines whose call takes more seconds")
    parser.add_argument("--deadline", type=float, default=110.0, help="seconds after which no new comparison starts")
    parser.add_argument("--without", nargs="+", default=[], metavar="BASELINE", help="baselines to leave out")
    parser.add_argument("--out", type=Path, help="output folder for JSON, Markdown and plot")
    args = parser.parse_args()
    args.batches = args.batches or ([1, 16] if args.device == "cpu" else [1, 64, 1024])
    return args


def _rows(contest: Contest, batch: Batch, rates: Rates, failures: list[str], args: argparse.Namespace) -> Iterator[Row]:
    """Measure one contest, or record why it is left out."""
    where = f"{contest.op} {contest.direction}, {'x'.join(map(str, batch.mask.shape))} {batch.kind}, {contest.baseline}"
    expected = rates.expected(contest, batch)
    if expected > args.limit:
        rates.skip(contest, batch, f"{expected:.1f} s")
        return

    def row(numbers: Numbers, clock: str) -> Row:
        shape, steps = tuple(batch.mask.shape), batch.steps if contest.steps is None else contest.steps
        labels = (contest.op, contest.direction, shape, steps, contest.dtype, batch.device, contest.baseline)
        # Positional in the order of the two base classes, Compared and then Numbers.
        return Row(*labels, *numbers, masks=batch.kind, threads=contest.threads or batch.threads, clock=clock)

    try:
        numbers = compare(contest.ours, contest.theirs, batch.device, args.seconds)
        loops = (contest.ours, contest.relu) if isinstance(contest.ours, Loop) and contest.relu else ()
        # The newest time replaces the estimate, since it comes from the most similar batch.
        rates.note(contest, batch, numbers.baseline_us / 1e6)
        faults = dict(zip(("faults", "relu_faults"), map(faults_per_call, loops), strict=False))
        measured = [replace(row(numbers, "wall"), **faults)]
        if contest.kernel and batch.device == "cuda":
            measured.append(row(compare_kernels(contest.ours, contest.theirs, args.seconds), "kernel"))
    except torch.OutOfMemoryError:
        rates.skip(contest, batch, "out of memory")
        # What the baseline has reserved would otherwise be missing for the next one.
        torch.cuda.empty_cache()
        return
    except RuntimeError as error:  # one failure does not stop the other comparisons
        failures.append(where)
        print(f"failed: {where}: {str(error).splitlines()[0][:60]}")
        return
    for entry in measured:
        show(entry)
        yield entry


def machine(device: str) -> dict[str, object]:
    """The machine and the software versions of a measurement."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        # Read from the environment: the compiled library obeys this variable.
        "simd": os.environ.get("TOPO_SIMD_LEVEL", "best"),
        "date": time.strftime("%Y-%m-%d"),
        "build": topokernels.build_info(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.machine()


def title(device: str) -> str:
    """One line about the machine."""
    meta = machine(device)
    processor = meta["gpu"] or f"{meta['cpu']}, {meta['threads']} thread(s), SIMD {meta['simd']}"
    return f"{processor}, torch {meta['torch']}, commit {str(meta['commit'])[:10]}"


PASSES = {"forward": "fwd", "backward": "bwd", "forward+backward": "fwd+bwd"}
HEAD = (
    f"{'op':14} {'pass':7} {'shape':15} {'masks':8} {'l':>4} {'baseline':22} {'ours us':>9} {'base us':>10} "
    f"{'base/ours':>9}  quartiles"
)


def show(row: Row) -> None:
    """One line of the table on the terminal."""
    # The star marks device time, which leaves out the launches.
    shape, kernel = "x".join(map(str, row.shape)), "*" if row.clock == "kernel" else " "
    print(
        f"{row.op:14} {PASSES[row.direction]:7} {shape:15} {row.masks:8} {row.depth:4d} {row.baseline:22} "
        f"{row.time_us:9.1f} {row.baseline_us:10.1f} {row.ratio:8.2f}x{kernel} "
        f"{row.ratio_low:.2f}-{row.ratio_high:.2f}"
        + ("" if row.faults is None else f"  page faults {row.faults:.1f}, relu {row.relu_faults:.1f}"),
        flush=True,
    )


def show_memory(entry: Memory) -> None:
    """One line about memory."""
    print(
        f"{entry.op:14} {'peak memory':16} {'x'.join(map(str, entry.shape)):15} {entry.implementation:22} "
        f"{entry.peak_bytes / 2**20:10,.1f} MiB, {entry.peak_bytes / entry.io_bytes:.2f}x inputs and outputs",
        flush=True,
    )


def command_line() -> str:
    """The command that is running, as typed in the project's root folder."""
    program, root = Path(sys.argv[0]).resolve(), Path(__file__).resolve().parents[1]
    # Relative, so that results from different machines differ in their numbers only.
    name = str(program.relative_to(root)) if program.is_relative_to(root) else program.name
    return shlex.join(["python", name, *sys.argv[1:]])


def file_stem(name: str) -> str:
    """Name of the result files; runs at a forced SIMD level have a suffix."""
    level = os.environ.get("TOPO_SIMD_LEVEL")
    return f"{name}_{level}" if level else name


def write(
    folder: Path, name: str, rows: list[Row], device: str, command: str, memories: list[Memory] | None = None
) -> None:
    """Write the rows and the machine as JSON, and a Markdown table made from them."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = file_stem(name)
    meta = machine(device) | {"command": command}
    # "pass" is a keyword in Python and cannot be a field.
    entries = [{("pass" if key == "direction" else key): value for key, value in asdict(row).items()} for row in rows]
    result = {"meta": meta, "rows": entries, "memory": [asdict(entry) for entry in memories or []]}
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"{stem}.md").write_text(markdown(result) + "\n")


def markdown(result: dict) -> str:
    """The tables of one result file."""
    meta, rows, memories = result["meta"], result["rows"], result.get("memory", [])
    processor = f"{meta['gpu'] or meta['cpu']}, {meta['threads']} CPU thread(s)"
    lines = [
        f"{processor}, torch {meta['torch']}, commit {str(meta['commit'])[:10]}; medians of alternating calls, "
        f"quartiles of their ratio; l: iterations of the stacked convolution. `{meta['command']}`",
        "",
        "| op | pass | shape | masks | l | baseline | clock | ours, us | baseline, us | baseline / ours |",
        "|---|---|---|---|---:|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {r['op']} | {r['pass']} | {' x '.join(map(str, r['shape']))} | {r['masks']} | {r['depth']} "
        f"| {r['baseline']} | {r['clock']} | {r['time_us']:,.1f} | {r['baseline_us']:,.1f} "
        f"| {r['ratio']:,.2f} ({r['ratio_low']:,.2f} to {r['ratio_high']:,.2f}) |"
        for r in rows
    ]
    if loops := [r for r in rows if r.get("faults") is not None]:
        lines += ["", "| op | shape | baseline | page faults per call | of torch.relu |", "|---|---|---|---:|---:|"]
        lines += [
            f"| {r['op']} | {' x '.join(map(str, r['shape']))} | {r['baseline']} | {r['faults']:,.1f} "
            f"| {r['relu_faults']:,.1f} |"
            for r in loops
        ]
    if memories:
        lines += ["", "| op | shape | implementation | peak, MiB | of inputs and outputs |", "|---|---|---|---:|---:|"]
    lines += [
        f"| {m['op']} | {' x '.join(map(str, m['shape']))} | {m['implementation']} | {m['peak_bytes'] / 2**20:,.1f} "
        f"| {m['peak_bytes'] / m['io_bytes']:,.2f} |"
        for m in memories
    ]
    return "\n".join(lines)
