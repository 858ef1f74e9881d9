"""EDT: exact Euclidean distance map of a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor

from topokernels._mask_operator import register_mask_operator
from topokernels._registration import check_image_shape, check_mask_dtype, register_autograd

Sampling = Sequence[float]


@overload
def edt(
    mask: Tensor,
    *,
    signed: bool = ...,
    squared: bool = ...,
    sampling: Sampling | None = ...,
    black_border: bool = ...,
    return_indices: Literal[False] = ...,
) -> Tensor: ...
@overload
def edt(
    mask: Tensor,
    *,
    signed: bool = ...,
    squared: bool = ...,
    sampling: Sampling | None = ...,
    black_border: bool = ...,
    return_indices: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def edt(
    mask: Tensor,
    *,
    signed: bool = False,
    squared: bool = False,
    sampling: Sampling | None = None,
    black_border: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Exact Euclidean distance map of a mask: from each foreground pixel to the nearest background pixel.

    Distances are between pixel centres; background pixels get 0. The outward map is
    ``edt(1 - mask)``, or ``edt(~mask)`` for a bool mask.

    Args:
        mask: (..., H, W), bool, uint8 (non-zero is foreground), float16, bfloat16, float32 or
            float64 in [0, 1] (above 0.5 is foreground). Other values raise an error on the CPU. On
            CUDA they are not checked, because a check would synchronise.
        signed: whether background pixels get minus their distance to the nearest foreground pixel,
            instead of 0.
        squared: whether to return squared distances, negative where the signed distance is.
        sampling: (sy, sx), the spacing of rows and of columns, positive; the unit of the result.
            None is (1, 1).
        black_border: whether everything outside the image counts as background, so that its
            nearest pixel centres lie one spacing beyond the first and last rows and columns; the
            outside is ignored otherwise. It is never foreground.
        return_indices: whether to return the nearest pixels as well.

    Returns:
        distance: (..., H, W), float64 for float64 masks and float32 for all others. Correctly
            rounded for equal spacings of 1. Where no pixel is to be found, in an image without
            background or, if ``signed``, without foreground, it is the diagonal of the image,
            ``hypot(sy * H, sx * W)``, which exceeds every distance in the image.
        indices: with ``return_indices``, (..., H, W) int64, the flat index ``y * W + x`` of the
            nearest pixel, as :func:`torch.nn.functional.max_pool2d` returns it; background pixels
            that have distance 0 get their own. -1 where no pixel is to be found or the nearest one
            is outside the image. Of equally near pixels the leftmost counts, and of those the
            topmost.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    The gradient is a subgradient: one half of the gradient of a distance goes to the nearest pixel,
    the other half to the last pixel before it on the line to it, on the near side of the outline;
    csrc/edt.h defines it. The absolute sum never exceeds that of the incoming gradient, apart from
    the factors of ``sampling`` and ``squared``. Soft masks get it as if they were binary
    (straight-through). Pixels without a nearest pixel pass no gradient.

    Example:
        >>> import torch
        >>> from topokernels import edt
        >>> edt(torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool))
        tensor([[2.2361, 1.4142, 1.0000],
                [2.0000, 1.0000, 0.0000]])
    """
    distance = torch.ops.topo.edt.default(
        mask, signed=signed, squared=squared, sampling=sampling, black_border=black_border
    )
    if not return_indices:
        return distance
    indices = torch.ops.topo.edt_indices.default(mask, signed=signed, sampling=sampling, black_border=black_border)
    return distance, indices


def _check(op: str, mask: Tensor, sampling: Sampling | None) -> None:
    # The checks of the compiled kernels, so that code under torch.compile fails with the same message.
    check_image_shape(op, "mask", mask)
    if sampling is None:
        return
    torch._check(
        len(sampling) == 2, lambda: f"{op}: sampling must be two numbers (sy, sx) or None, got {len(sampling)}"
    )
    torch._check(
        all(1e-12 <= spacing <= 1e12 for spacing in sampling),
        lambda: f"{op}: sampling must be between 1e-12 and 1e12, got ({sampling[0]:g}, {sampling[1]:g})",
    )


def _result_dtype(mask: Tensor) -> torch.dtype:
    return torch.float64 if mask.dtype == torch.float64 else torch.float32


@torch.library.register_fake("topo::edt")
def _fake(
    mask: Tensor,
    *,
    signed: bool = False,
    squared: bool = False,
    sampling: Sampling | None = None,
    black_border: bool = False,
) -> Tensor:
    check_mask_dtype("edt", "mask", mask)
    _check("edt", mask, sampling)
    return mask.new_empty(mask.shape, dtype=_result_dtype(mask))


@torch.library.register_fake("topo::edt_indices")
def _fake_indices(
    mask: Tensor, *, signed: bool = False, sampling: Sampling | None = None, black_border: bool = False
) -> Tensor:
    check_mask_dtype("edt_indices", "mask", mask)
    _check("edt_indices", mask, sampling)
    return mask.new_empty(mask.shape, dtype=torch.int64)


def _check_options(op: str, mask: Tensor, options: dict[str, Any]) -> None:
    _check(op, mask, options["sampling"])


def _setup_indices(*, ctx: Any, output: Tensor, **_: Any) -> None:
    ctx.mark_non_differentiable(output)


def _no_gradient(ctx: Any, grad: Tensor) -> None:
    return None


register_mask_operator("edt", ("signed", "squared", "sampling", "black_border"), _check_options)
register_autograd("edt_indices", _no_gradient, setup_context=_setup_indices)


@torch.library.register_vmap("topo::edt_indices")
def _vmap_indices(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    # Any leading dimensions are images, so the mapped one needs no loop.
    return torch.ops.topo.edt_indices.default(mask.movedim(in_dims[0], 0), **options), 0
