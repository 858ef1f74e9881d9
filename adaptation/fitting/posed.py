"""Bodies in a scene: posed, projected and drawn, each at most once and only when a term asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import roma
from torch import Tensor

from adaptation.bodies.body import Body, BodyOutput
from adaptation.bodies.camera import project
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import Renderer
from adaptation.losses.silhouettes import ProjectedBones


@dataclass(frozen=True)
class Scene:
    """What draws bodies.

    Attributes:
        body: the body model, on the device that computes.
        renderer: draws its silhouettes.
    """

    body: Body
    renderer: Renderer

    def posed(self, bodies: Bodies, size: int, pose: Tensor | None = None) -> PosedBodies:
        """Pose bodies.

        Args:
            bodies: B bodies.
            size: side of the image in pixels.
            pose: (B, J, 3) axis-angle of the same bodies, if known.
        """
        return PosedBodies(self, bodies, size, pose)


class PosedBodies:
    """B bodies as terms of an objective see them: everything here is computed once, when it is first used.

    Attributes:
        bodies: rotations, shape and camera.
        size: side of the image in pixels.
    """

    def __init__(self, scene: Scene, bodies: Bodies, size: int, pose: Tensor | None = None) -> None:
        self._scene, self._pose = scene, pose
        self.bodies, self.size = bodies, size

    @cached_property
    def pose(self) -> Tensor:
        """(B, J, 3) axis-angle, for priors that are defined on it."""
        return roma.rotmat_to_rotvec(self.bodies.rotations) if self._pose is None else self._pose

    @cached_property
    def output(self) -> BodyOutput:
        """Vertices (B, V, 3) and joints (B, J, 3), metres in camera axes."""
        return self._scene.body(self.bodies.rotations, self.bodies.betas)

    @cached_property
    def vertices2d(self) -> Tensor:
        """(B, V, 2) projected vertices, pixels."""
        return project(self.output.vertices, self.bodies.camera, self.size)

    @cached_property
    def bones(self) -> ProjectedBones:
        """Projected joints (B, J, 2), pixels, and the tree that connects them."""
        joints = project(self.output.joints, self.bodies.camera, self.size)
        return ProjectedBones(joints, self._scene.body.tree)

    @cached_property
    def silhouette(self) -> Tensor:
        """(B, 1, size, size) of 0 and 1: pixels whose centre the body covers.

        The gradient is that of the renderer's soft silhouette. Its own values, cut at 0.5, would be wider than the
        body: the coverages of the many small faces along an outline add up.
        """
        scene = self._scene
        return scene.renderer.silhouette(self.output.vertices, scene.body.faces, self.bodies.camera, self.size)
