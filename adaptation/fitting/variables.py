"""The variables of a fit of single bodies: pose, shape and camera, as leaves of the graph."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from adaptation.bodies.camera import Camera
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.fitting.posed import PosedBodies, Scene
from adaptation.support.batches import Batch


@dataclass(frozen=True)
class BodyVariables(Batch):
    """B bodies in the coordinates that fits optimise.

    Attributes:
        pose: (B, J, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.
        betas: (B, K) shape coefficients.
        camera: B cameras.
    """

    pose: Tensor
    betas: Tensor
    camera: Camera

    @classmethod
    def of(cls, bodies: Bodies) -> BodyVariables:
        """Return the coordinates of given bodies, detached from the graph."""
        # Detached: fits must not reach the network whose predictions they start from.
        return cls(bodies.axis_angle(), bodies.betas, bodies.camera).detach()

    def bodies(self) -> Bodies:
        """Return the bodies with rotation matrices."""
        return Bodies(rotvec_to_matrix(self.pose), self.betas, self.camera)


class BodyLeaves:
    """`BodyVariables` as leaves of the graph, posed in a scene.

    The camera's leaves are the logarithm of its scale and the image position of the body's origin, so that a body whose
    scale changes keeps its position.

    Args:
        start: B bodies to start from.
        scene: body model and renderer.
        size: side of the image in pixels.

    Attributes:
        leaves: leaf tensors that a stage of a fit may change, by name: pose (global orientation included), betas,
            scale, offset.
    """

    def __init__(self, start: BodyVariables, scene: Scene, size: int) -> None:
        self._scene, self._size, self._camera = scene, size, start.camera
        # Cloned: leaves change in place, and the start is kept to compare with.
        self.leaves = {
            "pose": start.pose.detach().clone(),
            "betas": start.betas.detach().clone(),
            # A regressor may predict a scale of zero or below, which has no logarithm.
            "scale": start.camera.scale.detach().clamp(min=1e-3).log(),
            "offset": start.camera.offset.detach().clone(),
        }
        for leaf in self.leaves.values():
            leaf.requires_grad_()

    def camera(self) -> Camera:
        """Return the cameras for the present values of the leaves."""
        # A logarithm keeps the scale positive, and makes its rate relative to the scale.
        return self._camera.moved(self.leaves["scale"].exp(), self.leaves["offset"])

    def value(self) -> BodyVariables:
        """Return the bodies for the present values of the leaves."""
        return BodyVariables(self.leaves["pose"], self.leaves["betas"], self.camera())

    def posed(self) -> PosedBodies:
        """Return the same bodies, posed in the scene."""
        value = self.value()
        return self._scene.posed(value.bodies(), self._size, value.pose)
