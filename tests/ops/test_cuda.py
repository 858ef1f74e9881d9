"""Tests that need a GPU: graphs, streams, devices, and the absence of synchronisation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from functions import FUNCTIONS, RENDERERS, everything, example, gradient
from torch import Tensor

from topokernels import chamfer, d2t, has_cuda, m2s, topology_loss

pytestmark = pytest.mark.cuda
NAMES = [*FUNCTIONS, *RENDERERS]


@pytest.fixture(autouse=True)
def needs_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if not has_cuda():
        pytest.skip("topokernels was built without CUDA")


def same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_graph_capture(name: str) -> None:
    """Captures forward and backward, and replays them on another input."""
    static = example(name, 60).cuda()
    warmup = torch.cuda.Stream()
    warmup.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warmup):
        everything(name, static)
    torch.cuda.current_stream().wait_stream(warmup)
    weight = _fixed_weight(name, static)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = _step(name, static, weight)
    static.copy_(example(name, 61))
    graph.replay()
    assert same(outputs, _step(name, example(name, 61).cuda(), weight))


def _fixed_weight(name: str, given: Tensor) -> Tensor:
    """The inputs are made before the capture, because a copy from the host cannot be captured."""
    out = (FUNCTIONS | RENDERERS)[name](given)
    return torch.rand_like(out[2] if isinstance(out, tuple) else out)


def _step(name: str, given: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    function = (FUNCTIONS | RENDERERS)[name]
    if name == "rasterize":
        return function(given)
    leaf = given.detach().requires_grad_()
    out = function(leaf)
    return out.detach(), torch.autograd.grad(out, leaf, weight)[0]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_synchronises(name: str) -> None:
    given = example(name, 62).cuda()
    weight = _fixed_weight(name, given)
    _step(name, given, weight)
    torch.cuda.set_sync_debug_mode("error")
    try:
        _step(name, given, weight)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", NAMES)
def test_other_stream(name: str) -> None:
    """The kernels run on the current stream, so they wait for an input that is computed late on it."""
    given = example(name, 63).cuda()
    weight = _fixed_weight(name, given)
    expected = _step(name, given, weight)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        late = torch.zeros_like(given)
        torch.cuda._sleep(20_000_000)
        late.copy_(given)
        result = _step(name, late, weight)
    stream.synchronize()
    assert same(result, expected)


@pytest.mark.parametrize("name", NAMES)
def test_second_device(name: str) -> None:
    """Forward and backward on a device that is not the current one."""
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device only")
    given = example(name, 64)
    second = everything(name, given.to("cuda:1"))
    assert all(result.device == torch.device("cuda:1") for result in second)
    assert same(tuple(result.cpu() for result in second), tuple(r.cpu() for r in everything(name, given.to("cuda:0"))))


@pytest.mark.parametrize("name", [*FUNCTIONS, "m2s"])
def test_gradient_of_the_cpu(name: str) -> None:
    function, given = (FUNCTIONS | RENDERERS)[name], example(name, 65)
    expected = gradient(function, given)
    scale = expected.abs().max()
    torch.testing.assert_close(gradient(function, given.cuda()).cpu() / scale, expected / scale, rtol=0, atol=1e-4)


MIXED: dict[str, tuple[Callable[[Tensor, Tensor], Any], str]] = {
    "d2t": (lambda here, there: d2t(here, there), "d2t: mask must be on the device of distance"),
    "chamfer": (
        lambda here, there: chamfer(here, there, pred_distance=here, target_distance=here),
        "chamfer: target must be on the device of pred",
    ),
    "mask_chamfer": (
        lambda here, there: chamfer(here, there, target_distance=here),
        "mask_chamfer: target must be on the device of pred",
    ),
    "topology_loss": (
        lambda here, there: topology_loss(here, there),
        "mask_chamfer: target must be on the device of pred",
    ),
    "m2s": (
        lambda here, there: m2s(here, torch.tensor([[0, 1, 2]]), 8, sigma=1.0),
        "m2s: faces must be on the device of vertices",
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_devices_are_an_error(name: str) -> None:
    call, text = MIXED[name]
    mask = example("s2d", 66)
    with pytest.raises(RuntimeError, match=text):
        call(mask.cuda()[:, :6, :3], mask[:, :6, :3])


@pytest.mark.parametrize("call", ["s2d(m)", "skeleton(m)", "mask_chamfer(m, m, m)"])
def test_debug_mode_checks_mask_values(call: str, tmp_path: Path) -> None:
    """Runs in processes of their own, because the switch is read once. Inference mode skips Python kernels."""
    code = f"""
import torch, topokernels
m = torch.full((2, 4, 5), 255.0, device="cuda")
with torch.inference_mode():
    torch.ops.topo.{call}
"""
    for value, text in (("1", "must hold finite values in [0, 1]; image 0 of the batch holds 255. Divide"), ("0", "")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"TOPO_DEBUG": value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert text in done.stderr and (done.returncode != 0) == bool(text)


@pytest.mark.parametrize("pool_size", [3, 5])
def test_ridges_of_rounded_distances_are_not_a_number(pool_size: int) -> None:
    distance = torch.arange(300.0).expand(4, 300).cuda()
    ridges = d2t(distance.bfloat16(), torch.ones_like(distance), pool_size=pool_size)
    reach = pool_size // 2
    assert not ridges[:, : 256 - reach].isnan().any() and ridges[:, 256 - reach :].isnan().all()
