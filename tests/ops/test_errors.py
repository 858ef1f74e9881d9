"""Wrong input raises an error that names operator, argument, expected and actual value; nothing is printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mask_cases import MASK_CASES
from samples import FLOAT_DTYPES
from torch import Tensor

import topokernels
from topokernels import chamfer, d2t, edt, s2d, topology_loss

topo = torch.ops.topo


def mask(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    return torch.ones(shape or (2, 5, 6), dtype=dtype, device=device)


def spoiled(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Three images, the second with one wrong pixel."""
    bad = torch.zeros(3, 5, 6, dtype=dtype)
    bad[1, 4, 5] = value
    return bad


# Each case is a call on a device and a pattern of its error message.
CASES: dict[str, tuple[Callable[[str], Any], str]] = {
    "s2d rank": (
        lambda dev: s2d(mask(5, device=dev)),
        r"s2d: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "s2d scalar": (
        lambda dev: topo.s2d(torch.tensor(1.0, device=dev)),
        r"s2d: mask must have shape \(\.\.\., H, W\), got \(\)",
    ),
    "s2d int64": (
        lambda dev: s2d(mask(dtype=torch.int64, device=dev)),
        r"s2d: mask must be bool, uint8 or floating point, got (Long|torch\.int64)",
    ),
    "s2d complex": (
        lambda dev: topo.s2d(mask(dtype=torch.complex64, device=dev)),
        r"s2d: mask must be bool, uint8 or floating point, got (ComplexFloat|torch\.complex64)",
    ),
    "s2d int8": (
        lambda dev: topo.s2d(mask(dtype=torch.int8, device=dev)),
        r"s2d: mask must be bool, uint8 or floating point, got (Char|torch\.int8)",
    ),
    "s2d even kernel": (
        lambda dev: s2d(mask(device=dev), kernel_size=4),
        r"s2d: kernel_size must be odd and at least 3, got 4",
    ),
    "s2d kernel 1": (
        lambda dev: topo.s2d(mask(device=dev), kernel_size=1),
        r"s2d: kernel_size must be odd and at least 3, got 1",
    ),
    "s2d negative kernel": (
        lambda dev: topo.s2d(mask(device=dev), kernel_size=-3),
        r"s2d: kernel_size must be odd and at least 3, got -3",
    ),
    "s2d negative iterations": (
        lambda dev: s2d(mask(device=dev), iterations=-1),
        r"s2d: iterations must be at least 0 or None, got -1",
    ),
    "s2d unknown backward": (
        lambda dev: s2d(mask(device=dev), backward="exact"),
        r"s2d: backward must be 'literal' or 'subgradient', got 'exact'",
    ),
    "s2d too deep for uint8": (
        lambda dev: s2d(mask(3, 300, device=dev), out_dtype=torch.uint8),
        r"s2d: out_dtype must be .* up to 300 exactly, as torch.float32 does, got (Byte|torch\.uint8)",
    ),
    "s2d too deep for int16": (
        lambda dev: s2d(mask(2, 2, device=dev), iterations=32767, out_dtype=torch.int16),
        r"s2d: out_dtype must be .* up to 32768 exactly, as torch.float32 does, got (Short|torch\.int16)",
    ),
    "s2d too deep for bfloat16": (
        lambda dev: s2d(mask(3, 300, device=dev), out_dtype=torch.bfloat16),
        r"s2d: out_dtype must be .* up to 300 exactly, as torch.float32 does, got (BFloat16|torch\.bfloat16)",
    ),
    "s2d too deep for float16": (
        lambda dev: topo.s2d(mask(2, 2, device=dev), iterations=2048, out_dtype=torch.float16),
        r"s2d: out_dtype must be .* up to 2049 exactly, as torch.float32 does, got (Half|torch\.float16)",
    ),
    "s2d bool result": (
        lambda dev: topo.s2d(mask(device=dev), out_dtype=torch.bool),
        r"s2d: out_dtype must be floating point, uint8, int16 or int32, .*, got (Bool|torch\.bool)",
    ),
    "s2d int64 result": (
        lambda dev: topo.s2d(mask(device=dev), out_dtype=torch.int64),
        r"s2d: out_dtype must be floating point, uint8, int16 or int32, .*, got (Long|torch\.int64)",
    ),
    "s2d too large": (
        lambda dev: s2d(mask(1, 1, device=dev).expand(1, 32769)),
        r"s2d: mask must be at most 32768 x 32768, got \(1, 32769\)",
    ),
    "s2d_backward shape": (
        lambda dev: topo.s2d_backward(mask(2, 5, 7, device=dev), mask(device=dev), None, 3, False, False, "literal"),
        r"s2d_backward: grad must have the shape of mask \(2, 5, 6\), got \(2, 5, 7\)",
    ),
    "s2d_backward bool mask": (
        lambda dev: topo.s2d_backward(mask(device=dev), mask(device=dev) > 0, None, 3, False, False, "literal"),
        r"s2d_backward: mask must be floating point, got (Bool|torch\.bool)",
    ),
    "s2d_backward integer gradient": (
        lambda dev: topo.s2d_backward(mask(device=dev).int(), mask(device=dev), None, 3, False, False, "literal"),
        r"s2d_backward: grad must be floating point, got (Int|torch\.int32)",
    ),
    "s2d_backward mode": (
        lambda dev: topo.s2d_backward(mask(device=dev), mask(device=dev), None, 3, False, False, ""),
        r"s2d_backward: backward must be 'literal' or 'subgradient', got ''",
    ),
    "edt rank": (
        lambda dev: edt(mask(5, device=dev)),
        r"edt: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "edt int64": (
        lambda dev: topo.edt(mask(dtype=torch.int64, device=dev)),
        r"edt: mask must be bool, uint8 or floating point, got (Long|torch\.int64)",
    ),
    "edt too large": (
        lambda dev: edt(mask(1, 1, device=dev).expand(32769, 1)),
        r"edt: mask must be at most 32768 x 32768, got \(32769, 1\)",
    ),
    "edt one spacing": (
        lambda dev: edt(mask(device=dev), sampling=(2.0,)),
        r"edt: sampling must be two numbers \(sy, sx\) or None, got 1",
    ),
    "edt no spacing": (
        lambda dev: edt(mask(device=dev), sampling=(1.0, 0.0)),
        r"edt: sampling must be between 1e-12 and 1e12, got \(1, 0\)",
    ),
    "edt not a number": (
        lambda dev: edt(mask(device=dev), sampling=(float("nan"), 1.0)),
        r"edt: sampling must be between 1e-12 and 1e12, got \(nan, 1\)",
    ),
    "edt_indices rank": (
        lambda dev: topo.edt_indices(mask(5, device=dev)),
        r"edt_indices: mask must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "edt_backward shape": (
        lambda dev: topo.edt_backward(mask(2, 5, 7, device=dev), mask(device=dev), False, False, None, False),
        r"edt_backward: grad must have the shape of mask \(2, 5, 6\), got \(2, 5, 7\)",
    ),
    "edt_backward bool mask": (
        lambda dev: topo.edt_backward(mask(device=dev), mask(device=dev) > 0, False, False, None, False),
        r"edt_backward: mask must be floating point, got (Bool|torch\.bool)",
    ),
    "d2t rank": (
        lambda dev: d2t(mask(5, device=dev), mask(5, device=dev)),
        r"d2t: distance must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "d2t shape": (
        lambda dev: d2t(mask(device=dev), mask(2, 6, 5, device=dev)),
        r"d2t: mask must have the shape of distance \(2, 5, 6\), got \(2, 6, 5\)",
    ),
    "d2t integer distance": (
        lambda dev: d2t(mask(device=dev).int(), mask(device=dev)),
        r"d2t: distance must be floating point, got (Int|torch\.int32)",
    ),
    "d2t integer mask": (
        lambda dev: topo.d2t(mask(device=dev), mask(device=dev).long()),
        r"d2t: mask must be bool, uint8 or floating point, got (Long|torch\.int64)",
    ),
    "d2t even pool": (
        lambda dev: d2t(mask(device=dev), mask(device=dev), pool_size=2),
        r"d2t: pool_size must be odd and at least 3, got 2",
    ),
    "d2t unknown backward": (
        lambda dev: topo.d2t(mask(device=dev), mask(device=dev), backward="none"),
        r"d2t: backward must be 'literal' or 'subgradient', got 'none'",
    ),
    "d2t_backward shape": (
        lambda dev: topo.d2t_backward(
            mask(device=dev),
            mask(device=dev),
            mask(device=dev),
            mask(5, 6, device=dev),
            3,
            "literal",
        ),
        r"d2t_backward: skeleton must have the shape of distance \(2, 5, 6\), got \(5, 6\)",
    ),
    "d2t_backward integer gradient": (
        lambda dev: topo.d2t_backward(mask(device=dev).int(), *[mask(device=dev)] * 3, 3, "literal"),
        r"d2t_backward: grad must be floating point, got (Int|torch\.int32)",
    ),
    "chamfer rank": (
        lambda dev: topo.chamfer(*[mask(5, device=dev)] * 4),
        r"chamfer: pred must have shape \(\.\.\., H, W\), got \(5,\)",
    ),
    "chamfer shape": (
        lambda dev: chamfer(mask(device=dev), mask(5, 6, device=dev)),
        r"chamfer: target must have the shape of pred \(2, 5, 6\), got \(5, 6\)",
    ),
    "chamfer distance shape": (
        lambda dev: chamfer(mask(device=dev), mask(device=dev), target_distance=mask(1, 5, 6, device=dev)),
        r"chamfer: target_distance must have the shape of pred \(2, 5, 6\), got \(1, 5, 6\)",
    ),
    "chamfer integer mask": (
        lambda dev: topo.chamfer(mask(device=dev).long(), *[mask(device=dev)] * 3),
        r"chamfer: pred must be bool, uint8 or floating point, got (Long|torch\.int64)",
    ),
    "chamfer integer distance": (
        lambda dev: topo.chamfer(*[mask(device=dev)] * 3, mask(device=dev).int()),
        r"chamfer: target_distance must be floating point, got (Int|torch\.int32)",
    ),
    "chamfer mixed distances": (
        lambda dev: topo.chamfer(*[mask(device=dev)] * 3, mask(device=dev).double()),
        r"chamfer: target_distance must have the dtype of pred_distance .*, got .*(Double|float64)",
    ),
    "d2t device": (
        lambda dev: d2t(mask(device=dev), mask(device="cpu" if dev == "meta" else "meta")),
        r"d2t: mask must be on the device of distance (cpu|meta|cuda:0), got (cpu|meta)",
    ),
    "chamfer device": (
        lambda dev: chamfer(mask(device=dev), mask(device="cpu" if dev == "meta" else "meta")),
        r"mask_chamfer: target must be on the device of pred (cpu|meta|cuda:0), got (cpu|meta)",
    ),
    "topology_loss shape": (
        lambda dev: topology_loss(mask(device=dev), mask(2, 5, 7, device=dev)),
        r"chamfer: target must have the shape of pred \(2, 5, 6\), got \(2, 5, 7\)",
    ),
}


CASES |= MASK_CASES


@pytest.mark.parametrize("where", ["cpu", "meta"])
@pytest.mark.parametrize("name", CASES)
def test_error_text(name: str, where: str, capfd: pytest.CaptureFixture[str]) -> None:
    call, text = CASES[name]
    with pytest.raises(RuntimeError, match=text):
        call(where)
    assert capfd.readouterr() == ("", "")


@pytest.mark.cuda
@pytest.mark.parametrize("name", CASES)
def test_error_text_on_cuda(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    call, text = CASES[name]
    with pytest.raises(RuntimeError, match=text):
        call("cuda")


def test_missing_cuda_kernels_are_explained(tmp_path: Path) -> None:
    """Runs in a process of its own, because registered kernels cannot be removed."""
    call = """
import torch, topokernels
from topokernels._registration import explain_missing_cuda
explain_missing_cuda()
cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
torch.ops.topo.s2d.default.redispatch(cuda, torch.ones(5, 6))
"""
    if topokernels.has_cuda():
        pytest.skip("the CUDA kernels are here")
    # The source folder would hide the installed package.
    run = subprocess.run([sys.executable, "-c", call], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "RuntimeError: topokernels was installed without CUDA kernels. Install it again where nvcc" in run.stderr


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1.5, -0.1])
def test_mask_values_out_of_range(value: float, dtype: torch.dtype, capfd: pytest.CaptureFixture[str]) -> None:
    bad = spoiled(value, dtype)
    values = rf"must hold finite values in \[0, 1\]; image 1 of the batch holds {str(value)[:3]}"
    text = "mask " + values
    with pytest.raises(RuntimeError, match="s2d: " + text):
        s2d(bad)
    with pytest.raises(RuntimeError, match="s2d: " + text):
        topo.s2d(bad)
    with pytest.raises(RuntimeError, match="s2d_backward: " + text):
        topo.s2d_backward(torch.ones_like(bad), bad, None, 3, False, False, "subgradient")
    with pytest.raises(RuntimeError, match="edt: " + text):
        edt(bad)
    with pytest.raises(RuntimeError, match="edt_indices: " + text):
        topo.edt_indices(bad)
    with pytest.raises(RuntimeError, match="edt_backward: " + text):
        topo.edt_backward(torch.ones_like(bad), bad, False, False, None, False)
    for name in ("connected_components", "components_with_areas", "fill_holes", "largest", "thin"):
        with pytest.raises(RuntimeError, match=f"{name}: {text}"):
            getattr(topo, name)(bad)
    with pytest.raises(RuntimeError, match="morphology: " + text):
        topo.morphology(bad, operation="erode", radius=1.0)
    with pytest.raises(RuntimeError, match="mask_chamfer: pred " + values):
        topology_loss(bad, torch.zeros_like(bad))
    # Here s2d is given the complement of the target.
    with pytest.raises(RuntimeError, match=r"s2d: mask must hold finite values in \[0, 1\]; image 1 of the batch"):
        chamfer(torch.zeros_like(bad), bad)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0, 3.0, 255.0], r"holds 255\. Divide the mask by 255, or threshold it$"),
        (
            [0.0, 1.0, -7.5],
            r"holds -7\.5\. Threshold the mask; logits need a sigmoid",
        ),
        ([-0.0625, 1.0, 1.125], r"holds 1\.125\. Clamp the mask to \[0, 1\]$"),
        ([9.0, float("nan"), 0.0], "holds nan$"),
    ],
)
def test_mask_values_out_of_range_name_a_remedy(values: list[float], text: str) -> None:
    bad = torch.tensor([values])
    for call in (s2d, topo.skeleton, lambda m: topo.mask_chamfer(m, bad, bad)):
        with pytest.raises(RuntimeError, match=text):
            call(bad)


def test_operators_still_work_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="s2d"):
        s2d(spoiled(2.0))
    assert s2d(mask(1, 3)).tolist() == [[3, 3, 3]]


def test_not_a_number_in_a_distance_map_stays_in_its_window() -> None:
    """d2t and chamfer do not check values: NaN causes no crash and affects only the pixels that read it."""
    distance = torch.zeros(1, 7, 9)
    distance[0, 3, 4] = float("nan")
    skeleton = d2t(distance, torch.ones_like(distance))
    assert (skeleton[..., :2] == 1).all()
    leaf = distance.clone().requires_grad_()
    for mode in ("subgradient", "literal"):
        d2t(leaf, torch.ones_like(distance), backward=mode).sum().backward()


def test_unknown_reduction() -> None:
    text = r"reduction must be 'none', 'mean' or 'sum', got 'max'"
    with pytest.raises(ValueError, match=text):
        chamfer(mask(), mask(), reduction="max")
    with pytest.raises(ValueError, match=text):
        topology_loss(mask(), mask(), reduction="max")


@pytest.mark.parametrize("function", [s2d, topo.s2d, topo.edt, topo.d2t, topo.chamfer])
def test_not_a_tensor(function: Callable[..., Any]) -> None:
    with pytest.raises((RuntimeError, TypeError)):
        function([[1, 0]])


def test_sparse_masks_are_refused_not_read() -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        s2d(mask(3, 4).to_sparse())
