"""A body as capsules, and capsules as spheres: the geometry of SMPLify's interpenetration term.

As in the paper (Bogo et al., ECCV 2016, section 3.2), each part of the body is a capsule whose length and radius are
linear in the shape coefficients, by a regression on capsules that were fitted to bodies of many shapes. Spheres of its
radius lie along its axis and move with the part.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL

# Parts as groups of joints; a part moves with the first one, and is joined to the part of that joint's parent.
PARTS: dict[str, tuple[str, ...]] = {
    "hips": ("pelvis",),
    "belly": ("spine1", "spine2"),
    "chest": ("spine3", "left_collar", "right_collar"),
    "head": ("head", "neck"),
    **{
        f"{side}_{part}": tuple(f"{side}_{joint}" for joint in joints)
        for side in ("left", "right")
        for part, joints in {
            "thigh": ("hip",),
            "shin": ("knee",),
            "foot": ("ankle", "foot"),
            "upper_arm": ("shoulder",),
            "forearm": ("elbow",),
            "hand": ("wrist", "hand"),
        }.items()
    },
}
_TRUNK = ("hips", "belly", "chest")  # wider than deep: their capsules lie across, as in the public code
_EXAMPLES = 200  # bodies to which capsules are fitted; as many as 20 for each coefficient
_SPACING = 2.0  # greatest distance of neighbouring spheres, in radii, as in the public code
# Parts that reach others. As in the public code, the others are not compared with each other.
_REACHING = ("forearm", "hand", "shin", "foot")
_APART = 1.0  # spheres of different parts can collide if at rest they are this far apart, in sums of their radii


@dataclass(frozen=True)
class Spheres:
    """M spheres of each of B bodies.

    Attributes:
        centres: (B, M, 3) metres, in the axes of the bodies.
        radii: (B, M) metres.
    """

    centres: Tensor
    radii: Tensor


class Capsules(torch.nn.Module):
    """The capsules of a body model.

    Args:
        body: body model with SMPL's joints.

    Attributes:
        pairs: (2, P) indices of spheres that must not interpenetrate: those of parts that are not joined, and that do
            not touch in the rest pose of the mean body.
        part: (M,) index in `PARTS` of each sphere.
    """

    joint: Tensor
    part: Tensor
    along: Tensor
    axes: Tensor
    offsets: Tensor
    sizes: Tensor
    pairs: Tensor

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._joints = [SMPL.joints.index(names[0]) for names in PARTS.values()]
        # On the CPU: a small regression, done once.
        model = body.cpu() if body.faces.is_cuda else body
        fitted = _fit(model, self._joints)
        half, radius = fitted.sizes[:, :, -1]
        # Spheres at most _SPACING radii apart, both ends included.
        counts = [2 + int(2 * float(h) / (_SPACING * float(r))) for h, r in zip(half, radius, strict=True)]
        part = torch.cat([torch.full((count,), number) for number, count in enumerate(counts)])
        along = torch.cat([torch.linspace(-1, 1, count) for count in counts])
        self.register_buffer("joint", torch.tensor(self._joints), persistent=False)
        self.register_buffer("part", part, persistent=False)
        self.register_buffer("along", along, persistent=False)
        self.register_buffer("axes", fitted.axes, persistent=False)
        self.register_buffer("offsets", fitted.offsets, persistent=False)
        self.register_buffer("sizes", fitted.sizes, persistent=False)
        rest = torch.eye(3).expand(1, model.joint_count, 3, 3)
        shape = model.mean_shape(1)
        spheres = self(rest, model.rest_joints(shape), shape)
        self.register_buffer("pairs", _colliding(spheres, part, self._joints, model.tree), persistent=False)
        self.to(body.faces.device)

    def forward(self, axes: Tensor, joints: Tensor, betas: Tensor) -> Spheres:
        """Return the spheres of posed bodies; differentiable in all arguments.

        Args:
            axes: (B, J, 3, 3) axes of the joints, as `Body.frames` returns them.
            joints: (B, J, 3) posed joints, metres.
            betas: (B, K) shape coefficients.
        """
        shape = torch.cat([betas, torch.ones_like(betas[:, :1])], dim=1)
        half, radius = (shape @ size.T for size in self.sizes)  # (B, C) each
        # In the part's own axes: the middle of the capsule, and the way from there to a sphere.
        middle = torch.einsum("bk,kci->bci", shape, self.offsets)[:, self.part]
        way = (self.along * half[:, self.part])[..., None] * self.axes[self.part]
        place = self.joint[self.part]
        centres = joints[:, place] + (axes[:, place] @ (middle + way)[..., None]).squeeze(-1)
        return Spheres(centres, radius[:, self.part])


def interpenetration(spheres: Spheres, pairs: Tensor, tightness: float) -> Tensor:
    """Compute SMPLify's interpenetration E_sp (eq. 7): sum of exp(-d^2 / (sigma_i^2 + sigma_j^2)) over pairs.

    It is the overlap of two isotropic Gaussians at the spheres' centres, with sigma proportional to the radius.

    Args:
        spheres: M spheres of B bodies.
        pairs: (2, P) indices of the spheres that must not interpenetrate.
        tightness: sigma as a fraction of the radius.

    Returns:
        (B,) from 0, for parts far apart, to P.
    """
    centres, count = spheres.centres, spheres.centres.shape[1]
    flags = centres.new_zeros(count, count)
    flags[pairs[0], pairs[1]] = 1
    # All distances from some spheres to all in one product, which is faster than picking the pairs.
    rows = flags.any(1).nonzero()[:, 0]
    length = centres.square().sum(2)
    squares = length[:, rows, None] + length[:, None] - 2 * centres[:, rows] @ centres.mT
    sigmas = (tightness * spheres.radii).square()
    overlap = (-squares / (sigmas[:, rows, None] + sigmas[:, None])).exp()
    return overlap.flatten(1) @ flags[rows].flatten()


@dataclass(frozen=True)
class _Fitted:
    """C capsules, linear in the K shape coefficients and a last 1: directions, middles and sizes."""

    axes: Tensor  # (C, 3) directions at rest
    offsets: Tensor  # (K + 1, C, 3) from the joint to the middle of the capsule, metres
    sizes: Tensor  # (2, C, K + 1) half the length of the axis, and the radius, metres


@torch.no_grad()
def _fit(body: Body, joints: list[int]) -> _Fitted:
    groups = [[SMPL.joints.index(name) for name in names] for names in PARTS.values()]
    # A vertex belongs to the part whose joints move it most.
    shares = torch.stack([body.skinning_weights[:, group].sum(1) for group in groups], 1)
    owner = shares.argmax(1)
    betas = torch.randn(_EXAMPLES, body.shape_count, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
    shape = torch.cat([betas, torch.ones(_EXAMPLES, 1)], 1).to(body.skinning_weights)
    vertices, rest = body.rest_vertices(shape[:, :-1]), body.rest_joints(shape[:, :-1])
    mean = body.rest_vertices(body.mean_shape(1))[0]
    axes, offsets, sizes = [], [], []
    for number, (name, joint) in enumerate(zip(PARTS, joints, strict=True)):
        mine = owner == number
        axis = mean.new_tensor([1.0, 0.0, 0.0]) if name in _TRUNK else _longest(mean[mine])
        points = vertices[:, mine]
        middle, half, radius = _capsule(points, axis)
        axes.append(axis)
        offsets.append(torch.linalg.lstsq(shape, middle - rest[:, joint]).solution)
        sizes.append(torch.linalg.lstsq(shape, torch.stack([half, radius], 1)).solution.T)
    return _Fitted(torch.stack(axes), torch.stack(offsets, 1), torch.stack(sizes, 1))


def _longest(points: Tensor) -> Tensor:
    """Return the direction (3,) along which points (N, 3) are spread most."""
    return torch.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]


def _capsule(points: Tensor, axis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit capsules with a given axis to points (B, N, 3): middles (B, 3), half lengths (B,) and radii (B,)."""
    along = points @ axis
    low, high = along.amin(1), along.amax(1)
    across = points - along[..., None] * axis
    centre = across.mean(1)
    # The mean distance from the axis: the capsule then has about the part's thickness.
    radius = (across - centre[:, None]).norm(dim=2).mean(1)
    half = ((high - low) / 2 - radius).clamp(min=0)
    return centre + ((high + low) / 2)[:, None] * axis, half, radius


def _colliding(spheres: Spheres, part: Tensor, joints: list[int], tree: tuple[int, ...]) -> Tensor:
    """Return the pairs (2, P) of spheres that must not interpenetrate."""
    groups = [[SMPL.joints.index(name) for name in names] for names in PARTS.values()]
    part_of = {joint: number for number, group in enumerate(groups) for joint in group}
    above = [part_of.get(tree[joint], -1) for joint in joints]
    joined = torch.eye(len(joints), dtype=torch.bool)
    for number, parent in enumerate(above):
        if parent >= 0:
            joined[number, parent] = joined[parent, number] = True
    away = torch.cdist(spheres.centres[0], spheres.centres[0])
    reach = _APART * (spheres.radii[0][:, None] + spheres.radii[0])
    reaching = torch.tensor([name.endswith(_REACHING) for name in PARTS])[part]
    # Each pair once, with a sphere of a part that reaches first.
    once = reaching[:, None] & (~reaching | torch.ones(len(part), len(part), dtype=torch.bool).triu(1))
    # Spheres that touch at rest, such as those of an elbow and of the other side of it, always do.
    return (once & (away > reach) & ~joined[part][:, part]).nonzero().T.contiguous()
