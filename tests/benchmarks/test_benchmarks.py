"""The helpers of the benchmarks, apart from the times themselves."""

from __future__ import annotations

import pytest
import timing
import torch
from common import HEAD, Contest, Rates, markdown
from gpu_suite import kernel_table, summary
from inputs import KINDS, batch_of, figures, gradient, rotate
from plots import layout, lines, panels

from topokernels import reference, s2d


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 224])
def test_the_stacked_convolution_runs_enough_iterations(kind: str, size: int) -> None:
    batch = batch_of(kind, 3, size, "cpu", 1)
    assert batch.mask.shape == (3, 1, size, size)
    assert s2d(batch.mask).max() <= batch.steps + 1


def test_figures_repeat_in_large_batches() -> None:
    masks = figures(5, 2048, "cpu")
    assert torch.equal(masks[0], masks[2]) and not torch.equal(masks[0], masks[1])


def test_rotation_and_gradient() -> None:
    tensors = [torch.full((2, 2), float(i)) for i in range(3)]
    call = rotate(torch.sum, tensors)
    assert [float(call()) for _ in range(4)] == [0, 4, 8, 0]  # type: ignore[arg-type]
    squares = gradient(lambda x, y: (x * x, x * y), tensors, tensors)
    assert [float(squares().sum()) for _ in range(3)] == [0, 12, 24]  # type: ignore[attr-defined]


def test_gradient_is_that_of_the_reference() -> None:
    mask = figures(1, 40, "cpu") * 0.9
    ours, theirs = (gradient(function, [mask])() for function in (s2d, reference.s2d))
    torch.testing.assert_close(ours, theirs)


def test_compare_takes_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def measure(call: timing.Call, device: str, repeats: int = 1) -> float:
        calls.append(str(call()))
        return {"ours": 1e-3, "baseline": 3e-3}[calls[-1]]

    monkeypatch.setattr(timing, "measure", measure)
    numbers = timing.compare(lambda: "ours", lambda: "baseline", "cpu", 0.0)
    assert calls[-6:] == ["ours", "baseline"] * 3
    assert (numbers.time_us, numbers.baseline_us) == (1000, 3000)
    assert numbers.ratio == numbers.ratio_low == numbers.ratio_high == pytest.approx(3)


def test_expected_time_grows_with_batch_and_cube_of_size() -> None:
    rates, contest = Rates(), Contest("s2d", "forward", print, "stacked conv", print)
    small, large = batch_of("inward", 1, 32, "cpu", 1), batch_of("inward", 4, 64, "cpu", 1)
    assert rates.expected(contest, large) == 0
    rates.note(contest, small, 0.1)
    assert rates.expected(contest, large) == pytest.approx(0.1 * 4 * 8)


def entry(size: int, batch: int, baseline: str, **others: object) -> dict:
    times = {f"{who}_{q}us": 10.0 * batch for who in ("time", "baseline") for q in ("", "low_", "high_")}
    ratios = {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0, "depth": 3, "masks": "inward", "clock": "wall"}
    shape = [batch, 1, size, size]
    return {"op": "s2d", "pass": "forward", "shape": shape, "baseline": baseline, **times, **ratios, **others}


def test_panels_hold_the_batch_with_the_most_rows() -> None:
    rows = [entry(64, 1, "a"), entry(64, 16, "a"), entry(128, 16, "a"), entry(64, 16, "a", clock="kernel")]
    rows += [entry(64, 16, "1 thread"), entry(64, 16, "b"), entry(64, 16, "a", masks="deep")]
    ((key, group),) = panels(rows).items()
    assert key == ("s2d", "forward", "inward")
    assert lines(group) == {
        "topokernels": [(64, 10, 10, 10), (128, 10, 10, 10)],
        "a": [(64, 10, 10, 10), (128, 10, 10, 10)],
        "b": [(64, 10, 10, 10)],
    }


def test_layout_holds_every_panel_once() -> None:
    few = [(op, direction, "inward") for op in "ab" for direction in ("forward", "backward")]
    assert layout(few) == [few[:2], few[2:]]
    many = [("a", direction, kind) for direction in ("forward", "backward") for kind in KINDS]
    assert layout(many) == [many[:4], many[4:]]


def test_markdown_has_a_line_per_row() -> None:
    meta = {"gpu": None, "cpu": "a CPU", "threads": 1, "torch": "2", "commit": "0" * 40, "command": "python x.py"}
    text = markdown({"meta": meta, "rows": [entry(64, 1, "a"), entry(128, 1, "a")]})
    assert text.count("\n| s2d | forward |") == 2


def test_a_loop_keeps_or_drops_its_results() -> None:
    other = torch.zeros(3)
    for kept in (2, 0):
        loop = timing.Loop(lambda: other, kept, other)
        for _ in range(5):
            loop()
        assert len(loop.results) == 2 * kept
        assert timing.faults_per_call(loop, 20) < 20


def test_markdown_lists_the_page_faults_of_loops() -> None:
    meta = {"gpu": None, "cpu": "a CPU", "threads": 1, "torch": "2", "commit": "0" * 40, "command": "python x.py"}
    rows = [entry(64, 1, "a"), entry(64, 1, "a, kept", faults=0.5, relu_faults=1.25)]
    assert markdown({"meta": meta, "rows": rows}).endswith("| s2d | 1 x 1 x 64 x 64 | a, kept | 0.5 | 1.2 |")


def test_summary_of_a_part() -> None:
    row = (
        f"{'s2d':14} fwd     1x1x64x64       inward      8 stacked conv                10.0      100.0    10.00x  9-11"
    )
    assert summary(f"machine\n{HEAD}\n{row}\nleft out: y\n") == "1 comparisons, 0 failed, 1 left out"
    assert summary("...\n3 passed in 2 s\n\n") == "3 passed in 2 s"


def test_kernel_table_of_ncu() -> None:
    head = '"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"'
    name = '"void topo::(anonymous namespace)::s2d_kernel<float>(const T1 *, int)"'
    text = ["==PROF== Connected", head]
    text += [f'"0",{name},"gpu__time_duration.sum","us","96.1"', f'"0",{name},"launch__registers_per_thread","","40"']
    table = kernel_table(text)
    assert len(table) == 3
    assert table[2].startswith("| s2d_kernel<float> | 96.1 us |")
    assert kernel_table(["==ERROR== not permitted"]) == []
