"""Bodies in a scene. They are posed, projected and drawn at most once, and only if a term needs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import roma
from torch import Tensor

from adaptation.bodies.body import Body, BodyOutput
from adaptation.bodies.camera import project
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import Renderer
from adaptation.bodies.views import Margins
from adaptation.losses.silhouettes import ProjectedBones
from adaptation.regressors.base import Prediction


@dataclass(frozen=True)
class Scene:
    """A body model and its renderer.

    Attributes:
        body: the body model, on the device of the computation.
        renderer: renderer of its silhouettes.
        visible: parts of the image that count; None for the whole image. Silhouettes are empty elsewhere.
    """

    body: Body
    renderer: Renderer
    visible: Margins | None = None

    def posed(self, bodies: Bodies | Prediction, size: int, pose: Tensor | None = None) -> PosedBodies:
        """Return bodies that compute their vertices, projections and silhouettes on demand.

        Args:
            bodies: B bodies, or a prediction, whose own mesh is drawn if it has one.
            size: side of the image in pixels.
            pose: (B, J, 3) axis-angle of the same bodies, radians, if known. None derives it from the rotations.
        """
        return PosedBodies(self, bodies, size, pose)


class PosedBodies:
    """B bodies as the terms of an objective use them. Each property is computed once, on first use.

    Attributes:
        size: side of the image in pixels.
    """

    def __init__(self, scene: Scene, bodies: Bodies | Prediction, size: int, pose: Tensor | None = None) -> None:
        self._scene, self._pose = scene, pose
        self._given = bodies if isinstance(bodies, Prediction) else Prediction(bodies)
        self.size = size

    @property
    def known(self) -> bool:
        """Whether the bodies are those of a body model; vertices alone have no pose, shape and bones."""
        return self._given.parameters is not None

    @property
    def bodies(self) -> Bodies:
        """Rotations, shape and camera of the B bodies.

        Raises:
            UserError: a network predicted vertices alone.
        """
        return self._given.bodies

    @cached_property
    def pose(self) -> Tensor:
        """Pose (B, J, 3) as axis-angle in radians, for priors that are defined on it."""
        # Safe to differentiate here: vectors jump at half a turn, where only the root usually is, and priors ignore it.
        return roma.rotmat_to_rotvec(self.bodies.rotations) if self._pose is None else self._pose

    @cached_property
    def output(self) -> BodyOutput:
        """Vertices (B, V, 3) and joints (B, J, 3), metres in camera axes."""
        return self._scene.body(self.bodies.rotations, self.bodies.betas)

    @property
    def mesh(self) -> Meshes:
        """What is drawn: a network's own meshes, or those of the body model."""
        own = self._given.mesh
        return Meshes(self.output.vertices, self.bodies.camera, self._scene.body.faces) if own is None else own

    @cached_property
    def frames(self) -> tuple[Tensor, Tensor]:
        """Axes (B, J, 3, 3) and places (B, J, 3), metres, of the joints in camera axes. No vertex is computed."""
        return self._scene.body.frames(self.bodies.rotations, self.bodies.betas)

    @cached_property
    def joints2d(self) -> Tensor:
        """Projected joints (B, J, 2), pixels. No vertex is computed."""
        return project(self.frames[1], self.bodies.camera, self.size)

    @cached_property
    def vertices2d(self) -> Tensor:
        """Projected vertices (B, V, 2), pixels."""
        return project(self.mesh.vertices, self.mesh.camera, self.size)

    @cached_property
    def bones(self) -> ProjectedBones:
        """Projected joints (B, J, 2), pixels, and the tree that connects them."""
        joints = project(self.output.joints, self.bodies.camera, self.size)
        return ProjectedBones(joints, self._scene.body.tree)

    @cached_property
    def silhouette(self) -> Tensor:
        """Silhouettes (B, 1, size, size) of 0 and 1: the pixels whose centre the body covers.

        The gradient is that of the renderer's soft silhouette. The soft silhouette itself, thresholded at 0.5, would
        be wider than the body, because the coverages of the many small faces along an outline add up.
        """
        scene, mesh = self._scene, self.mesh
        silhouette = scene.renderer.silhouette(mesh.vertices, mesh.faces, mesh.camera, self.size)
        # What a network was not shown is cut off from masks and silhouettes alike.
        return silhouette if scene.visible is None else silhouette * scene.visible.window(self.size, silhouette.device)
