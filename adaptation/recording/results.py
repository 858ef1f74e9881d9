"""Results of one person: typed arrays, and the npz file that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptation.bodies.camera import Perspective, WeakPerspective, crop_to_frame, project
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.bodies.views import Placement
from adaptation.fitting.starts import BestFit
from adaptation.recording.crops import Crop, view_of
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.support.reading.array_files import names_of_arrays, read_arrays

Array = NDArray[np.float32]

# Shape of each array after its leading dimension N.
_SHAPES: dict[str, tuple[int, ...]] = {
    "frame": (),
    "box": (4,),
    "pose": (len(SMPL), 3),
    "betas": (SHAPE_DIRECTIONS,),
    "camera": (3,),
    "joints3d": (len(SMPL), 3),
    # Frame pixels, unlike the camera: results can be drawn into the recording without the crops.
    "joints2d": (len(SMPL), 2),
    "iou_before": (),
    "iou_after": (),
    "loss_before": (),
    "loss_after": (),
    "start_pose": (len(SMPL), 3),
    "start_betas": (SHAPE_DIRECTIONS,),
    "start_camera": (3,),
}
# Arrays that files of earlier versions lack.
_PLACES: dict[str, tuple[int, ...]] = {
    "intrinsics": (3, 3),
    "rotation": (3, 3),
    "translation": (3,),
    "perspective": (),
}
_AGREEMENT = ("iou_before", "iou_after", "loss_before", "loss_after")


@dataclass(frozen=True)
class PersonResult:
    """Bodies of one person in N frames. Arrays are float32 except ``frame``; joints are in SMPL's order.

    "Before" is the start (starting pose of a fit, or prediction before adaptation), "after" is the result. IoU and loss
    are NaN, all of them, for bodies that were fitted to keypoints of people without masks.

    Attributes:
        frame: (N,) int64, 0-based in decode order.
        box: (N, 4) x, y, w, h of the square crop in frame pixels.
        pose: (N, 24, 3) axis-angle, radians; joint 0 is the global orientation in camera axes.
        betas: (N, 10) shape coefficients.
        camera: (N, 3) weak-perspective camera (s, tx, ty) of the crop.
        joints3d: (N, 24, 3) joints in camera axes, metres; the origin is that of the body model.
        joints2d: (N, 24, 2) projected joints, frame pixels.
        iou_before: (N,) IoU of silhouette and mask at the start.
        iou_after: (N,) IoU of the result.
        loss_before: (N,) L_T at the start: mean distance between the skeletons of silhouette and mask, pixels of
            the crop.
        loss_after: (N,) L_T of the result.
        start_pose: (N, 24, 3) pose of the start.
        start_betas: (N, 10) shape coefficients of the start.
        start_camera: (N, 3) camera of the start.
        intrinsics: (N, 3, 3) camera matrix K, frame pixels. A joint X of ``joints3d`` is at R X + t in camera axes,
            metres, and appears at K (R X + t). This and the next three are None in files of earlier versions.
        rotation: (N, 3, 3) R; the identity for bodies that were predicted in perspective.
        translation: (N, 3) t, metres.
        perspective: (N,) 1 for bodies that were predicted in perspective, 0 under weak perspective.
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
    intrinsics: Array | None = None
    rotation: Array | None = None
    translation: Array | None = None
    perspective: Array | None = None

    def __post_init__(self) -> None:
        # Also checks files that another version wrote, of which a wrong shape is the likeliest defect.
        count = len(self.frame)
        for name, shape in {**_SHAPES, **_PLACES}.items():
            array = getattr(self, name)
            if array is None and name in _PLACES:
                continue
            if array.shape != (count, *shape):
                raise ValueError(f"{name} must have shape {(count, *shape)}, got {array.shape}")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def judged(self) -> bool:
        """Whether the agreement with masks is known."""
        return not any(bool(np.isnan(getattr(self, name)).any()) for name in _AGREEMENT)

    def bodies(self, index: Sequence[int]) -> Bodies:
        """Return the bodies of some frames, given by their positions in the result."""
        bodies = _bodies(self.pose, self.betas, self.camera, index)
        if self.perspective is None or self.intrinsics is None or self.translation is None:
            return bodies
        chosen = list(index)
        if not len(chosen) or not self.perspective[chosen].all():
            return bodies
        parts = (torch.from_numpy(part[chosen]) for part in (self.intrinsics, self.box, self.translation))
        return replace(bodies, camera=Perspective.of_crop(*parts))

    def starts(self, index: Sequence[int]) -> Bodies:
        """Return the starts of some frames, given by their positions in the result."""
        return _bodies(self.start_pose, self.start_betas, self.start_camera, index)

    def save(self, path: Path) -> None:
        """Write the arrays to an npz file. A write that fails leaves no partial file."""
        with whole_file(path) as file:
            arrays = {f.name: array for f in fields(self) if (array := getattr(self, f.name)) is not None}
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> PersonResult:
        """Read a file that `save` wrote.

        Raises:
            UserError: the file is missing, damaged or of another kind, lacks arrays of this class, or holds numbers
                that are not finite.
        """
        arrays = read_arrays(path, (*_SHAPES, *_PLACES))
        if "pose" not in arrays and "vertices" in names_of_arrays(path):
            raise UserError(f"{path} holds meshes without a body model, as networks without one predict them")
        if missing := [name for name in _SHAPES if name not in arrays]:
            raise UserError(f"{path} is not a result of `topo-adapt fit`: it lacks {', '.join(missing)}")
        for name, array in arrays.items():
            kind = np.int64 if name == "frame" else np.float32
            finite = array.dtype.kind in "fiu" and np.isfinite(array)
            unknown = name in _AGREEMENT and array.dtype.kind == "f" and np.isnan(array).all()
            if array.dtype.kind not in "fiu" or not (np.all(finite) or unknown):
                raise UserError(f"{path}: {name} must hold finite numbers, got {array.dtype} of shape {array.shape}")
            # Programs that change a file often write float64.
            arrays[name] = array.astype(kind)
        try:
            return cls(**arrays)
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} is not a result of `topo-adapt fit`: {error}") from None


def _bodies(pose: Array, betas: Array, camera: Array, index: Sequence[int]) -> Bodies:
    poses, shapes, cameras = (torch.from_numpy(part[list(index)]).float() for part in (pose, betas, camera))
    return Bodies(rotvec_to_matrix(poses), shapes, WeakPerspective(cameras))


def person_result(crops: Sequence[Crop], best: BestFit, joints: Tensor) -> PersonResult:
    """Collect the result of one person.

    Args:
        crops: N crops of one track, in order.
        best: body and start of each crop, with their agreement with the masks.
        joints: (N, J, 3) joints of the bodies in camera axes, metres.
    """
    box = torch.tensor([crop.box for crop in crops], dtype=joints.dtype, device=joints.device)
    # All crops of a run have one size.
    size = len(crops[0].mask)
    joints2d = crop_to_frame(project(joints, best.fitted.camera, size), box, size)
    view = view_of(crops, joints.device)
    place = Placement.of(best.fitted.camera, view)
    seen = isinstance(best.fitted.camera, Perspective)

    def array(value: Tensor) -> Array:
        numbers: Array = value.detach().float().cpu().numpy()
        return numbers

    return PersonResult(
        frame=np.array([crop.frame for crop in crops], np.int64),
        box=array(box),
        pose=array(best.fitted.pose),
        betas=array(best.fitted.betas),
        camera=array(best.fitted.camera.weak().parameters),
        joints3d=array(joints),
        joints2d=array(joints2d),
        iou_before=array(best.before.iou),
        iou_after=array(best.after.iou),
        loss_before=array(best.before.topology),
        loss_after=array(best.after.topology),
        start_pose=array(best.start.pose),
        start_betas=array(best.start.betas),
        start_camera=array(best.start.camera.weak().parameters),
        intrinsics=array(place.intrinsics),
        rotation=array(place.rotation),
        translation=array(place.translation),
        perspective=np.full(len(crops), seen, np.float32),
    )
