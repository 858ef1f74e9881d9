from __future__ import annotations

import pytest
from bars import CPU_BARS, GPU_BARS, RENDERER_CPU_BARS, RENDERER_GPU_BARS, Bar, entries_of, judge, ratio, row, table


def result(*rows: dict, simd: str = "best") -> dict:
    usual = {"op": "s2d", "pass": "forward", "device": "cpu", "masks": "inward", "depth": 26, "threads": 1}
    usual |= {"clock": "wall", "time_us": 10.0, "baseline": "OpenCV DIST_C", "shape": [1, 1, 224, 224]}
    return {"meta": {"simd": simd}, "rows": [usual | row for row in rows], "memory": []}


def verdicts(bars: list[Bar], *results: dict) -> dict[str, str]:
    return {verdict.bar.name: verdict.verdict for verdict in judge(bars, entries_of(results))}


@pytest.mark.parametrize(
    ("ratios", "wanted"), [((3.0, 2.4), "met"), ((3.0, 2.3), "partly"), ((2.0, 2.3), "missed"), ((), "not measured")]
)
def test_worst_row_decides(ratios: tuple[float, ...], wanted: str) -> None:
    bar = Bar("bar", row("s2d", "forward", "OpenCV", "cpu", size=224), ratio, least=2.4)
    assert verdicts([bar], result(*({"ratio": value} for value in ratios))) == {"bar": wanted}


def test_upper_bounds_are_judged_by_the_largest() -> None:
    bar = Bar("bar", row("s2d", "forward", "copy", "cuda"), lambda entry: 1 / entry["ratio"], most=1.3)
    entries = entries_of([result(*({"ratio": v, "device": "cuda", "baseline": "copy, 8 B/px"} for v in (0.9, 0.5)))])
    (verdict,) = judge([bar], entries)
    assert (verdict.verdict, verdict.worst) == ("partly", 2.0)


def test_rows_of_other_levels_batches_and_devices_do_not_count() -> None:
    found = verdicts(CPU_BARS, result({"ratio": 1.3}, simd="avx2"), result({"ratio": 9.0, "device": "cuda"}))
    assert found["AVX2: s2d over OpenCV DIST_C, 224 px"] == "met"
    assert found["s2d over OpenCV DIST_C, 224 px"] == "not measured"
    small = {"device": "cuda", "baseline": "copy, 8 B/px", "clock": "kernel", "ratio": 1.0, "shape": [64, 1, 224, 224]}
    assert set(verdicts(GPU_BARS, result(small)).values()) == {"not measured"}


def test_thread_efficiency_is_speed_up_over_threads() -> None:
    name = "s2d forward, all cores over one: efficiency"
    rows = [{"baseline": "1 thread", "threads": 4, "ratio": value} for value in (3.5, 3.3)]
    assert verdicts(CPU_BARS, result(rows[0]))[name] == "met"
    assert verdicts(CPU_BARS, result(rows[1]))[name] == "missed"


def test_memory() -> None:
    content = result()
    content["memory"] = [
        {"op": "s2d", "shape": [512, 1, 224, 224], "implementation": name, "peak_bytes": peak, "io_bytes": 100}
        for name, peak in (("ours", 110), ("stacked conv, l = 26", 9000))
    ]
    assert verdicts(GPU_BARS, content)["s2d peak memory over inputs and outputs, B >= 512"] == "met"


def test_table_fits_a_terminal() -> None:
    bars = CPU_BARS + GPU_BARS + RENDERER_CPU_BARS + RENDERER_GPU_BARS
    assert len({bar.name for bar in bars}) == len(bars)
    rows = [{"ratio": 12345.6, "shape": [1024, 1, 224, 224], "masks": "outward"}]
    assert max(map(len, table(judge(bars, entries_of([result(*rows)]))))) <= 120
