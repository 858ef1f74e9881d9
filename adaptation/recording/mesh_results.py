"""Results of one person whose network predicts a mesh of its own: arrays, and the npz file that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaptation.bodies.camera import Perspective, crop_to_frame, project
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.views import Placement, View
from adaptation.fitting.silhouette_fitter import Evaluation
from adaptation.recording.crops import Crop, view_of
from adaptation.recording.results import PersonResult
from adaptation.support.files import whole_file

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MeshResult:
    """Meshes of one person in N frames, on the CPU.

    "Before" is the prediction before an adaptation, "after" is the result; without an adaptation they are equal.

    Attributes:
        frame: (N,) int64, 0-based in decode order.
        view: the N crops in their frames.
        size: side of the crops, pixels.
        before: N meshes before the adaptation.
        after: N meshes of the result.
        judged_before: agreement of ``before`` with the masks.
        judged_after: agreement of ``after`` with the masks.
    """

    frame: NDArray[np.int64]
    view: View
    size: int
    before: Meshes
    after: Meshes
    judged_before: Evaluation
    judged_after: Evaluation

    @classmethod
    def of(
        cls, crops: Sequence[Crop], before: tuple[Meshes, Evaluation], after: tuple[Meshes, Evaluation]
    ) -> MeshResult:
        """Collect the result of one person from N crops of one track, in order."""
        frame = np.array([crop.frame for crop in crops], np.int64)
        meshes, judged = (before[0].to("cpu"), after[0].to("cpu")), (before[1].to("cpu"), after[1].to("cpu"))
        return cls(frame, view_of(crops), len(crops[0].mask), *meshes, *judged)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def judged(self) -> bool:
        """Whether the agreement with masks is known: always, since predictions are made for masks."""
        return True

    @property
    def box(self) -> Array:
        """(N, 4) x, y, w, h of the square crop in frame pixels."""
        return self.view.box.numpy()

    @property
    def iou_before(self) -> Array:
        """(N,) IoU of silhouette and mask before."""
        return self.judged_before.iou.numpy()

    @property
    def iou_after(self) -> Array:
        """(N,) IoU of silhouette and mask of the result."""
        return self.judged_after.iou.numpy()

    @property
    def loss_before(self) -> Array:
        """(N,) L_T before, pixels of the crop."""
        return self.judged_before.topology.numpy()

    @property
    def loss_after(self) -> Array:
        """(N,) L_T of the result, pixels of the crop."""
        return self.judged_after.topology.numpy()

    def bodies(self, index: Sequence[int]) -> Meshes:
        """Return the meshes of some frames, given by their positions in the result."""
        return self.after.select(torch.tensor(list(index), dtype=torch.int64))

    def starts(self, index: Sequence[int]) -> Meshes:
        """Return the meshes before, of some frames, given by their positions in the result."""
        return self.before.select(torch.tensor(list(index), dtype=torch.int64))

    def save(self, path: Path) -> None:
        """Write the result to an npz file; docs/your_model.md lists its arrays. A failed write leaves no file."""
        mesh, place = self.after, Placement.of(self.after.camera, self.view)
        arrays: dict[str, Any] = {
            "vertices": mesh.vertices,
            "faces": mesh.faces,
            "camera": mesh.camera.weak().parameters,
            "box": self.view.box,
            "intrinsics": place.intrinsics,
            "rotation": place.rotation,
            "translation": place.translation,
            "perspective": torch.full((len(self),), float(isinstance(mesh.camera, Perspective))),
            **{name: getattr(self, name) for name in _MEASURES},
        }
        if mesh.joints is not None:
            arrays["joints3d"] = mesh.joints
            arrays["joints2d"] = crop_to_frame(project(mesh.joints, mesh.camera, self.size), self.view.box, self.size)
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        with whole_file(path) as file:
            np.savez_compressed(file, frame=self.frame, **arrays)


Result = PersonResult | MeshResult
"""Results of one person, of either kind."""
_MEASURES = ("iou_before", "iou_after", "loss_before", "loss_after")
