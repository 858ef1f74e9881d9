"""Body models with SMPL's skeleton: pose and shape to vertices and joints.

Linear blend skinning in plain torch (Loper et al., "SMPL: a skinned multi-person linear model",
2015, eqs. 2 to 10). The free body that ships with the package and licensed SMPL files run through
the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.bodies.smpl_file import PARENTS, SHAPE_DIRECTIONS, SmplArrays, load_smpl
from adaptation.support.errors import UserError

__all__ = ["FLIP_PERMUTATION", "JOINT_NAMES", "PARENTS", "Body", "BodyOutput", "mirror_pose"]

JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar",
    "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's joints in order."""

FLIP_PERMUTATION: tuple[int, ...] = (
    0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22,
)  # fmt: skip
"""For each joint its counterpart on the other side of the body."""

# Joints of equal depth in the tree; SMPL numbers them in this order, so levels are slices.
_LEVELS = ((0, 1), (1, 4), (4, 7), (7, 10), (10, 15), (15, 18), (18, 20), (20, 22), (22, 24))


@dataclass(frozen=True)
class BodyOutput:
    """Posed bodies, in the axes that the global orientation leads to.

    Attributes:
        vertices: (B, V, 3) metres.
        joints: (B, 24, 3) metres, SMPL's order.
    """

    vertices: Tensor
    joints: Tensor


class Body(torch.nn.Module):
    """A body model. Move it with ``.to(device)`` or ``.double()`` like any module.

    Args:
        arrays: the model, as `adaptation.bodies.smpl_file.load_smpl` reads it.

    Attributes:
        faces: (F, 3) int64 vertex indices, wound counter-clockwise seen from outside.
        parents: (24,) int64, -1 for the root.
    """

    faces: Tensor
    parents: Tensor
    _template: Tensor
    _shape: Tensor
    _joints: Tensor
    _joint_shape: Tensor
    _weights: Tensor
    _pose: Tensor | None
    _above: Tensor

    def __init__(self, arrays: SmplArrays) -> None:
        super().__init__()

        def buffer(name: str, values: np.ndarray | None) -> None:
            tensor = None if values is None else torch.from_numpy(np.array(values, np.float32))
            self.register_buffer(name, tensor, persistent=False)

        regressor, count = arrays.J_regressor, len(arrays.v_template)
        # Coordinates come before vertices, (3, V): every later product then runs along the
        # vertices.
        shape = arrays.shapedirs.transpose(2, 1, 0)
        buffer("_template", arrays.v_template.T.reshape(-1))
        buffer("_shape", shape.reshape(SHAPE_DIRECTIONS, -1))
        buffer("_joints", regressor @ arrays.v_template)
        # Joints are linear in the shape, so they need no vertices.
        buffer("_joint_shape", np.einsum("jv,kiv->kji", regressor, shape).reshape(SHAPE_DIRECTIONS, -1))
        buffer("_weights", arrays.weights.T)
        pose = arrays.posedirs
        buffer("_pose", None if pose is None else pose.transpose(2, 1, 0).reshape(-1, 3 * count))
        self.register_buffer("faces", torch.from_numpy(arrays.f), persistent=False)
        self.register_buffer("parents", torch.tensor(PARENTS), persistent=False)
        # Parents among the joints of the level above.
        above = [PARENTS[k] - first for (first, last), below in pairwise(_LEVELS) for k in range(*below)]
        self.register_buffer("_above", torch.tensor(above), persistent=False)

    @classmethod
    def free(cls, full: bool = False) -> Body:
        """The free body (CC0) of the package: 1,229 vertices, or 13,718 where ``full``."""
        name = "free_body_full.npz" if full else "free_body.npz"
        with resources.as_file(resources.files("adaptation") / "assets" / name) as path:
            return cls.load(path)

    @classmethod
    def load(cls, path: str | Path) -> Body:
        """A body model from a file.

        Args:
            path: an npz with SMPL's keys, or an SMPL pickle as its authors distribute it.

        Raises:
            UserError: the file cannot be used; the message says why.
        """
        return cls(load_smpl(path))

    @property
    def vertex_count(self) -> int:
        """V."""
        return self._weights.shape[1]

    @property
    def skinning_weights(self) -> Tensor:
        """(V, 24) share of each joint in the motion of each vertex."""
        return self._weights.T

    def forward(self, pose: Tensor, betas: Tensor) -> BodyOutput:
        """Pose bodies.

        Args:
            pose: (B, 24, 3) axis-angle in radians, or (B, 24, 3, 3) rotation matrices; joint 0 is the
                global orientation. The root is rotated about its own rest position.
            betas: (B, 10) shape coefficients.

        Returns:
            Vertices and joints with the dtype of the arguments.

        Raises:
            UserError: wrong shapes, or a dtype that is not the body's.
        """
        count = len(PARENTS)
        if pose.shape[1:] not in ((count, 3), (count, 3, 3)) or betas.shape != (len(pose), SHAPE_DIRECTIONS):
            raise UserError(
                f"Body: wanted pose (B, {count}, 3) or (B, {count}, 3, 3) and betas (B, {SHAPE_DIRECTIONS}), "
                f"got {tuple(pose.shape)} and {tuple(betas.shape)}"
            )
        if not pose.dtype == betas.dtype == self._template.dtype:
            raise UserError(f"Body is {self._template.dtype}, got pose {pose.dtype} and betas {betas.dtype}")
        batch = len(pose)
        rest_joints = self._joints + (betas @ self._joint_shape).view(batch, *self._joints.shape)
        rotations = rotvec_to_matrix(pose) if pose.ndim == 3 else pose
        world, joints = self._chain(rotations, rest_joints)

        vertices = torch.addmm(self._template, betas, self._shape)
        if self._pose is not None:
            bend = rotations[:, 1:] - torch.eye(3, dtype=pose.dtype, device=pose.device)
            vertices = torch.addmm(vertices, bend.flatten(1), self._pose)

        shift = joints - (world @ rest_joints[..., None]).squeeze(-1)
        transforms = torch.cat([world, shift[..., None]], dim=3).permute(0, 2, 3, 1)
        blended = transforms.reshape(batch, 12, len(PARENTS)) @ self._weights
        count = self.vertex_count
        maps, points = blended.view(batch, 3, 4, count), vertices.view(batch, 3, count)
        posed: Tensor = _Transform.apply(maps, points)  # type: ignore[no-untyped-call]
        return BodyOutput(posed.transpose(1, 2).contiguous(), joints)

    def joints(self, pose: Tensor, betas: Tensor) -> Tensor:
        """The posed joints alone, (B, 24, 3) metres, at a fraction of the cost; arguments as for `forward`."""
        rotations = rotvec_to_matrix(pose) if pose.ndim == 3 else pose
        rest = self._joints + (betas @ self._joint_shape).view(len(pose), *self._joints.shape)
        return self._chain(rotations, rest)[1]

    def _chain(self, rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """World rotations (B, 24, 3, 3) and posed joints (B, 24, 3), level by level of the tree."""
        bones = torch.cat([rest[:, :1], rest[:, 1:] - rest.index_select(1, self.parents[1:])], dim=1)
        local = F.pad(torch.cat([rotations, bones[..., None]], dim=3), (0, 0, 0, 1))
        local[..., 3, 3] = 1
        levels = [local[:, :1]]
        for first, last in _LEVELS[1:]:
            above = levels[-1].index_select(1, self._above[first - 1 : last - 1])
            levels.append(above @ local[:, first:last])
        frames = torch.cat(levels, dim=1)
        return frames[..., :3, :3], frames[..., :3, 3]


class _Transform(torch.autograd.Function):
    """Affine maps (B, 3, 4, V) of points (B, 3, V), one map per point.

    Its own backward writes each gradient once; autograd's, of slices and products, takes twice as
    long.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, points: Tensor) -> Tensor:
        ctx.save_for_backward(maps, points)
        out = torch.addcmul(maps[:, :, 3], maps[:, :, 0], points[:, None, 0])
        for k in (1, 2):
            out.addcmul_(maps[:, :, k], points[:, None, k])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        maps, points = ctx.saved_tensors
        grad_maps = torch.empty_like(maps)
        torch.mul(grad[:, :, None], points[:, None], out=grad_maps[:, :, :3])
        grad_maps[:, :, 3] = grad
        grad_points = maps[:, 0, :3] * grad[:, 0, None]
        for i in (1, 2):
            grad_points.addcmul_(maps[:, i, :3], grad[:, i, None])
        return grad_maps, grad_points


def mirror_pose(pose: Tensor) -> Tensor:
    """The pose seen in a mirror, left and right exchanged (reflection of x).

    Args:
        pose: (..., 24, 3) axis-angle.

    Returns:
        (..., 24, 3).
    """
    return pose[..., list(FLIP_PERMUTATION), :] * pose.new_tensor([1.0, -1.0, -1.0])
