"""Crops of the people of a data set, with its labels, as a crop set. Images are read one at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import OPENPOSE, SMPL, JointSet
from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.data.sets.people import Floats, Labels, People, box_of_centre
from adaptation.recording.datasets.set_labels import Models, cameras_of, with_regressed_joints
from adaptation.recording.footage.video import Frames, open_frames
from adaptation.support.errors import UserError
from adaptation.support.image_files import IMAGE_SUFFIXES, Image, read_image
from adaptation.support.reading.findings import found
from adaptation.support.resampling import resample

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CropSettings:
    """How people are cropped.

    Attributes:
        size: side of the crops, pixels.
        enlarge: side of the crops in the frame as a multiple of the set's own boxes, which are SPIN's.
        most: largest number of people; None for all. They are spread evenly over the set.
        labelled: whether people without pose, shape and camera are left out.
    """

    size: int
    enlarge: float = 1.0
    most: int | None = None
    labelled: bool = False

    def boxes(self, people: People) -> Floats:
        """Return the boxes (N, 4) of the crops in frame pixels."""
        x, y, side, _ = people.box.astype(np.float64).T
        return box_of_centre(np.stack([x + side / 2, y + side / 2], axis=1), side * self.enlarge)


def crop_set(
    people: People,
    images: Path,
    folder: Path,
    settings: CropSettings,
    models: Models,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Samples:
    """Crop people out of the images of a data set.

    Args:
        people: people as a reader returns them.
        images: folder that their files are relative to.
        folder: existing folder that pixels are stored in while they are read, so that no set is too large for the
            memory; `Samples.save` to the same folder replaces these files by finished ones.
        settings: how they are cropped.
        models: body models for joints and cameras.
        progress: called with the number of people done and their total.

    Returns:
        The crops, in the order of the set. People whose image is missing are left out, which is said.

    Raises:
        UserError: no image is there, an image is damaged, or a mask does not fit its image.
    """
    people = _with_labels(people, models, settings) if settings.labelled else people
    people = with_regressed_joints(_readable(_some(people, settings.most), images), models)
    pixels = _Pixels(people, images, folder, settings)
    for done, index in enumerate(_by_image(people), start=1):
        pixels.read(int(index))
        progress(done, len(people))
    _list_sources(people, folder / "sources.csv")
    return _samples(people, pixels, models, settings.size)


def _with_labels(people: People, models: Models, settings: CropSettings) -> People:
    """Return the people whose pose, shape and camera are known.

    Raises:
        UserError: nobody's are.
    """
    fitted = cameras_of(people, models, settings.boxes(people), settings.size)
    if fitted is None:
        raise UserError(
            "--labelled: nobody has pose, shape and camera, which take SMPL poses, keypoints and the body model of the "
            "labels (--body, or --male and --female)"
        )
    _, known = fitted
    found(f"{int(known.sum())} of {len(known)} people have pose, shape and camera; the others are left out")
    return people.take(np.flatnonzero(known))


def _some(people: People, most: int | None) -> People:
    if most is None or most >= len(people):
        return people
    return people.take(np.linspace(0, len(people) - 1, most).round().astype(np.int64))


def _readable(people: People, images: Path) -> People:
    """Return the people whose image exists, or whose video is long enough."""
    frames = people.frame if people.frame is not None else np.zeros(len(people), np.int64)
    length: dict[str, int] = {}
    for file in dict.fromkeys(people.files):
        path = images / file
        if not path.is_file():
            length[file] = 0
        else:
            length[file] = np.iinfo(np.int64).max if _is_image(file) else open_frames(path).exact_count()
    kept = np.array([frame < length[file] for file, frame in zip(people.files, frames, strict=True)], bool)
    if not kept.any():
        raise UserError(
            f"no such file: {images / people.files[0]}; --images names the folder that the set's paths start from"
        )
    if not kept.all():
        missing = people.files[int(np.flatnonzero(~kept)[0])]
        found(f"{images}: {int((~kept).sum())} of {len(kept)} people have no image ({missing}, ...); left out")
    return people if kept.all() else people.take(np.flatnonzero(kept))


def _is_image(file: str) -> bool:
    return file.lower().endswith(IMAGE_SUFFIXES)


def _by_image(people: People) -> npt.NDArray[np.intp]:
    """Return the order in which each image is read once, and videos are read forwards."""
    frames = people.frame if people.frame is not None else np.zeros(len(people), np.int64)
    return np.lexsort((frames, np.array(people.files)))


class _Pixels:
    """The pixels of crops, in files of a folder."""

    def __init__(self, people: People, images: Path, folder: Path, settings: CropSettings) -> None:
        self._people, self._root, self._size = people, images, settings.size
        self.box = settings.boxes(people)
        self.frame_size = np.zeros((len(people), 2), np.float32)
        count, size = len(people), settings.size

        def stored(name: str, shape: tuple[int, ...]) -> Bytes:
            return np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.uint8, shape=shape)

        self.images = stored("images.npy", (count, size, size, 3))
        kinds = len(MASK_KINDS)
        self.masks = stored("masks.npy", (count, kinds, size, size)) if people.mask is not None else None
        self.parts = np.zeros((count, size, size), np.uint8) if people.parts is not None else None
        self._last: tuple[tuple[str, int], Image] | None = None
        self._video: Frames | None = None

    def read(self, index: int) -> None:
        """Read the crop, the mask and the parts of one person."""
        image = self._image(index)
        height, width = image.shape[:2]
        self.frame_size[index] = width, height
        left, top, side = (float(value) for value in self.box[index, :3])
        crop = resample(image.astype(np.float32), left, top, side, self._size)
        self.images[index] = np.rint(crop).astype(np.uint8)
        if self._people.mask is not None and self.masks is not None:
            mask = self._labels(self._people.mask, index, (height, width))
            self.masks[index] = resample((mask > 0).astype(np.float32), left, top, side, self._size) >= 0.5
        if self._people.parts is not None and self.parts is not None:
            parts = self._labels(self._people.parts, index, (height, width))
            self.parts[index] = _nearest(parts, left, top, side, self._size)

    def _labels(self, read: Labels, index: int, shape: tuple[int, int]) -> Bytes:
        labels = read(index, shape)
        if labels.shape != shape:
            raise UserError(
                f"{self._people.files[index]}: its mask has {labels.shape[1]} x {labels.shape[0]} pixels, the image "
                f"{shape[1]} x {shape[0]}"
            )
        return labels

    def _image(self, index: int) -> Image:
        file = self._people.files[index]
        video = not _is_image(file)
        frame = int(self._people.frame[index]) if video and self._people.frame is not None else 0
        if self._last is None or self._last[0] != (file, frame):
            path = self._root / file
            if video and (self._video is None or self._video.path != path):
                self._video = open_frames(path)
            image = self._video.frame(frame) if video and self._video is not None else read_image(path)
            self._last = (file, frame), image
        return self._last[1]


def _nearest(labels: Bytes, left: float, top: float, side: float, size: int) -> Bytes:
    """Return labels (H, W) at the centres of a crop's pixels, 0 outside the image."""
    steps = (np.arange(size) + 0.5) * side / size
    columns, rows = np.floor(left + steps).astype(int), np.floor(top + steps).astype(int)
    height, width = labels.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    return np.where(inside, labels[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)], 0).astype(np.uint8)


def _samples(people: People, pixels: _Pixels, models: Models, size: int) -> Samples:
    ratio = size / pixels.box[:, 2]
    joints, keypoints = _common_set(people)
    values: dict[str, Any] = {}
    if keypoints is not None:
        known = keypoints[..., 2:] > 0
        places = (keypoints[..., :2] - pixels.box[:, None, :2]) * ratio[:, None, None]
        values["keypoints"] = np.concatenate([np.where(known, places, 0), keypoints[..., 2:]], 2).astype(np.float32)
    if people.head_size is not None:
        values["head_size"] = people.head_size * ratio
    if (fitted := cameras_of(people, models, pixels.box, size)) is not None:
        values["camera"], values["has_camera"] = fitted
    return Samples(
        images=pixels.images,
        masks=pixels.masks,
        parts=pixels.parts,
        clip=people.clip,
        subject=people.subject,
        view=people.view,
        frame=people.frame,
        box=pixels.box,
        frame_size=pixels.frame_size,
        intrinsics=people.intrinsics,
        joints3d=people.joints3d,
        pose=people.pose,
        betas=people.betas,
        has_pose=people.has_pose,
        joint_set=joints.name,
        body=models.name(people),
        **values,
    )


def _common_set(people: People) -> tuple[JointSet, Floats | None]:
    """Return the joint set of a crop set, which has one, and the keypoints in it."""
    joints = people.joint_set if people.joints3d is None else people.joints3d_set
    if people.keypoints is None or people.joint_set == joints:
        return joints, people.keypoints
    # Among SMPL's joints, detectors know the limbs and the neck.
    close = people.joint_set.placed_in(OPENPOSE, people.keypoints) if joints == SMPL else people.keypoints
    return joints, (OPENPOSE if joints == SMPL else people.joint_set).placed_in(joints, close)


def _list_sources(people: People, path: Path) -> None:
    """Write which image and frame each crop is from."""
    frames = [""] * len(people) if people.frame is None else people.frame.tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["crop", "file", "frame"])
        writer.writerows(zip(range(len(people)), people.files, frames, strict=True))
