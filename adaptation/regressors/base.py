"""The interface of mesh regressors, and an adapter for other networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.rotations import Layout
from adaptation.bodies.views import Margins, View
from adaptation.regressors.modes import CropRule
from adaptation.regressors.outputs import Keys, PoseForm, Reader
from adaptation.support.batches import Batch
from adaptation.support.errors import UserError

# ImageNet's statistics of RGB in [0, 1], which pretrained ResNets and vision transformers expect.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Prediction(Batch):
    """A regressor's predictions for B crops: parameters of a body model, a mesh, or both.

    Attributes:
        parameters: B bodies of a body model with their cameras; None for networks that predict vertices alone.
        latent: (B, 32) pose latent phi in [-1, 1]; None for regressors without one.
        heatmaps: (B, J, H, W) logits of joint positions; None for regressors without heatmaps.
        mesh: B meshes of the network's own; None where the body model makes them of the parameters.
    """

    parameters: Bodies | None = None
    latent: Tensor | None = None
    heatmaps: Tensor | None = None
    mesh: Meshes | None = None

    @property
    def bodies(self) -> Bodies:
        """The parameters of the body model.

        Raises:
            UserError: the network predicts none.
        """
        if self.parameters is None:
            raise UserError(
                "this network predicts vertices without rotations and shape of SMPL's body model, which this needs; "
                "silhouettes alone need no body model"
            )
        return self.parameters

    @property
    def shape(self) -> Prediction:
        """The predicted bodies alone, without latent and heatmaps."""
        return Prediction(self.parameters, mesh=self.mesh)

    def meshes(self, body: Body) -> Meshes:
        """Return what is drawn: the network's own meshes, or its parameters posed by a body model with its joints."""
        if self.mesh is not None:
            return self.mesh
        posed = body(self.bodies.rotations, self.bodies.betas)
        return Meshes(posed.vertices, self.bodies.camera, body.faces, posed.joints, SMPL.name)

    def body_joints(self, body: Body) -> Tensor | None:
        """Return SMPL's joints (B, 24, 3), metres: the network's own, or those of a body model; None without either."""
        if self.mesh is not None and self.mesh.body_joints is not None:
            return self.mesh.body_joints
        if self.parameters is None:
            return None
        return body.joints(self.parameters.rotations, self.parameters.betas)


class MeshNetwork(Protocol):
    """The interface of networks that can be adapted. A network may also have these attributes.

    Attributes:
        uses_view: whether predictions depend on the view, so that a guessed focal length matters. False if it lacks.
        crop: the `CropRule` of the network; commands ask users for the size of its crops if it lacks.
        visible: the `Margins` of the crop that the network cuts off; none if it lacks.
    """

    def __call__(self, images: Tensor, view: View) -> Prediction:
        """Predict bodies and cameras for RGB crops (B, 3, S, S) in [0, 1], and where they lie in their frames."""


def uses_view(network: nn.Module) -> bool:
    """Return whether a `MeshNetwork` depends on the view of its crops."""
    return bool(_attribute(network, "uses_view", False))


def crop_rule(network: nn.Module) -> CropRule | None:
    """Return the rule by which a `MeshNetwork`'s crops are cut; None if it has none."""
    rule: CropRule | None = _attribute(network, "crop", None)
    return rule


def visible(network: nn.Module) -> Margins | None:
    """Return the margins of its crops that a `MeshNetwork` does not see; None if it sees whole crops."""
    margins: Margins | None = _attribute(network, "visible", None)
    return margins if margins is not None and any(margins) else None


def _attribute(network: nn.Module, name: str, default: Any) -> Any:
    # Networks within networks: `Mirrored` holds a whole one, whose attributes count.
    while not hasattr(network, name) and isinstance(inner := getattr(network, "network", None), nn.Module):
        network = inner
    return getattr(network, name, default)


def own_network(network: nn.Module) -> nn.Module:
    """Return the user's own network, if `wrap`, an adapter or `Mirrored` holds it, or the network itself."""
    while isinstance(held := getattr(network, "network", None), nn.Module):
        network = held
    return network


Inputs = Callable[[Tensor, View | None], Any]
"""Makes the argument of a network from normalised images and the view."""


def wrap(
    network: nn.Module,
    *,
    pose: PoseForm = "matrix",
    layout: Layout = "interleaved",
    mean: Sequence[float] = IMAGE_MEAN,
    std: Sequence[float] = IMAGE_STD,
    keys: Keys | None = None,
    faces: Any = None,
    inputs: Inputs | None = None,
) -> nn.Module:
    """Turn a network of another project into a `MeshNetwork`.

    The network may return (pose, betas, camera), as those of HMR and SPIN do, or a dictionary with them, as that of
    HMR2.0 does; or, with ``faces``, (vertices, camera) or a dictionary with these.

    Args:
        network: maps normalised images (B, 3, S, S) to pose, betas (B, 10) and a weak-perspective camera (B, 3), or to
            vertices (B, V, 3) in camera axes and the camera.
        pose: form of its pose of 24 joints: "matrix" (B, 24, 3, 3), "axis_angle" (B, 72) or (B, 24, 3), or "rot6d"
            (B, 144).
        layout: order of the six numbers of "rot6d".
        mean: channel means that are subtracted from RGB in [0, 1].
        std: channel standard deviations that the result is divided by.
        keys: where the parts lie in a dictionary, such as {"pose": "smpl.rotations"}; see
            `adaptation.regressors.outputs.PARTS` for the names of the parts, and the keys that are known anyway.
        faces: (F, 3) vertex indices of the mesh, if the network predicts vertices.
        inputs: makes the network's argument from normalised images and the `View`, such as
            ``lambda images, view: {"img": images}``; by default the images alone.

    Returns:
        A module whose ``network`` is the given network; training changes its weights.
    """
    return _Wrapped(network, Reader(pose, layout, keys, faces), (mean, std), inputs)


class Normalised(nn.Module):
    """Base class of adapters: holds another project's network, and normalises the images for it.

    Args:
        network: the network.
        mean: channel means that are subtracted from RGB in [0, 1].
        std: channel standard deviations that the result is divided by.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float] = IMAGE_MEAN, std: Sequence[float] = IMAGE_STD
    ) -> None:
        super().__init__()
        self.network = network
        # Not persistent: they describe the given network's input and do not belong to its weights.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalised(self, images: Tensor) -> Tensor:
        """Return RGB (B, 3, S, S) in [0, 1] as the network expects it."""
        return (images - self.mean) / self.std


class _Wrapped(Normalised):
    def __init__(
        self,
        network: nn.Module,
        reader: Reader,
        statistics: tuple[Sequence[float], Sequence[float]],
        inputs: Inputs | None,
    ) -> None:
        super().__init__(network, *statistics)
        self.reader, self.inputs = reader, inputs
        self.uses_view = inputs is not None
        if reader.faces is not None:
            self.register_buffer("faces", reader.faces, persistent=False)

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        normalised = self.normalised(images)
        output = self.network(normalised if self.inputs is None else self.inputs(normalised, view))
        read: Mapping[str, Any] = self.reader.read(output, images.shape[0], getattr(self, "faces", None))
        return Prediction(**read)


class IgnoresView(nn.Module):
    """A `MeshNetwork` of a network that takes images alone and returns a `Prediction`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict for RGB crops (B, 3, S, S) in [0, 1]."""
        prediction: Prediction = self.network(images)
        return prediction
