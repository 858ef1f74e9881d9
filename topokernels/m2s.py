"""M2S: mesh to silhouette."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from topokernels._registration import check_matches, check_same_device, register_autograd

_LIBRARY = torch.library.Library("topo", "IMPL")


def m2s(
    vertices: Tensor,
    faces: Tensor,
    size: int | Sequence[int],
    *,
    sigma: float,
    blur_radius: float | None = None,
    binary: bool = True,
    exact: bool = False,
    window: float | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Silhouettes of triangle meshes: ``A = 1 - prod_j (1 - sigmoid(-d_j / sigma))``.

    d_j is the signed squared distance from the pixel's centre to face j, negative inside, and the
    product runs over the faces with ``d_j < blur_radius``. Faces of both windings count. Faces
    whose doubled area is at most 1e-8 pixel^2 are ignored, and so is depth. A pixel with 1 - A
    below 1e-6 (1e-15 in float64) is treated as covered and passes no gradient.

    Args:
        vertices: (B, V, 2) or (B, V, 3), float32 or float64, in pixels: x right, y down, pixel
            centres at +0.5. z is ignored and has zero gradient.
        faces: (F, 3), or (B, F, 3) for one set per image; int32 or int64, from 0 to V - 1.
        size: (H, W) of the image in pixels, or one number for both.
        sigma: softness of the outline in pixel^2. PyTorch3D's 1e-4 in NDC^2 equals 1.25 pixel^2 at
            224 pixels.
        blur_radius: squared distance in pixel^2 at and beyond which a face is ignored. The default,
            None, is ``log(1 / 1e-4 - 1) * sigma``, at which the face's own coverage is 1e-4.
        binary: whether to return A > 0.5 as 0 and 1, with the gradient of A (straight through), or
            A itself. The next three options need True.
        exact: whether to return the pixels whose centre lies inside a face instead of A > 0.5. The
            latter is wider, because the coverages of the many small faces along an outline add up.
            The gradient of A is then a central difference of the gradient g of the silhouette: g
            for pixels outside, averaged next to the outline with the mean of g over the neighbours
            inside; 0 for pixels inside.
        window: restricts the gradient to the outline, where ``|log(A / (1 - A))| <= window``. With
            one face the logit is ``-d / sigma``, so that ``r ** 2 / sigma`` is a band of r pixels on
            either side. None does not restrict it. Not available with ``exact``.
        gain: a factor for the gradient. A factor of 2 compensates for :func:`topokernels.s2d` of a
            silhouette, whose subgradient puts half of a pixel's gradient on each side of the outline.

    Returns:
        (B, 1, H, W) in the dtype of ``vertices``, in [0, 1]. Zeros for meshes without faces.

    Raises:
        RuntimeError: wrong rank, shape, device, dtype or option; on the CPU also coordinates that
            are not finite or beyond 2^24 pixels, and indices out of range. On CUDA the values are
            not checked, because a check would synchronise: faces with such values are left out.

    Under autocast the operator computes in float32. The gradient is deterministic and cannot be
    differentiated again.

    Source: the soft silhouette of Liu et al., "Soft Rasterizer", ICCV 2019, with PyTorch3D's
    squared distance and blur radius, but without its limit on the faces per pixel.

    Example:
        >>> import torch
        >>> from topokernels import m2s
        >>> triangle = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]], requires_grad=True)
        >>> silhouette = m2s(triangle, torch.tensor([[0, 1, 2]]), 4, sigma=0.1)
        >>> silhouette.detach()[0, 0].int()
        tensor([[1, 1, 1, 0],
                [1, 1, 0, 0],
                [1, 0, 0, 0],
                [0, 0, 0, 0]], dtype=torch.int32)
        >>> silhouette.sum().backward()
        >>> bool(triangle.grad[0, 1, 0] > 0)  # moving that corner outward covers more
        True
    """
    return torch.ops.topo.m2s.default(
        vertices,
        faces,
        image_size(size),
        sigma=sigma,
        blur_radius=blur_radius,
        binary=binary,
        exact=exact,
        window=window,
        gain=gain,
    )


def image_size(size: int | Sequence[int]) -> list[int]:
    """[H, W] from a pair or from one number for both. NumPy integers and symbolic sizes work as well."""
    # Not isinstance(size, int), which NumPy integers and the symbolic sizes of torch.compile are not.
    return list(size) if isinstance(size, Iterable) else [size, size]


def _m2s(
    vertices: Tensor,
    faces: Tensor,
    size: Sequence[int],
    *,
    sigma: float,
    blur_radius: float | None = None,
    binary: bool = True,
    exact: bool = False,
    window: float | None = None,
    gain: float = 1.0,
) -> Tensor:
    plain = not exact and window is None and gain == 1
    torch._check(binary or plain, lambda: "m2s: exact, window and gain need binary=True")
    torch._check(not exact or window is None, lambda: f"m2s: window must be None with exact=True, got {window}")
    torch._check(window is None or window >= 0, lambda: f"m2s: window must be at least 0 or None, got {window}")
    torch._check(math.isfinite(gain), lambda: f"m2s: gain must be finite, got {gain}")
    if exact:
        # One sweep gives both images; the coverage is only needed by the backward.
        silhouette, _ = torch.ops.topo.m2s_silhouette.default(vertices, faces, size, sigma, blur_radius)
        # The difference is exactly zero, so only the gradient is scaled.
        return silhouette if gain == 1 else silhouette.detach() + gain * (silhouette - silhouette.detach())
    # A > 0.5 needs no kernel of its own, since it is a threshold of the coverage.
    coverage = torch.ops.topo.m2s_coverage.default(vertices, faces, size, sigma, blur_radius)
    return _straight_through(coverage, window, gain) if binary else coverage


def _straight_through(coverage: Tensor, window: float | None, gain: float) -> Tensor:
    """``coverage > 0.5``, with ``gain`` times the gradient of the coverage where the window passes it."""
    values = coverage.detach()
    gradient = coverage - values  # its value is exactly zero, its derivative that of the coverage
    if gain != 1:
        gradient = gradient * gain
    if window is not None:
        # |log(A / (1 - A))| <= window, without the logarithm of 0 in covered and empty pixels
        gradient = gradient * ((values - 0.5).abs() <= 0.5 * math.tanh(window / 2))
    return (values > 0.5).to(values.dtype) + gradient


# m2s is composed of m2s_coverage and m2s_silhouette, which have the kernels. Without the second registration, vmap
# would fall back to a loop over the examples.
_LIBRARY.impl("m2s", _m2s, "CompositeImplicitAutograd")
_LIBRARY.impl("m2s", _m2s, "FuncTorchBatchedDecomposition")


def check_mesh(op: str, vertices: Tensor, faces: Tensor, size: Sequence[int], depth: bool) -> None:
    """Fake kernels: the checks of a mesh of the compiled kernels."""
    # Silhouettes ignore z, so projected points fit as they are; the nearest face is undefined without it.
    components = (3,) if depth else (2, 3)
    torch._check(
        vertices.dtype in (torch.float32, torch.float64),
        lambda: f"{op}: vertices must be float32 or float64, got {vertices.dtype}",
    )
    torch._check(
        vertices.dim() == 3 and vertices.shape[2] in components,
        lambda: (
            f"{op}: vertices must have shape (B, V, 3){'' if depth else ' or (B, V, 2)'}, got {tuple(vertices.shape)}"
        ),
    )
    torch._check(
        faces.dtype in (torch.int32, torch.int64),
        lambda: f"{op}: faces must be int32 or int64, got {faces.dtype}",
    )
    torch._check(
        faces.dim() in (2, 3) and faces.shape[-1] == 3,
        lambda: f"{op}: faces must have shape (F, 3) or (B, F, 3), got {tuple(faces.shape)}",
    )
    check_same_device(op, "faces", faces, "vertices", vertices)
    torch._check(len(size) == 2, lambda: f"{op}: size must be (height, width), got {len(size)} values")


@torch.library.register_fake("topo::m2s_coverage")
def _fake(vertices: Tensor, faces: Tensor, size: Sequence[int], sigma: float, blur_radius: float | None) -> Tensor:
    check_mesh("m2s", vertices, faces, size, depth=False)
    # One channel, the layout that masks have in networks and that the other operators take.
    return vertices.new_empty((vertices.shape[0], 1, *size))


@torch.library.register_fake("topo::m2s_silhouette")
def _fake_silhouette(vertices: Tensor, faces: Tensor, size: Sequence[int], *_: Any) -> tuple[Tensor, Tensor]:
    check_mesh("m2s", vertices, faces, size, depth=False)
    shape = (vertices.shape[0], 1, *size)
    return vertices.new_empty(shape), vertices.new_empty(shape)


@torch.library.register_fake("topo::m2s_backward")
def _fake_backward(grad: Tensor, vertices: Tensor, faces: Tensor, coverage: Tensor, *_: Any) -> Tensor:
    check_matches("m2s_backward", "grad", grad, "coverage", coverage)
    check_mesh("m2s_backward", vertices, faces, coverage.shape[2:], depth=False)
    return vertices.new_empty(vertices.shape)


@torch.library.register_fake("topo::m2s_silhouette_backward")
def _fake_silhouette_backward(
    grad: Tensor, vertices: Tensor, faces: Tensor, silhouette: Tensor, coverage: Tensor, *_: Any
) -> Tensor:
    op = "m2s_silhouette_backward"
    check_matches(op, "grad", grad, "coverage", coverage)
    check_mesh(op, vertices, faces, coverage.shape[2:], depth=False)
    check_matches(op, "silhouette", silhouette, "coverage", coverage)
    return vertices.new_empty(vertices.shape)


def _setup_context(*, ctx: Any, inputs: Sequence[Any], output: Tensor, **_: Any) -> None:
    vertices, faces, _size, *ctx.options = inputs
    ctx.save_for_backward(vertices, faces, output)


def _setup_silhouette(*, ctx: Any, inputs: Sequence[Any], output: tuple[Tensor, Tensor], **_: Any) -> None:
    vertices, faces, _size, *ctx.options = inputs
    ctx.save_for_backward(vertices, faces, *output)
    # Only the backward reads the coverage; nothing may send a gradient into it.
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # otherwise torch would allocate zeros for the gradient of the coverage


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad_vertices = torch.ops.topo.m2s_backward.default(grad, *ctx.saved_tensors, *ctx.options)
    return grad_vertices, None, None, None, None


def _silhouette_backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    grad_vertices = torch.ops.topo.m2s_silhouette_backward.default(grad, *ctx.saved_tensors, *ctx.options)
    return grad_vertices, None, None, None, None


def _double_backward(ctx: Any, *grads: Tensor) -> NoReturn:
    raise RuntimeError(
        "m2s: double backward is not implemented. Do not differentiate through a gradient taken with create_graph=True."
    )


# m2s itself needs no registration: autograd differentiates the operators that it is composed of.
register_autograd("m2s_coverage", _backward, setup_context=_setup_context)
register_autograd("m2s_backward", _double_backward)
register_autograd("m2s_silhouette", _silhouette_backward, setup_context=_setup_silhouette)
register_autograd("m2s_silhouette_backward", _double_backward)
# Half precision cannot represent positions within a pixel.
for _device in ("cpu", "cuda"):
    for _op in ("topo::m2s_coverage", "topo::m2s_silhouette"):
        torch.library.register_autocast(_op, _device, torch.float32)


def fold_meshes(info: Any, in_dims: Sequence[int | None], vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """The meshes of a vmap rule as one batch (N * B, ...). Faces stay (F, 3) if all meshes share them."""
    if in_dims[0] is None:
        # Vertices that all examples share are repeated, since each image of the batch needs its own.
        vertices = vertices.expand(info.batch_size, *vertices.shape)
    else:
        vertices = vertices.movedim(in_dims[0], 0)
    mapped, batch = vertices.shape[:2]
    if in_dims[1] is not None:
        faces = faces.movedim(in_dims[1], 0)
        faces = faces if faces.dim() == 4 else faces[:, None]  # shared by the images of each example
    if faces.dim() > 2:
        faces = faces.expand(mapped, batch, *faces.shape[-2:]).flatten(0, 1)
    return vertices.flatten(0, 1), faces


@torch.library.register_vmap("topo::m2s_coverage")
def _vmap(info: Any, in_dims: tuple[Any, ...], vertices: Tensor, faces: Tensor, *options: Any) -> tuple[Tensor, int]:
    folded = fold_meshes(info, in_dims, vertices, faces)
    coverage = torch.ops.topo.m2s_coverage.default(*folded, *options)
    # Back from (N * B, 1, H, W) to (N, B, 1, H, W).
    return coverage.unflatten(0, (info.batch_size, -1)), 0


@torch.library.register_vmap("topo::m2s_silhouette")
def _vmap_silhouette(
    info: Any, in_dims: tuple[Any, ...], vertices: Tensor, faces: Tensor, *options: Any
) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
    folded = fold_meshes(info, in_dims, vertices, faces)
    images = torch.ops.topo.m2s_silhouette.default(*folded, *options)
    return tuple(image.unflatten(0, (info.batch_size, -1)) for image in images), (0, 0)


def _vmap_backward(op: str, info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Tensor, int]:
    """The rule of both backward operators: grad, vertices, faces, one or two images, and two options."""
    grad, vertices, faces, *images, sigma, blur_radius = args
    folded = [
        (image.expand(info.batch_size, *image.shape) if dim is None else image.movedim(dim, 0)).flatten(0, 1)
        # Of in_dims, the entries 1 and 2 belong to the mesh and the last two to the options.
        for image, dim in zip((grad, *images), (in_dims[0], *in_dims[3:-2]), strict=True)
    ]
    vertices, faces = fold_meshes(info, in_dims[1:3], vertices, faces)
    backward = getattr(torch.ops.topo, op).default
    result = backward(folded[0], vertices, faces, *folded[1:], sigma, blur_radius)
    return result.unflatten(0, (info.batch_size, -1)), 0


for _op in ("m2s_backward", "m2s_silhouette_backward"):
    torch.library.register_vmap(f"topo::{_op}", partial(_vmap_backward, _op))
