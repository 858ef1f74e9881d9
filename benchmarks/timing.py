"""Side-by-side timing: two calls alternate, so that a noisy machine disturbs both equally."""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass

import numpy as np
import torch

Call = Callable[[], object]

# Far above the resolution of the clock and the cost of reading it.
SHORTEST = 1e-3  # seconds: a sample repeats its call until it lasts this long
WARMED = 2e-2  # seconds: a call shorter than this runs once untimed before each sample
LAUNCHES = 20  # calls in one captured graph


@dataclass(frozen=True)
class Numbers:
    """Medians and quartiles of two calls, in microseconds per call, and of the ratio baseline / ours."""

    time_us: float
    baseline_us: float
    ratio: float
    ratio_low: float
    ratio_high: float
    time_low_us: float
    time_high_us: float
    baseline_low_us: float
    baseline_high_us: float

    def __iter__(self) -> Iterator[float]:
        return iter(astuple(self))


def compare(ours: Call, baseline: Call, device: str, seconds: float) -> Numbers:
    """Time two calls alternately for about ``seconds``, at least three times each.

    Before each sample a short call runs once untimed. It then finds the caches and the allocator as its own previous
    call left them, as it would in a loop, and not as the other call left them.
    """
    calls = [_warmed(call, device) for call in (ours, baseline)]
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(pairs) < 3 or (time.perf_counter() < end and len(pairs) < 300):
        pairs.append((calls[0](), calls[1]()))
    times = np.array(pairs) * 1e6
    low, middle, high = np.percentile(times, [25, 50, 75], axis=0).tolist()
    # The median of ratios, not the ratio of medians: each pair was measured under the same conditions.
    ratio_low, ratio, ratio_high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75]).tolist()
    return Numbers(*middle, ratio, ratio_low, ratio_high, low[0], high[0], low[1], high[1])


class Loop:
    """A call as a loop makes it, which keeps its last results or drops them and allocates other tensors in between."""

    def __init__(self, call: Call, kept: int, other: torch.Tensor) -> None:
        self.call, self.kept, self.other = call, kept, other
        self.results: deque[object] = deque(maxlen=2 * max(kept, 1))

    def __call__(self) -> None:
        """One call of the loop."""
        # The other tensor is never written to, so that its pages cost neither contestant any time.
        self.results += [self.call(), torch.empty_like(self.other)]
        if not self.kept:
            self.results.clear()


def faults_per_call(loop: Loop, calls: int = 100) -> float:
    """Page faults of a call on the CPU, once the loop has run for a while."""
    for _ in range(calls):
        loop()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(calls):
        loop()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / calls


def measure(call: Call, device: str, repeats: int = 1) -> float:
    """Seconds of one call. On CUDA the time between two events, which includes launches if they are the bottleneck."""
    if device != "cuda":
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats
    # Events, not the host's clock: launches return before the work is done.
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / repeats


def _warmed(call: Call, device: str) -> Callable[[], float]:
    """A function that takes one sample of a call, in seconds. Two calls run first, to estimate how long it lasts."""
    measure(call, device)
    once = measure(call, device)
    # At most 100, so that a call whose estimate was too short does not take seconds.
    repeats = int(np.clip(SHORTEST / max(once, 1e-9), 1, 100))

    def sample() -> float:
        if once < WARMED:
            call()
        return measure(call, device, repeats)

    return sample


def captured(call: Call) -> Call:
    """Replay of a CUDA graph of :data:`LAUNCHES` calls: kernels run back to back, without launches from Python."""
    # A capture must not run on the default stream, and needs a warm-up on another one first.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            call()
    return graph.replay


def compare_kernels(ours: Call, baseline: Call, seconds: float) -> Numbers:
    """Like :func:`compare`, but for captured graphs; the times are per call."""
    numbers = compare(captured(ours), captured(baseline), "cuda", seconds)
    return Numbers(
        *(value if name.startswith("ratio") else value / LAUNCHES for name, value in asdict(numbers).items())
    )


def peak_bytes(call: Call, resident: int) -> int:
    """Peak CUDA memory of a call, including its inputs, which take ``resident`` bytes."""
    call()
    torch.cuda.synchronize()
    # After a first call, whose one-off buffers are not what is measured.
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    del result
    return torch.cuda.max_memory_allocated() - before + resident
