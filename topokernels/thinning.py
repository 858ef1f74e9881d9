"""Thin, connected skeletons of masks."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from topokernels._registration import check_image_shape, check_mask_dtype, register_autograd

ThinMethod = Literal["zhang-suen", "guo-hall"]


def thin(mask: Tensor, *, method: ThinMethod = "zhang-suen", straight_through: bool = False) -> Tensor:
    """Thin skeleton of masks: pixels are removed from the outline until lines of one pixel are left.

    Unlike :func:`topokernels.skeleton`, the result is thin and as connected as the mask.

    Args:
        mask: (..., H, W), bool, uint8 (non-zero is foreground), float16, bfloat16, float32 or
            float64 in [0, 1] (above 0.5 is foreground). Other values raise an error on the CPU. On
            CUDA they are not checked, because a check would synchronise. Pixels outside the image
            are background.
        method: "zhang-suen", with the changes that make it equal to
            ``skimage.morphology.skeletonize(mask, method="zhang")`` of scikit-image 0.26; or
            "guo-hall", which equals ``skimage.morphology.thin(mask)``.
        straight_through: whether floating masks get a gradient: that of the skeleton's pixels,
            unchanged, as if the result were the mask times its skeleton. The result has none otherwise.

    Returns:
        (..., H, W) in the mask's dtype, 0 and 1.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Source: Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", Communications
    of the ACM 27(3), 1984; Guo and Hall, "Parallel thinning with two-subiteration algorithms",
    Communications of the ACM 32(3), 1989, algorithm A1.

    Example:
        >>> import torch
        >>> from topokernels import thin
        >>> thin(torch.ones(3, 5, dtype=torch.uint8), method="guo-hall").tolist()
        [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    if not straight_through or not mask.is_floating_point():
        return torch.ops.topo.thin.default(mask, method=method)
    skeleton = torch.ops.topo.thin.default(mask.detach(), method=method)
    return skeleton + (mask - mask.detach()) * skeleton


@torch.library.register_fake("topo::thin")
def _fake(mask: Tensor, *, method: str = "zhang-suen") -> Tensor:
    # The checks of the compiled kernel, so that code under torch.compile fails with the same message.
    torch._check(
        method in ("zhang-suen", "guo-hall"),
        lambda: f"thin: method must be 'zhang-suen' or 'guo-hall', got '{method}'",
    )
    check_mask_dtype("thin", "mask", mask)
    check_image_shape("thin", "mask", mask)
    return mask.new_empty(mask.shape)


def _setup(*, ctx: Any, output: Tensor, **_: Any) -> None:
    ctx.mark_non_differentiable(output)


def _no_gradient(ctx: Any, grad: Tensor) -> None:
    return None


@torch.library.register_vmap("topo::thin")
def _vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    # Any leading dimensions are images, so the mapped one needs no loop.
    return torch.ops.topo.thin.default(mask.movedim(in_dims[0], 0), **options), 0


register_autograd("thin", _no_gradient, setup_context=_setup)
