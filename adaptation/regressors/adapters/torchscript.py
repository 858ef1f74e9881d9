"""Programs of TorchScript that predict points in camera axes, as NLF does (Sarandi and Pons-Moll, NeurIPS 2024).

Such a program sees a crop as a picture of its own, with the camera matrix of that crop, and gives vertices before that
camera. It is run by torch's own interpreter: it is code, so only programs that one trusts are given here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptation.bodies.camera import Perspective
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.views import View
from adaptation.regressors.base import Prediction
from adaptation.regressors.modes import CropRule
from adaptation.regressors.outputs import checked_vertices, keep_faces
from adaptation.support.errors import UserError, reason
from adaptation.support.reading.file_kinds import kind_of, with_article

Call = Callable[[Any, Tensor, Tensor], Any]
"""Calls a program with images (B, 3, S, S) in [0, 1] and the camera matrices (B, 3, 3) of the crops, pixels."""


class TorchScript(nn.Module):
    """A program of TorchScript as a `MeshNetwork`.

    Args:
        program: what `torch.jit.load` returned.
        faces: (F, 3) vertex indices.
        call: calls the program; by default ``program(images, intrinsics)``. Further arguments, such as boxes that cover
            the whole crop, belong here.
        vertices: key of the vertices (B, V, 3) in a dictionary that the program returns; they are the first value of a
            tuple, or the only one.
        unit: metres per unit of the vertices: 0.001 for millimetres.
        crop: how the program's crops are cut, if it needs them so.
    """

    uses_view = True

    def __init__(
        self,
        program: nn.Module,
        faces: Any,
        *,
        call: Call | None = None,
        vertices: str = "vertices3d",
        unit: float = 1.0,
        crop: CropRule | None = None,
    ) -> None:
        super().__init__()
        self.network = program
        self._call, self._key, self._unit, self.crop = call, vertices, unit, crop
        self._named = keep_faces(self, faces)

    def forward(self, images: Tensor, view: View | None = None) -> Prediction:
        """Predict for RGB crops (B, 3, S, S) in [0, 1] and where they lie in their frames."""
        count, size = images.shape[0], images.shape[-1]
        view = View.whole(count, size, images.device) if view is None else view
        intrinsics = view.in_crop(size)
        output = (self._call or _plainly)(self.network, images, intrinsics)
        if isinstance(output, Mapping):
            if self._key not in output:
                raise UserError(
                    f"the program's dictionary has no {self._key}, it has {', '.join(map(str, output))}; name the key "
                    "with TorchScript(..., vertices='KEY')"
                )
            output = output[self._key]
        faces = self.get_buffer("faces")
        given = output[0] if isinstance(output, tuple | list) else output
        points = self._unit * checked_vertices(given, count, self._named)
        # A camera's translation is that of an origin within the body: without one, a person has no scale.
        origin = points.mean(dim=1)
        box = torch.tensor([0.0, 0.0, size, size], device=images.device).expand(count, 4)
        return Prediction(mesh=Meshes(points - origin[:, None], Perspective.of_crop(intrinsics, box, origin), faces))

    @classmethod
    def load(cls, path: Path, faces: Any, **options: Any) -> TorchScript:
        """Load a program; options are those of the class.

        Raises:
            UserError: the file is no program of TorchScript.
        """
        if (kind := kind_of(path)) != "TorchScript file":
            raise UserError(f"{path}: found {with_article(kind)}, expected a program of TorchScript (torch.jit.save)")
        try:
            program = torch.jit.load(str(path), map_location="cpu")
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{path} cannot be loaded: {reason(error)}") from None
        return cls(program, faces, **options).eval()


def _plainly(program: Any, images: Tensor, intrinsics: Tensor) -> Any:
    return program(images, intrinsics)
