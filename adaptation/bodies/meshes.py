"""Meshes with their cameras: what every network of bodies predicts, whatever its body model."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from adaptation.bodies.camera import Camera
from adaptation.bodies.joint_sets import SMPL
from adaptation.support.batches import SHARED, Batch


@dataclass(frozen=True)
class Meshes(Batch):
    """B meshes of one topology, each with its own camera.

    Attributes:
        vertices: (B, V, 3) metres in camera axes (x right, y down, z forward), without the camera's translation.
        camera: B cameras.
        faces: (F, 3) int64 vertex indices of all B meshes.
        joints: (B, J, 3) joints in the same axes, metres; None for networks that predict none.
        joint_set: name of the set that the joints are in the order of; None if they are in an order of their own.
    """

    vertices: Tensor
    camera: Camera
    faces: Tensor = field(metadata=SHARED)
    joints: Tensor | None = None
    joint_set: str | None = field(default=None, metadata=SHARED)

    @property
    def body_joints(self) -> Tensor | None:
        """The joints (B, 24, 3) if they are SMPL's, else None."""
        return self.joints if self.joint_set == SMPL.name else None
