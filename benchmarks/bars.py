"""Checks result files against performance targets, called bars.

    python benchmarks/bars.py benchmarks/results

A bar applies to several rows (batch sizes, kinds of masks). It is met if all of these rows reach it, partly met if
only some do, missed if none does, and not measured if there is no such row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from common import PASSES
from plots import load

Entry = dict  # a row or memory entry of a result, with the "simd" level of its run


@dataclass(frozen=True)
class Bar:
    """A limit for a value of all rows that ``about`` selects."""

    name: str
    about: Callable[[Entry], bool]
    value: Callable[[Entry], float]
    least: float | None = None
    most: float | None = None
    aim: float | None = None
    unit: str = "x"

    def reached(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return value >= self.least if self.least is not None else value <= self.most  # type: ignore[operator]

    @property
    def limit(self) -> str:
        """The limit as text."""
        words = f">= {self.least:g}{self.unit}" if self.least is not None else f"<= {self.most:g}{self.unit}"
        return words + (f", aim {self.aim:g}" if self.aim is not None else "")


@dataclass(frozen=True)
class Verdict:
    """Whether the rows reach a bar."""

    bar: Bar
    verdict: str  # met, partly, missed, not measured
    worst: float | None = None
    best: float | None = None
    where: str = ""  # the worst row


def judge(bars: Iterable[Bar], entries: list[Entry]) -> list[Verdict]:
    """One verdict per bar."""
    verdicts = []
    for bar in bars:
        found = sorted(((bar.value(entry), i) for i, entry in enumerate(entries) if bar.about(entry)))
        if not found:
            verdicts.append(Verdict(bar, "not measured"))
            continue
        # The worst value comes first: the smallest of those with a lower limit, the largest otherwise.
        if bar.most is not None:
            found.reverse()
        (worst, index), (best, _) = found[0], found[-1]
        verdict = "met" if bar.reached(worst) else "partly" if bar.reached(best) else "missed"
        verdicts.append(Verdict(bar, verdict, worst, best, _where(entries[index])))
    return verdicts


def _where(entry: Entry) -> str:
    return f"{entry['shape'][0]}x{entry['shape'][-1]} {entry.get('masks', '')}".strip()


def row(op: str, direction: str, baseline: str, device: str, **wanted: object) -> Callable[[Entry], bool]:
    """A selector of comparisons.

    Args:
        op: name of the operator.
        direction: the pass.
        baseline: how the baseline's name starts; "" selects any.
        device: "cpu" or "cuda".
        wanted: values, or tests of values, of other fields; size, faces and batch are read from the shape.
    """

    def picks(entry: Entry) -> bool:
        # The first entry of a shape is the batch, the last the size; the second is the faces of the renderer's rows.
        known = entry | {name: entry["shape"][i] for name, i in (("batch", 0), ("faces", 1), ("size", -1))}
        # Baselines are named with their version or options, so only the start is compared.
        return (
            (entry["op"], entry.get("pass"), entry.get("device")) == (op, direction, device)
            and entry["baseline"].startswith(baseline)
            and all(value(known) if callable(value) else known.get(key) == value for key, value in wanted.items())
        )

    return picks


def ratio(entry: Entry) -> float:
    """How many times faster than the baseline."""
    return entry["ratio"]


def slowdown(entry: Entry) -> float:
    """How many times slower than the baseline."""
    return 1 / entry["ratio"]


def efficiency(entry: Entry) -> float:
    """Speed-up divided by the number of threads."""
    return entry["ratio"] / entry["threads"]


def figures(entry: Entry) -> bool:
    """Whether the masks are figures or their complements."""
    return entry["masks"] in ("inward", "outward")


def large(entry: Entry) -> bool:
    """Whether the batch fills the GPU."""
    return entry["shape"][0] >= 512


# Small images are dominated by the cost of the call, so less is expected there.
OPENCV = {64: 1.0, 128: 1.4, 224: 2.4, 512: 4.0, 1024: 4.5}

# One image: figures, their complements, and one background pixel in a corner.
PRECISE = {"inward": {224: 6.0, 512: 6.0, 1024: 6.0}, "outward": {224: 2.5, 512: 2.2, 1024: 2.2}}
PRECISE["deep"] = {224: 4.0, 512: 4.0, 1024: 4.0}

NOISE = ("sparse", "half", "shallow")

MASK_BARS = [
    *(
        Bar(
            f"components {connectivity} over OpenCV, {name}, {size} px",
            row(
                f"components {connectivity}", "forward", "OpenCV", "cpu", size=size, threads=1, simd="best", masks=kinds
            ),
            ratio,
            least=1.5,
        )
        for connectivity in (8, 4)
        for name, kinds in (("figures", figures), ("noise", lambda entry: entry["masks"] in NOISE))
        for size in (224, 1024)
    ),
    *(
        Bar(
            f"thin {method} over scikit-image, {size} px",
            row(f"thin {method}", "forward", "scikit-image", "cpu", size=size, threads=1, simd="best"),
            ratio,
            least=10.0,
        )
        for method in ("zhang-suen", "guo-hall")
        for size in (64, 224, 1024)
    ),
]

CPU_BARS = [
    *MASK_BARS,
    *(
        Bar(
            f"edt over OpenCV PRECISE, {masks}, {size} px",
            row("edt", "forward", "OpenCV PRECISE", "cpu", size=size, threads=1, simd="best", masks=masks, batch=1),
            ratio,
            least=least,
        )
        for masks, by_size in PRECISE.items()
        for size, least in by_size.items()
    ),
    Bar(
        "edt backward over its forward, 224 px and more",
        row("edt", "backward", "own", "cpu", size=lambda entry: entry["size"] >= 224, threads=1, batch=1),
        slowdown,
        most=2.0,
    ),
    *(
        Bar(
            f"s2d over OpenCV DIST_C, {size} px",
            row("s2d", "forward", "OpenCV", "cpu", size=size, threads=1, simd="best", masks=figures),
            ratio,
            least=least,
        )
        for size, least in OPENCV.items()
    ),
    *(
        Bar(
            f"s2d over SciPy cdt, {size} px",
            row("s2d", "forward", "SciPy", "cpu", size=size, threads=1, simd="best", masks=figures),
            ratio,
            least=8.0,
        )
        for size in OPENCV
        if size >= 128
    ),
    Bar(
        "s2d over the stacked convolution, 224 px, l = 26",
        row("s2d", "forward", "stacked", "cpu", size=224, depth=26, threads=1, simd="best", masks=figures),
        ratio,
        least=200.0,
    ),
    *(
        Bar(
            f"AVX2: s2d over OpenCV DIST_C, {size} px",
            row("s2d", "forward", "OpenCV", "cpu", size=size, threads=1, simd="avx2", masks=figures),
            ratio,
            # Vectors of half the width.
            least=least / 2,
        )
        for size, least in OPENCV.items()
    ),
    *(
        Bar(
            f"s2d in a loop over OpenCV DIST_C, {size} px",
            row("s2d in a loop", "forward", "OpenCV", "cpu", size=size, threads=1, simd="best", masks=figures),
            ratio,
            least=4.0,
        )
        for size in (512, 1024)
    ),
    Bar(
        "s2d in a loop: page faults beyond torch.relu's",
        row("s2d in a loop", "forward", "OpenCV", "cpu", threads=1, masks=figures),
        lambda entry: entry["faults"] - entry["relu_faults"],
        most=0.0,
        unit="",
    ),
    Bar(
        "s2d forward, all cores over one: efficiency",
        # In these rows the baseline is the same operator on one thread.
        row("s2d", "forward", "1 thread", "cpu", size=lambda entry: entry["size"] >= 224, simd="best"),
        efficiency,
        least=0.85,
        unit="",
    ),
]


def milliseconds(entry: Entry) -> float:
    """Milliseconds of one call."""
    return entry["time_us"] / 1e3


def milliseconds_per_image(entry: Entry) -> float:
    """Milliseconds per image of the batch."""
    return milliseconds(entry) / entry["shape"][0]


_AT_224 = {"size": 224, "masks": figures}
# Device time, since a copy has one launch and wall time would compare launches.
_KERNEL = {**_AT_224, "clock": "kernel"}

GPU_BARS = [
    *(
        Bar(
            f"{op} {direction} over a copy, 224 px, B >= 512",
            row(op, direction, "copy", "cuda", batch=large, **_KERNEL),
            slowdown,
            most=most,
            aim=aim,
        )
        for op, direction, most, aim in (
            ("s2d", "forward", 1.3, 1.08),
            ("s2d", "backward", 1.5, 1.1),
            ("d2t", "forward", 1.2, 1.05),
            ("skeleton", "forward", 1.4, 1.15),
            ("chamfer", "forward", 1.8, 1.25),
        )
    ),
    *(
        Bar(
            f"s2d {PASSES[direction]} over stacked conv, l = {steps}, B >= 512",
            row("s2d", direction, "stacked", "cuda", batch=large, depth=steps, **_AT_224),
            ratio,
            least=least,
        )
        for direction, steps, least in (
            ("forward", 26, 50.0),
            ("forward", 112, 150.0),
            ("forward+backward", 26, 40.0),
            ("forward+backward", 112, 40.0),
        )
    ),
    Bar(
        "s2d peak memory over inputs and outputs, B >= 512",
        lambda entry: entry.get("implementation") == "ours" and large(entry) and entry["op"] == "s2d",
        lambda entry: entry["peak_bytes"] / entry["io_bytes"],
        most=1.15,
    ),
    Bar(
        "s2d forward kernel, 224 px, B = 1",
        row("s2d", "forward", "copy", "cuda", batch=1, **_KERNEL),
        lambda entry: entry["time_us"],
        most=10.0,
        aim=5.0,
        unit=" us",
    ),
]

# The shapes of the renderer's rows are images x faces x height x width.
RENDERER_CPU_BARS = [
    *(
        Bar(
            f"m2s {direction} over PyTorch3D, 224 px, 2,454 faces",
            row("m2s", direction, "PyTorch3D", "cpu", size=224, faces=2454, threads=1),
            ratio,
            least=least,
        )
        for direction, least in (("forward", 800.0), ("backward", 2000.0))
    ),
    Bar(
        "m2s fwd+bwd per image, 224 px, 27,420 faces",
        row("m2s", "forward+backward", "", "cpu", size=224, faces=27420, threads=1),
        milliseconds_per_image,
        most=20.0,
        unit=" ms",
    ),
    Bar(
        "m2s, two threads over one",
        row("m2s", "forward+backward", "1 thread", "cpu", threads=2),
        ratio,
        least=1.7,
    ),
    Bar(
        "fit step per image, 112 px, 2,454 faces",
        row("body", "forward", "the whole step", "cpu", size=112, faces=2454, threads=1),
        lambda entry: entry["baseline_us"] / 1e3 / entry["shape"][0],
        most=1.5,
        unit=" ms",
    ),
]

RENDERER_GPU_BARS = [
    Bar(
        "m2s fwd+bwd, 224 px, 13,776 faces, B = 64",
        row("m2s", "forward+backward", "", "cuda", size=224, faces=13776, batch=64),
        milliseconds,
        most=2.0,
        unit=" ms",
    ),
    Bar(
        "fit step, 224 px, B = 16",
        row("step", "forward+backward", "without a graph", "cuda", size=224, batch=16),
        milliseconds,
        most=2.0,
        unit=" ms",
    ),
]


def entries_of(results: Iterable[dict]) -> list[Entry]:
    """All rows and memory entries, each with the SIMD level of its run."""
    return [
        # Defaults for memory entries and for the renderer's rows, which lack these fields.
        {"baseline": "", "masks": "", **entry, "simd": result["meta"].get("simd", "best")}
        for result in results
        for entry in [*result["rows"], *result.get("memory", [])]
    ]


def table(verdicts: list[Verdict]) -> list[str]:
    """The verdicts as lines of text of at most 120 columns."""
    lines = [f"{'bar':50} {'limit':17} {'worst':>8} {'best':>8}  {'verdict':12} worst at B x px"]
    for v in verdicts:
        worst, best = (f"{value:8.2f}" if value is not None else f"{'-':>8}" for value in (v.worst, v.best))
        lines.append(f"{v.bar.name:50} {v.bar.limit:17} {worst} {best}  {v.verdict:12} {v.where}".rstrip())
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent / "results")
    entries = entries_of(load(parser.parse_args().folder).values())
    for name, bars in (("CPU", CPU_BARS + RENDERER_CPU_BARS), ("GPU", GPU_BARS + RENDERER_GPU_BARS)):
        verdicts = judge(bars, entries)
        met = sum(verdict.verdict == "met" for verdict in verdicts)
        print(f"{name}: {met} of {len(verdicts)} bars met", *table(verdicts), "", sep="\n")


if __name__ == "__main__":
    main()
