"""SAM 3D Body (Meta, 2025; github.com/facebookresearch/sam-3d-body), through the vertices that it predicts.

The network takes square crops with the place of each in its frame and the frame's camera matrix. Of what its body
decoder returns, ``pred_vertices`` and ``pred_keypoints_3d`` (camera axes, metres) and ``pred_cam_t`` are used: vertex X
appears at K (X + pred_cam_t). Its own body model, MHR, is not among the bodies that priors, shapes and fits here know.
The prompt for masks stays empty.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptation.bodies.camera import Perspective
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.views import Margins, View
from adaptation.regressors.adapters.checkpoints import load_weights, public_module
from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import CropRule
from adaptation.regressors.outputs import checked_vertices, keep_faces, tensor
from adaptation.support.errors import UserError

_PROJECT = "github.com/facebookresearch/sam-3d-body"
# Columns that the network cuts off each side of its crops, as a share, by the type of its backbone; 0 for others.
_CUT = {"vit_hmr": 32 / 256, "vit": 32 / 256, "vit_hmr_512_384": 64 / 512}


class SAM3DBody(nn.Module):
    """SAM 3D Body as a `MeshNetwork`.

    Args:
        network: the project's network, such as ``sam_3d_body.load_sam_3d_body(...)[0]``. It normalises images itself.
            What it has frozen, such as its body model, stays frozen.
        size: side of its crops, pixels; None takes it from the network's settings.
    """

    uses_view = True

    def __init__(self, network: Any, size: int | None = None) -> None:
        super().__init__()
        self.network = network
        settings = getattr(getattr(network, "cfg", None), "MODEL", None)
        side = size or (settings.IMAGE_SIZE[0] if settings is not None else None)
        if side is None:
            raise UserError("SAM3DBody: the network has no settings that say the size of its crops; give size=")
        # 1.25 times the person's box, which is widened or heightened to 3:4 before.
        self.crop = CropRule(int(side), padding=1.25, aspect=0.75)
        cut = _CUT.get(settings.BACKBONE.TYPE, 0.0) if settings is not None else 0.0
        self.visible = Margins(left=cut, right=cut)
        self._named = keep_faces(self, network.head_pose.faces.detach())

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict for RGB crops (B, 3, S, S) in [0, 1] and where they lie in their frames."""
        view = View.whole(images.shape[0], images.shape[-1], images.device) if view is None else view
        batch = self._batch(images, view)
        self.network._initialize_batch(batch)  # the project's own first step
        output = self.network.forward_step(batch, decoder_type="body")["mhr"]
        faces = self.get_buffer("faces")
        vertices = checked_vertices(output["pred_vertices"], images.shape[0], self._named)
        moved = tensor("pred_cam_t", output["pred_cam_t"]).float()
        camera = Perspective.of_crop(view.intrinsics, view.box, moved)
        return Prediction(mesh=Meshes(vertices, camera, faces, output["pred_keypoints_3d"].float()))

    @staticmethod
    def _batch(images: Tensor, view: View) -> dict[str, Tensor]:
        """Return the network's input: one person, (B, 1, ...), in each of B images."""
        count, size = images.shape[0], images.shape[-1]
        zoom = size / view.side
        affine = torch.zeros(count, 2, 3, dtype=images.dtype, device=images.device)  # frame pixels to crop pixels
        affine[:, 0, 0] = affine[:, 1, 1] = zoom
        affine[:, :, 2] = -view.box[:, :2] * zoom[:, None]
        persons = {
            "img": images,
            "img_size": torch.full_like(view.frame_size, float(size)),
            "ori_img_size": view.frame_size,
            "bbox_center": view.centre,
            "bbox_scale": view.box[:, 2:],
            "bbox": torch.cat([view.box[:, :2], view.box[:, :2] + view.box[:, 2:]], dim=1),
            "affine_trans": affine,
            "mask": torch.zeros(count, 1, size, size, dtype=images.dtype, device=images.device),
            "mask_score": torch.zeros(count, dtype=images.dtype, device=images.device),
            "person_valid": torch.ones(count, dtype=images.dtype, device=images.device),
        }
        return {**{name: value[:, None] for name, value in persons.items()}, "cam_int": view.intrinsics}

    @classmethod
    def load(cls, checkpoint: Path, mhr: Path, config: Path | None = None) -> SAM3DBody:
        """Build SAM 3D Body by its project's code, and load the weights of a checkpoint, of which nothing is executed.

        Args:
            checkpoint: ``model.ckpt``.
            mhr: ``mhr_model.pt``, a program of TorchScript, which the project runs.
            config: ``model_config.yaml``; None for the one beside the checkpoint.

        Raises:
            UserError: the project is not installed, or the checkpoint does not fit.
        """
        configs = public_module("sam_3d_body.utils.config", _PROJECT)
        models = public_module("sam_3d_body.models.meta_arch", _PROJECT)
        settings = configs.get_config(str(config or checkpoint.parent / "model_config.yaml"))
        settings.defrost()
        settings.MODEL.MHR_HEAD.MHR_MODEL_PATH = str(mhr)
        settings.freeze()
        network = models.SAM3DBody(settings)
        load_weights(network, checkpoint, optional=("head_pose.mhr.", "head_pose_hand.mhr."))
        return cls(network).eval()
