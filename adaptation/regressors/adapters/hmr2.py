"""HMR2.0 (Goel et al., ICCV 2023; github.com/shubham-goel/4D-Humans) and TokenHMR, whose network is called alike.

The network takes a dictionary with ``img``, square crops of 256 pixels, of which it cuts 32 columns off each side. It
returns ``pred_cam`` (s, tx, ty), ``pred_smpl_params`` and, from its own SMPL, ``pred_vertices``. Its camera is a
pinhole in the middle of the crop with a focal length of 5000 pixels of the crop: tz = 2 * 5000 / (256 s), nearly weak
perspective.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptation.bodies.camera import Perspective
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.views import Margins, View
from adaptation.regressors.adapters.checkpoints import load_weights, public_module
from adaptation.regressors.base import Normalised, Prediction
from adaptation.regressors.modes import CropRule
from adaptation.regressors.outputs import Reader, checked_vertices, keep_faces

SIZE = 256
FOCAL = 5000.0
"""Focal length of the network's camera, pixels of the crop."""
_PROJECT = "github.com/shubham-goel/4D-Humans"


class HMR2(Normalised):
    """HMR2.0 or TokenHMR as a `MeshNetwork`.

    It predicts parameters of SMPL and, if the network has its SMPL, the mesh and the joints that its own SMPL makes of
    them.

    Args:
        network: the project's network, such as ``hmr2.models.load_hmr2()[0]``.
    """

    visible = Margins(left=32 / SIZE, right=32 / SIZE)
    # A person's box is widened or heightened to 192 x 256, and the crop is its longer side.
    crop = CropRule(SIZE, padding=1.0, aspect=192 / 256)

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self._reader = Reader()
        faces = getattr(getattr(network, "smpl", None), "faces", None)
        self._named = keep_faces(self, faces)

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict for RGB crops (B, 3, 256, 256) in [0, 1]; the view is not used."""
        count = images.shape[0]
        output = self.network({"img": self.normalised(images)})
        bodies: Bodies = self._reader.read(output, count)["parameters"]
        camera = crop_pinhole(bodies.camera.scale, bodies.camera.offset)
        parameters = Bodies(bodies.rotations, bodies.betas, camera)
        faces = self.get_buffer("faces") if self.faces is not None else None
        if faces is None or "pred_vertices" not in output:
            return Prediction(parameters)
        vertices = checked_vertices(output["pred_vertices"], count, self._named)
        return Prediction(parameters, mesh=Meshes(vertices, camera, faces, output.get("pred_keypoints_3d")))

    @classmethod
    def load(cls, checkpoint: Path, config: Path | None = None) -> HMR2:
        """Build HMR2.0 by its project's code, and load the weights of a checkpoint, of which nothing is executed.

        The project reads SMPL's files from its own folders.

        Args:
            checkpoint: Lightning's ``.ckpt``.
            config: ``model_config.yaml``; None for the one two folders above, where the project keeps it.

        Raises:
            UserError: the project is not installed, or the checkpoint does not fit.
        """
        configs, models = (public_module(f"hmr2.{name}", _PROJECT) for name in ("configs", "models"))
        path = config or checkpoint.parent.parent / "model_config.yaml"
        settings: Any = configs.get_config(str(path), update_cachedir=True)
        settings.defrost()
        # Weights of the backbone alone, which the checkpoint replaces.
        settings.MODEL.BACKBONE.pop("PRETRAINED_WEIGHTS", None)
        settings.freeze()
        network = models.HMR2(settings, init_renderer=False)
        load_weights(network, checkpoint, optional=("smpl.", "discriminator.", "initialized"))
        return cls(network).eval()


def crop_pinhole(scale: Tensor, offset: Tensor, focal: float = FOCAL, size: int = SIZE) -> Perspective:
    """Return pinhole cameras in the middle of crops.

    Args:
        scale: (B, 1) half sides of the crop per metre at the body's origin.
        offset: (B, 2) place of the body's origin in crop coordinates under weak perspective.
        focal: focal length, pixels of the crop.
        size: side of the crop, pixels.
    """
    middle = torch.zeros_like(offset)
    # In half sides of the crop, as `Perspective` has it.
    lens = torch.full_like(offset, 2 * focal / size)
    origin = torch.cat([middle, torch.ones_like(scale)], dim=1)
    return Perspective(lens, middle, origin).moved(scale, offset)
