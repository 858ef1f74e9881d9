"""Every function at every size, dtype and layout."""

from __future__ import annotations

import pytest
import torch
from functions import FUNCTIONS, KEEPS_DTYPE, PER_IMAGE, gradient
from samples import FLOAT_DTYPES, MASK_DTYPES, blobs


@pytest.mark.parametrize(
    "shape", [(0, 5, 6), (2, 0, 6), (2, 5, 0), (2, 0, 3, 4), (0, 0), (2, 0, 300), (2, 300, 0), (1, 1), (1, 7), (6, 1)]
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_zero_size_and_thin(name: str, shape: tuple[int, ...], device: torch.device) -> None:
    mask = torch.ones(shape, device=device)
    result, grad = FUNCTIONS[name](mask), gradient(FUNCTIONS[name], mask)
    assert result.shape == (shape[:-2] if name in PER_IMAGE else shape)
    assert grad.shape == shape
    assert result.isfinite().all() and grad.isfinite().all()
    if 0 in shape and name in PER_IMAGE:
        assert (result == 0).all()


@pytest.mark.parametrize("dtype", MASK_DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_dtype_gives_the_values_of_float64(name: str, dtype: torch.dtype, device: torch.device) -> None:
    """Depths and sums are small enough for every dtype."""
    masks = blobs(30, 3, 14, 15)
    expected = FUNCTIONS[name](masks)
    result = FUNCTIONS[name](masks.to(device, dtype))
    wide = dtype if dtype.is_floating_point else torch.float32
    if name in PER_IMAGE or name == "edt":
        wide = torch.float64 if dtype == torch.float64 else torch.float32
    if name in KEEPS_DTYPE:
        wide = dtype
    assert result.dtype == wide
    assert torch.equal(result.cpu().double(), expected)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "literal" not in name])
def test_gradients_of_every_dtype_follow_float64(name: str, dtype: torch.dtype, device: torch.device) -> None:
    masks = blobs(31, 3, 14, 15)

    def total(mask: torch.Tensor) -> torch.Tensor:
        return FUNCTIONS[name](mask).sum()

    leaf, wide = masks.to(device, dtype).requires_grad_(), masks.clone().requires_grad_()
    (given,), (expected,) = torch.autograd.grad(total(leaf), leaf), torch.autograd.grad(total(wide), wide)
    assert given.dtype == dtype
    scale, eps = expected.abs().max(), torch.finfo(dtype).eps
    torch.testing.assert_close(given.cpu().double() / scale, expected / scale, rtol=0, atol=8 * eps)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_layout_does_not_show(name: str, device: torch.device) -> None:
    plain = blobs(32, 6, 12, 13).reshape(2, 3, 12, 13).to(device)
    views = {
        "channels_last": plain.to(memory_format=torch.channels_last),
        "transposed": plain.mT.contiguous().mT,
        "sliced": plain.repeat_interleave(2, -1)[..., ::2],
        "offset": torch.cat([plain[:1], plain])[1:],
    }
    for layout, view in views.items():
        assert torch.equal(FUNCTIONS[name](view), FUNCTIONS[name](plain)), layout
        assert torch.equal(gradient(FUNCTIONS[name], view), gradient(FUNCTIONS[name], plain)), layout
    wide = plain[:1].expand(2, 3, 12, 13)
    assert torch.equal(FUNCTIONS[name](wide), FUNCTIONS[name](wide.contiguous()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_images_of_a_batch_do_not_meet(name: str, device: torch.device) -> None:
    masks = blobs(33, 5, 12, 13).to(device)
    together = FUNCTIONS[name](masks)
    assert torch.equal(together, torch.stack([FUNCTIONS[name](mask) for mask in masks]))
