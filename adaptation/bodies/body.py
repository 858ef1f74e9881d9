"""Body models with SMPL's skeleton: pose and shape to vertices and joints.

Linear blend skinning in plain torch (Loper et al., "SMPL: a skinned multi-person linear model",
2015, eqs. 2 to 10). The free body in the package and licensed SMPL files use the same code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptation.bodies.joint_sets import SMPL, JointSet
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.bodies.smpl_file import PARENTS, SmplArrays, load_smpl
from adaptation.support.errors import UserError

__all__ = ["FLIP_PERMUTATION", "JOINT_NAMES", "PARENTS", "Body", "BodyOutput", "mirror_pose"]

JOINT_NAMES = SMPL.joints
FLIP_PERMUTATION = SMPL.flip
FREE = "free"
"""Name of the free body, at both resolutions: they share their shape coefficients."""


@dataclass(frozen=True)
class BodyOutput:
    """Posed bodies, in the axes that the global orientation maps to (camera axes in this package).

    Attributes:
        vertices: (B, V, 3) metres.
        joints: (B, J, 3) metres, in the order of the body's joint set.
    """

    vertices: Tensor
    joints: Tensor


class Body(torch.nn.Module):
    """A body model. Move it with ``.to(device)`` or ``.double()`` like any module.

    Args:
        arrays: the model, as returned by `adaptation.bodies.smpl_file.load_smpl`.
        name: name of the space of its shape coefficients. None derives it from the arrays, so that
            equal models have equal names.

    Attributes:
        name: name of the space of its shape coefficients. Labels store it, because shape coefficients have no
            meaning for another body model.
        joint_set: names and order of its J joints.
        tree: parent of each joint, -1 for the root.
        faces: (F, 3) int64 vertex indices, wound counter-clockwise seen from outside.
        parents: (J,) int64, the tree as a tensor.
    """

    joint_set: JointSet = SMPL

    faces: Tensor
    parents: Tensor
    _template: Tensor
    _shape: Tensor
    _joints: Tensor
    _joint_shape: Tensor
    _weights: Tensor
    _pose: Tensor | None
    _above: Tensor

    def __init__(self, arrays: SmplArrays, name: str | None = None) -> None:
        super().__init__()
        self.name = name or _fingerprint(arrays)
        self.tree = PARENTS
        self._levels = _levels(self.tree)

        def buffer(name: str, values: np.ndarray | None) -> None:
            # In float32, like networks and fits; `.double()` still works. Not persistent, so that no state dict holds a
            # licensed model.
            tensor = None if values is None else torch.from_numpy(np.array(values, np.float32))
            self.register_buffer(name, tensor, persistent=False)

        regressor, count = arrays.J_regressor, len(arrays.v_template)
        # Coordinates come before vertices, (3, V), so that every later product runs along the
        # vertices in memory.
        shape = arrays.shapedirs.transpose(2, 1, 0)
        buffer("_template", arrays.v_template.T.reshape(-1))
        buffer("_shape", shape.reshape(len(shape), -1))
        buffer("_joints", regressor @ arrays.v_template)
        # Rest joints are linear in the shape, so `joints` need not compute any vertex.
        buffer("_joint_shape", np.einsum("jv,kiv->kji", regressor, shape).reshape(len(shape), -1))
        buffer("_weights", arrays.weights.T)
        pose = arrays.posedirs  # None where all are zero (the free body), which saves a large product
        buffer("_pose", None if pose is None else pose.transpose(2, 1, 0).reshape(-1, 3 * count))
        self.register_buffer("faces", torch.from_numpy(arrays.f), persistent=False)
        self.register_buffer("parents", torch.tensor(self.tree), persistent=False)
        # Position of each joint's parent within the level above, for `_chain`.
        above = [self.tree[k] - first for (first, _), below in pairwise(self._levels) for k in range(*below)]
        self.register_buffer("_above", torch.tensor(above), persistent=False)

    @classmethod
    def free(cls, full: bool = False) -> Body:
        """Load the free body (CC0) of the package: 1,229 vertices, or 13,718 if ``full``."""
        name = "free_body_full.npz" if full else "free_body.npz"
        with resources.as_file(resources.files("adaptation") / "assets" / name) as path:
            return cls(load_smpl(path), FREE)

    @classmethod
    def load(cls, path: str | Path) -> Body:
        """Load a body model from a file.

        Args:
            path: an npz with SMPL's keys, or an SMPL pickle as its authors distribute it.

        Raises:
            UserError: the file cannot be used; the message says why.
        """
        arrays = load_smpl(path)
        fingerprint = _fingerprint(arrays)
        # A copy of the free body keeps its name, so that labels made with the free body fit it.
        return cls(arrays, FREE if fingerprint in _free_fingerprints() else fingerprint)

    @property
    def vertex_count(self) -> int:
        """V, the number of vertices."""
        return self._weights.shape[1]

    @property
    def joint_count(self) -> int:
        """J, the number of joints."""
        return len(self.tree)

    @property
    def shape_count(self) -> int:
        """K, the number of shape coefficients."""
        return len(self._shape)

    def mean_shape(self, count: int) -> Tensor:
        """Return the shape coefficients (count, K) of the mean body: zeros."""
        return self._template.new_zeros(count, self.shape_count)

    @property
    def skinning_weights(self) -> Tensor:
        """Weights (V, J): the share of each joint in the motion of each vertex."""
        return self._weights.T

    def forward(self, pose: Tensor, betas: Tensor) -> BodyOutput:
        """Pose bodies.

        Args:
            pose: (B, J, 3) axis-angle in radians, or (B, J, 3, 3) rotation matrices; joint 0 is the
                global orientation. The root is rotated about its own rest position.
            betas: (B, K) shape coefficients.

        Returns:
            Vertices (B, V, 3) and joints (B, J, 3) in metres, with the dtype of the arguments.

        Raises:
            UserError: the shapes are wrong, or the dtype is not the body's.
        """
        count, shapes = self.joint_count, self.shape_count
        if pose.shape[1:] not in ((count, 3), (count, 3, 3)) or betas.shape != (len(pose), shapes):
            raise UserError(
                f"Body: expected pose (B, {count}, 3) or (B, {count}, 3, 3) and betas (B, {shapes}), "
                f"got {tuple(pose.shape)} and {tuple(betas.shape)}"
            )
        if not pose.dtype == betas.dtype == self._template.dtype:
            raise UserError(f"Body is {self._template.dtype}, got pose {pose.dtype} and betas {betas.dtype}")
        batch = len(pose)
        rest_joints = self.rest_joints(betas)
        rotations = rotvec_to_matrix(pose) if pose.ndim == 3 else pose
        world, joints = self._chain(rotations, rest_joints)

        # Rest vertices are flat, (B, 3 V), up to the skinning: shape and pose are one matrix product each.
        vertices = torch.addmm(self._template, betas, self._shape)
        if self._pose is not None:
            # SMPL's pose blend shapes are linear in R - I of all joints but the root.
            bend = rotations[:, 1:] - torch.eye(3, dtype=pose.dtype, device=pose.device)
            vertices = torch.addmm(vertices, bend.flatten(1), self._pose)

        # Skinning moves rest vertices, so each joint's map first takes its rest position to the origin.
        shift = joints - (world @ rest_joints[..., None]).squeeze(-1)
        # Maps are blended before they are applied: one product over the joints instead of J transformed meshes.
        # The joints come last, (B, 3, 4, J), so that the twelve numbers of each map blend in one product with (J, V).
        transforms = torch.cat([world, shift[..., None]], dim=3).permute(0, 2, 3, 1)
        blended = transforms.reshape(batch, 12, self.joint_count) @ self._weights
        count = self.vertex_count
        maps, points = blended.view(batch, 3, 4, count), vertices.view(batch, 3, count)
        posed: Tensor = _Transform.apply(maps, points)  # type: ignore[no-untyped-call]
        # (B, V, 3) in memory, too, as renderers expect.
        return BodyOutput(posed.transpose(1, 2).contiguous(), joints)

    def joints(self, pose: Tensor, betas: Tensor) -> Tensor:
        """Compute only the posed joints, (B, J, 3) metres, at a fraction of the cost; arguments as for `forward`."""
        return self.frames(pose, betas)[1]

    def frames(self, pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the axes of the joints, (B, J, 3, 3), and the posed joints, (B, J, 3) metres.

        A point at rest that is fixed to joint j, at an offset o from it, is posed to ``joints[:, j] + axes[:, j] @ o``.
        """
        rotations = rotvec_to_matrix(pose) if pose.ndim == 3 else pose
        return self._chain(rotations, self.rest_joints(betas))

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Return the joints (B, J, 3), metres, of bodies in the rest pose."""
        return self._joints + (betas @ self._joint_shape).view(len(betas), *self._joints.shape)

    def rest_vertices(self, betas: Tensor) -> Tensor:
        """Return the vertices (B, V, 3), metres, of bodies in the rest pose."""
        flat = torch.addmm(self._template, betas, self._shape)
        return flat.view(len(betas), 3, self.vertex_count).transpose(1, 2)

    def _chain(self, rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """World rotations (B, J, 3, 3) and posed joints (B, J, 3), computed level by level of the tree."""
        # Offsets from the parent. The root's is its own rest position, so that it turns in place.
        bones = torch.cat([rest[:, :1], rest[:, 1:] - rest.index_select(1, self.parents[1:])], dim=1)
        local = F.pad(torch.cat([rotations, bones[..., None]], dim=3), (0, 0, 0, 1))
        local[..., 3, 3] = 1  # homogeneous: rotation and bone are one 4 x 4 matrix, a level is one product
        levels = [local[:, :1]]
        for first, last in self._levels[1:]:
            # `_above` starts at joint 1: the root has no parent.
            above = levels[-1].index_select(1, self._above[first - 1 : last - 1])
            levels.append(above @ local[:, first:last])
        frames = torch.cat(levels, dim=1)
        return frames[..., :3, :3], frames[..., :3, 3]


def _levels(tree: tuple[int, ...]) -> list[tuple[int, int]]:
    """First index, and last index plus one, of the joints at each depth of the tree.

    SMPL numbers its joints in this order, so a whole level is one slice and one product of matrices.
    """
    depth = [0]
    for parent in tree[1:]:
        depth.append(depth[parent] + 1)
    if depth != sorted(depth):
        raise ValueError("the joints of a body must be ordered by their depth in the tree")
    return [(depth.index(level), depth.index(level) + depth.count(level)) for level in range(depth[-1] + 1)]


def _fingerprint(arrays: SmplArrays) -> str:
    """A name that identifies a space of shape coefficients."""
    digest = hashlib.sha256()
    # Template and shape directions alone: other poses or weights leave the meaning of the coefficients.
    # In float32, so that a model has one name in files of either precision.
    for part in (arrays.v_template, arrays.shapedirs):
        digest.update(np.ascontiguousarray(part, np.float32).tobytes())
    return f"smpl-{digest.hexdigest()[:12]}"


@lru_cache  # reads both files of the free body
def _free_fingerprints() -> frozenset[str]:
    folder = resources.files("adaptation") / "assets"
    names = ("free_body.npz", "free_body_full.npz")
    found = []
    for name in names:
        with resources.as_file(folder / name) as path:
            found.append(_fingerprint(load_smpl(path)))
    return frozenset(found)


class _Transform(torch.autograd.Function):
    """Apply affine maps (B, 3, 4, V) to points (B, 3, V), one map per point.

    This backward writes each gradient once; autograd's own, through slices and products, takes
    twice as long.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, points: Tensor) -> Tensor:
        ctx.save_for_backward(maps, points)
        out = torch.addcmul(maps[:, :, 3], maps[:, :, 0], points[:, None, 0])
        # Coordinate by coordinate and in place, which forms no (B, 3, 3, V) product.
        for k in (1, 2):
            out.addcmul_(maps[:, :, k], points[:, None, k])
        return out

    # The products below are in place and have no graph: a second derivative must fail, not be wrong.
    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        maps, points = ctx.saved_tensors
        grad_maps = torch.empty_like(maps)
        # (B, 3, 1, V) times (B, 1, 3, V): the outer product of gradient and point, per vertex.
        torch.mul(grad[:, :, None], points[:, None], out=grad_maps[:, :, :3])
        grad_maps[:, :, 3] = grad
        grad_points = maps[:, 0, :3] * grad[:, 0, None]
        for i in (1, 2):
            grad_points.addcmul_(maps[:, i, :3], grad[:, i, None])
        return grad_maps, grad_points


def mirror_pose(pose: Tensor) -> Tensor:
    """Return the mirror image of a pose: x reflected, left and right joints exchanged.

    Args:
        pose: (..., J, 3) axis-angle, radians.

    Returns:
        (..., J, 3) axis-angle, radians.
    """
    # A rotation axis is a pseudovector: reflecting x keeps its x and negates y and z.
    return pose[..., list(FLIP_PERMUTATION), :] * pose.new_tensor([1.0, -1.0, -1.0])
