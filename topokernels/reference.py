"""The operators as stacked convolutions and plain torch: oracles for tests, baselines for benchmarks.

Autograd differentiates each function. ``backward="literal"`` of the operator of the same name
reproduces that gradient.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from topokernels.s2d import result_dtype


def s2d(
    mask: Tensor,
    *,
    iterations: int | None = None,
    kernel_size: int = 3,
    black_border: bool = False,
    fill_holes: bool = False,
) -> Tensor:
    """Iterated thinning with a convolution (Rakesh et al., NeurIPS 2021, eq. 2). ``mask`` (..., H, W)."""
    dtype, mask = result_dtype(mask, iterations, None), _real(mask)
    height, width = mask.shape[-2:]
    steps = max(height, width) - 1 if iterations is None else iterations
    # The paper prints N without its centre, which turns on background pixels whose neighbours are all foreground. With
    # the centre the result is the chessboard distance.
    kernel = mask.new_ones(1, 1, kernel_size, kernel_size)
    if fill_holes:
        kernel[..., kernel_size // 2, kernel_size // 2] = 0
    pad = [kernel_size // 2] * 4
    state = mask.reshape(-1, 1, height, width)
    distance = state
    for _ in range(max(steps, 0)):
        # Pixels outside are 1, so that they do not thin the image at its border, or 0 with a black border.
        padded = F.pad(state, pad, value=0.0 if black_border else 1.0)
        # m = n^2 - 1, or n^2 - 2 without the centre: a binary pixel survives only if its whole window is 1.
        state = F.relu(F.conv2d(padded, kernel) - (kernel.sum() - 1))
        distance = distance + state
    return distance.reshape(mask.shape).to(dtype)


def _real(values: Tensor) -> Tensor:
    """Half precision as float32: it would round counts of pixels, distances above 256, and their sums."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def d2t(distance: Tensor, mask: Tensor, *, pool_size: int = 3) -> Tensor:
    """Ridges of a distance map by max-pooling (eq. 3). Both arguments (..., H, W)."""
    planes = distance.reshape(-1, 1, *distance.shape[-2:])
    # max_pool2d pads with -inf, so pixels outside the image are never the maximum.
    peak = F.max_pool2d(planes, pool_size, stride=1, padding=pool_size // 2)
    # Distances of neighbours differ by at most 1, so this is 1 on a ridge and 0 next to one.
    return F.relu(distance - peak.reshape(distance.shape) + 1) * mask


def chamfer(pred: Tensor, target: Tensor, pred_distance: Tensor, target_distance: Tensor) -> tuple[Tensor, Tensor]:
    """The two masked sums of eq. 5 per image, pull and push, each (...)."""
    pull = (_real(pred_distance) * target).sum((-2, -1))
    push = (_real(target_distance) * pred).sum((-2, -1))
    return pull, push


def topology_loss(pred_mask: Tensor, target_mask: Tensor, *, pull_weight: float = 1.0, **s2d_options: object) -> Tensor:
    """L_T per image (...): the chamfer of the two skeletons."""
    pred = d2t(s2d(pred_mask, **s2d_options), pred_mask)  # type: ignore[arg-type]
    target = d2t(s2d(target_mask, **s2d_options), target_mask)  # type: ignore[arg-type]
    pull, push = chamfer(pred, target, s2d(1 - pred, **s2d_options), s2d(1 - target, **s2d_options))  # type: ignore[arg-type]
    return pull_weight * pull + push


def m2s(
    vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    *,
    sigma: float,
    blur_radius: float | None = None,
    binary: bool = True,
    exact: bool = False,
    window: float | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Silhouettes (B, 1, H, W) by testing every face at every pixel."""
    # At this squared distance the coverage of a single face is 1e-4, as in PyTorch3D.
    radius = math.log(1 / 1e-4 - 1) * sigma if blur_radius is None else blur_radius
    corners = _corners(vertices[..., :2], faces)  # (B, F, 3, 2)
    area = _area(corners)
    kept = area.abs() > 1e-8
    # A face without area would divide by zero, and NaN gradients would survive the masking below.
    corners = torch.where(kept[..., None, None], corners, _UNIT.to(corners))
    start, end = corners, corners.roll(-1, dims=2)
    edge = (end - start)[:, :, :, None, None, :]  # (B, F, 3, 1, 1, 2)
    offset = _pixel_centres(size).to(vertices) - start[:, :, :, None, None, :]
    # Clamped to the edge: beyond its ends the nearest point is a corner.
    along = ((offset * edge).sum(-1) / (edge * edge).sum(-1)).clamp(0, 1)
    squared = (offset - along[..., None] * edge).square().sum(-1).amin(2)  # (B, F, H, W)
    side = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    # The sign of the area makes the test independent of the winding.
    inside = (side * area.sign()[..., None, None, None] >= 0).all(2)
    distance = torch.where(inside, -squared, squared)
    counted = (distance < radius) & kept[..., None, None]
    # log(1 - sigmoid(-d / sigma)) = logsigmoid(d / sigma)
    uncovered = torch.where(counted, F.logsigmoid(distance / sigma), 0).sum(1, keepdim=True)
    coverage = 1 - uncovered.exp()
    if not binary:
        return coverage
    if exact:
        # Centres on an edge count as inside despite rounding. The distance is squared, so this is 1e-6 pixels.
        silhouette = ((distance < 1e-12) & kept[..., None, None]).any(1, keepdim=True)
        through = straight_through(silhouette.to(coverage), coverage)
        return through.detach() + gain * (through - through.detach())
    # Infinite on covered and empty pixels, which only a window of None, infinity, passes.
    logit = torch.logit(coverage.detach())
    passed = gain * (logit.abs() <= (math.inf if window is None else window))
    return (coverage > 0.5).to(coverage) + passed * (coverage - coverage.detach())


def straight_through(silhouette: Tensor, coverage: Tensor) -> Tensor:
    """The values of a binary silhouette, with a gradient that goes to a soft silhouette.

    When the outline moves outward, the silhouette gains a pixel outside it; when it moves inward, it loses a pixel
    inside. The coverage of many small faces changes only outside the outline. With its plain gradient, only the
    possible gains would count, and a fitted body would become too thin or too wide. Each pixel outside the outline
    therefore gets the mean of its own gradient and that of its neighbours inside, which is a central difference.
    The code below is the adjoint of that rule, which autograd transposes: one half of a change of the coverage
    stays on the pixel outside, the other half is shared by its neighbours inside.

    Args:
        silhouette: (B, 1, H, W), the exact silhouette, 0 and 1.
        coverage: (B, 1, H, W), the soft silhouette that receives the gradient.

    Returns:
        The values of ``silhouette``.
    """
    # The centre may be 1: only pixels outside the silhouette read the count, and their own value is 0.
    window = silhouette.new_ones(1, 1, 3, 3)
    neighbours = F.conv2d(silhouette, window, padding=1)  # inside
    # Zero in value, so that all sums below change the gradient only.
    outside = (1 - silhouette) * (coverage - coverage.detach())
    # Pixels farther out have no partner inside and keep their whole gradient.
    shared = torch.where(neighbours > 0, outside / 2, 0)
    return silhouette + (outside - shared) + silhouette * F.conv2d(shared / neighbours.clamp(min=1), window, padding=1)


def rasterize(vertices: Tensor, faces: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest face, barycentrics and depth by testing every face at every pixel.

    A pixel centre within 1e-8 pixels of an edge is inside.
    """
    height, width = size
    corners = _corners(vertices, faces)  # (B, F, 3, 3)
    count = corners.shape[0]
    # Without faces argmin would have nothing to choose from.
    if corners.shape[1] == 0:
        return (
            faces.new_full((count, height, width), -1, dtype=torch.int64),
            vertices.new_zeros(count, height, width, 3),
            vertices.new_full((count, height, width), math.inf),
        )
    area = _area(corners[..., :2])
    kept = area.abs() > 1e-8
    a, b = corners[..., :2].roll(-1, dims=2), corners[..., :2].roll(-2, dims=2)  # opposite edges
    edge = (b - a)[:, :, :, None, None, :]
    offset = _pixel_centres(size).to(vertices) - a[:, :, :, None, None, :]
    side = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    # Signed areas divided by the signed whole: positive inside for both windings.
    weights = side / torch.where(kept, area, 1)[..., None, None, None]  # (B, F, 3, H, W)
    # In units of the weights: a weight is the distance from its edge, times the edge, over the doubled area.
    slack = 1e-8 * edge.norm(dim=-1) / torch.where(kept, area, 1).abs()[..., None, None, None]
    # (B, F, 1, 1, 2), against pixel centres (H, W, 2).
    low, high = (extreme(corners[..., None, None, :2], dim=2) for extreme in (torch.amin, torch.amax))
    # At a sharp corner the slack along both edges reaches far beyond the face, so the box is tested as well.
    beyond = torch.maximum(low - _pixel_centres(size).to(low), _pixel_centres(size).to(low) - high).amax(-1)
    covers = (weights >= -slack).all(2) & kept[..., None, None] & (beyond <= 1e-8)
    # Within the slack a weight may be slightly negative; clamped and normalised, they interpolate inside the face.
    weights = weights.clamp(min=0)
    weights = weights / weights.sum(2, keepdim=True)
    depths = (weights * corners[..., 2, None, None]).sum(2)
    depths = torch.where(covers, depths, math.inf)
    index = depths.argmin(1)  # of equal depths the face with the smallest index
    depth = depths.gather(1, index[:, None])[:, 0]
    # argmin returns index 0 where no face covers the pixel, so such pixels are masked.
    hit = depth < math.inf
    chosen = weights.gather(1, index[:, None, None].expand(-1, 1, 3, -1, -1))[:, 0].movedim(1, -1)
    return torch.where(hit, index, -1), torch.where(hit[..., None], chosen, 0), depth


# Any face with an area: it stands in for one without, whose result is dropped.
_UNIT = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def _corners(vertices: Tensor, faces: Tensor) -> Tensor:
    faces = faces.long().expand(vertices.shape[0], *faces.shape[-2:])
    batch = torch.arange(vertices.shape[0], device=vertices.device)[:, None, None]
    return vertices[batch, faces]


def _area(corners: Tensor) -> Tensor:
    """Doubled signed area of triangles (..., 3, 2)."""
    (x1, y1), (x2, y2) = ((corners[..., k, :] - corners[..., 0, :]).unbind(-1) for k in (1, 2))
    return x1 * y2 - y1 * x2


def _pixel_centres(size: tuple[int, int]) -> Tensor:
    # Exact in float64; the caller casts to its own dtype.
    y, x = (torch.arange(n, dtype=torch.float64) + 0.5 for n in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
