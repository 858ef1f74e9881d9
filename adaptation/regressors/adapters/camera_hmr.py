"""CameraHMR (Patel and Black, 3DV 2025; github.com/pixelite1201/CameraHMR), which is conditioned on the camera.

The network takes a dictionary with ``img``, square crops of 256 pixels, of which it cuts 32 columns off each side, and
where they lie: ``box_center`` (x, y), ``box_size``, ``img_size`` (height, width) and ``cam_int``. It returns the
parameters of SMPL or SMPL-X, (s, tx, ty) and the focal length. The body is placed in the frame by CLIFF's formula, with
the principal point in the middle of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adaptation.bodies.camera import Camera, WeakPerspective
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.views import Margins, View, in_frame
from adaptation.regressors.adapters.checkpoints import load_weights, public_module
from adaptation.regressors.base import Normalised, Prediction
from adaptation.regressors.modes import CropRule
from adaptation.regressors.outputs import Reader, checked_vertices, keep_faces
from adaptation.support.errors import UserError

SIZE = 256
_PROJECT = "github.com/pixelite1201/CameraHMR"


class CameraHMR(Normalised):
    """CameraHMR as a `MeshNetwork`.

    Args:
        network: the project's network.
        layer: the body model that makes vertices of the parameters, such as ``smplx.SMPLXLayer``. With None, the
            parameters are SMPL's, and the body model of the command (``--body``) makes them.
    """

    visible = Margins(left=32 / SIZE, right=32 / SIZE)
    crop = CropRule(SIZE)
    uses_view = True

    def __init__(self, network: nn.Module, layer: nn.Module | None = None) -> None:
        super().__init__(network)
        self._reader = Reader()
        # In a tuple: a body model is not among the weights that are trained and saved.
        self._layer = (layer.eval().requires_grad_(False),) if layer is not None else None
        self._named = keep_faces(self, None if layer is None else layer.faces)

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict for RGB crops (B, 3, 256, 256) in [0, 1] and where they lie in their frames."""
        view = View.whole(images.shape[0], SIZE, images.device) if view is None else view
        batch = {
            "img": self.normalised(images),
            "box_center": view.centre,
            "box_size": view.side,
            "img_size": view.frame_size.flip(1),
            "cam_int": view.intrinsics,
        }
        parameters, camera, _ = self.network(batch)
        seen = in_frame(WeakPerspective(camera), view.centred())
        if self._layer is not None:
            return self._mesh(parameters, seen)
        whole = self._reader.read({**parameters, "camera": camera}, images.shape[0])["parameters"]
        return Prediction(Bodies(whole.rotations, whole.betas, seen))

    def _mesh(self, parameters: Mapping[str, Tensor], camera: Camera) -> Prediction:
        assert self._layer is not None
        (layer,), count = self._layer, len(camera)
        if next(layer.buffers()).device != camera.scale.device:
            layer.to(camera.scale.device)
        posed: Any = layer(**{name: value.float() for name, value in parameters.items()})
        faces = self.get_buffer("faces")
        vertices = checked_vertices(posed.vertices, count, self._named)
        if parameters["body_pose"].shape[1] + 1 != len(SMPL):
            return Prediction(mesh=Meshes(vertices, camera, faces, posed.joints))
        bodies = self._reader.read({**parameters, "camera": camera.weak().parameters}, count)["parameters"]
        mesh = Meshes(vertices, camera, faces, posed.joints[:, : len(SMPL)], SMPL.name)
        return Prediction(Bodies(bodies.rotations, bodies.betas, camera), mesh=mesh)

    @classmethod
    def load(cls, checkpoint: Path, *, model: str = "smpl", layer: nn.Module | None = None) -> CameraHMR:
        """Build CameraHMR by its project's code, and load the weights of a checkpoint, of which nothing is executed.

        Args:
            checkpoint: Lightning's ``.ckpt``.
            model: "smpl" or "smplx".
            layer: as for the class; SMPL-X needs it.

        Raises:
            UserError: the project is not installed, or the checkpoint does not fit.
        """
        if model == "smplx" and layer is None:
            raise UserError("CameraHMR's SMPL-X parameters need their body model: give layer=smplx.SMPLXLayer(...)")
        network = public_module("core.camerahmr_model", _PROJECT).CameraHMR(model_type=model)
        load_weights(network, checkpoint)
        return cls(network, layer).eval()
