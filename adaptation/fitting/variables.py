"""What a fit of single bodies changes: pose, shape and camera, as leaves of the graph."""

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
    """B bodies in the coordinates that fits descend.

    Attributes:
        pose: (B, J, 3) axis-angle; joint 0 is the global orientation in camera axes.
        betas: (B, K) shape coefficients.
        camera: B cameras.
    """

    pose: Tensor
    betas: Tensor
    camera: Camera

    @classmethod
    def of(cls, bodies: Bodies) -> BodyVariables:
        """The coordinates of given bodies, detached."""
        return cls(bodies.axis_angle(), bodies.betas, bodies.camera).detach()

    def bodies(self) -> Bodies:
        """The bodies."""
        return Bodies(rotvec_to_matrix(self.pose), self.betas, self.camera)


class BodyLeaves:
    """The same as leaves of the graph, drawn in a scene.

    The camera's leaves are the logarithm of its scale and the image position of the body's origin: a body that grows
    then keeps its place.

    Args:
        start: B bodies.
        scene: what draws them.
        size: side of the image in pixels.

    Attributes:
        leaves: by name, what a stage of a fit may change: pose (global orientation included), betas, scale, offset.
    """

    def __init__(self, start: BodyVariables, scene: Scene, size: int) -> None:
        self._scene, self._size, self._camera = scene, size, start.camera
        self.leaves = {
            "pose": start.pose.detach().clone(),
            "betas": start.betas.detach().clone(),
            "scale": start.camera.scale.detach().clamp(min=1e-3).log(),
            "offset": start.camera.offset.detach().clone(),
        }
        for leaf in self.leaves.values():
            leaf.requires_grad_()

    def value(self) -> BodyVariables:
        """The bodies that the leaves stand for now."""
        camera = self._camera.moved(self.leaves["scale"].exp(), self.leaves["offset"])
        return BodyVariables(self.leaves["pose"], self.leaves["betas"], camera)

    def posed(self) -> PosedBodies:
        """The same bodies, to be drawn."""
        value = self.value()
        return self._scene.posed(value.bodies(), self._size, value.pose)
