"""What fitting gives for one person: typed arrays, and the npz file they are kept in."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adaptation.support.errors import UserError
from adaptation.support.files import whole_file

Array = NDArray[np.float32]

# Shape of each array behind its leading N.
_SHAPES: dict[str, tuple[int, ...]] = {
    "frame": (),
    "box": (4,),
    "pose": (24, 3),
    "betas": (10,),
    "camera": (3,),
    "joints3d": (24, 3),
    "joints2d": (24, 2),
    "iou_before": (),
    "iou_after": (),
    "loss_before": (),
    "loss_after": (),
    "start_pose": (24, 3),
    "start_betas": (10,),
    "start_camera": (3,),
}


@dataclass(frozen=True)
class PersonResult:
    """One person in N frames. All float32 but ``frame``; SMPL's joint order.

    Attributes:
        frame: (N,) int64, 0-based in decode order.
        box: (N, 4) x y w h of the square crop in frame pixels.
        pose: (N, 24, 3) axis-angle, joint 0 is the global orientation in camera axes.
        betas: (N, 10) shape coefficients.
        camera: (N, 3) weak perspective (s, tx, ty) of the crop.
        joints3d: (N, 24, 3) metres, camera axes, origin where the body model has it.
        joints2d: (N, 24, 2) frame pixels.
        iou_before: (N,) of the silhouette and the mask at the starting pose.
        iou_after: (N,) after the fit.
        loss_before: (N,) L_T at the starting pose: mean pixels of the crop between the two skeletons.
        loss_after: (N,) after the fit.
        start_pose: (N, 24, 3) the starting pose of the fit that was kept.
        start_betas: (N, 10).
        start_camera: (N, 3).
    """

    frame: NDArray[np.int64]
    box: Array
    pose: Array
    betas: Array
    camera: Array
    joints3d: Array
    joints2d: Array
    iou_before: Array
    iou_after: Array
    loss_before: Array
    loss_after: Array
    start_pose: Array
    start_betas: Array
    start_camera: Array

    def __post_init__(self) -> None:
        count = len(self.frame)
        for field in fields(self):
            shape = getattr(self, field.name).shape
            if shape != (count, *_SHAPES[field.name]):
                raise ValueError(f"{field.name} must have shape {(count, *_SHAPES[field.name])}, got {shape}")

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        """Write an npz of plain arrays; the file appears whole or not at all."""
        with whole_file(path) as file:
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> PersonResult:
        """Read such a file.

        Raises:
            UserError: missing, not an npz, or without the arrays of this class.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(**{field.name: data[field.name] for field in fields(cls)})
        except FileNotFoundError:
            raise UserError(f"no such file: {path}") from None
        except (EOFError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is not a result of `topo-adapt fit`: {error}") from None
