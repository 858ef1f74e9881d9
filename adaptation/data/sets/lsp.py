"""Leeds Sports Pose (LSP), and its extended training set (LSPET) in the original and the high resolution.

Sources of the format: SPIN, ``datasets/preprocess/lsp_dataset.py`` and ``hr_lspet.py``; HMR,
``src/datasets/lsp_to_tfrecords.py``, for the third row: of LSP it marks hidden joints, of LSPET annotated ones. Masks
and parts of LSP come with UPi-S1h (files.is.tuebingen.mpg.de/classner/up).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import SPIN, JointSet
from adaptation.data.sets.matlab import read_mat
from adaptation.data.sets.people import Labels, People, box_of_points, expected, with_boxes
from adaptation.support.errors import UserError
from adaptation.support.image_files import list_images, read_grey

JOINTS = JointSet("lsp_annotated", SPIN.joints[:14])
"""The 14 joints, whose last one is the top of the head."""
_TRAIN, _COUNT = 1000, 2000  # images of LSP: training first, then test
_SPLITS = {"train": slice(0, _TRAIN), "test": slice(_TRAIN, None), "all": slice(None)}


def read_lsp(path: Path, split: str = "test", masks: Path | None = None) -> People:
    """Read LSP.

    Args:
        path: folder with ``joints.mat`` and ``images``.
        split: "train" (the first 1,000 images), "test" (the others) or "all".
        masks: folder of UPi-S1h, with ``data/lsp/im0001_segmentation.png`` and ``im0001_part_segmentation.png``; None
            leaves masks out.

    Returns:
        One person per image. Confidences are 1 for visible and 0.5 for hidden joints, all of which are annotated.

    Raises:
        UserError: there is no such file, or it is damaged or of another set.
    """
    if split not in _SPLITS:
        raise UserError(f"LSP has the splits {', '.join(_SPLITS)}, not {split!r}")
    file = path / "joints.mat"
    joints = expected(read_mat(file, ("joints",))["joints"], (3, 14, None), "joints", file).transpose(2, 1, 0)
    if len(joints) != _COUNT:
        raise UserError(f"{file}: {len(joints)} people, expected the {_COUNT} of LSP; LSPET is the format lspet")
    numbers = np.arange(_COUNT)[_SPLITS[split]]
    points = joints[numbers].astype(np.float32)
    points[..., 2] = np.where(points[..., 2] > 0, 0.5, 1)
    names = [f"im{number + 1:04d}" for number in numbers]
    people = _people(tuple(f"images/{name}.jpg" for name in names), points)
    if masks is not None:
        people = _with_masks(people, [masks / "data" / "lsp" / name for name in names])
    return with_boxes(people, file)


def read_lspet(path: Path) -> People:
    """Read LSPET.

    Args:
        path: folder with ``joints.mat``, and with ``images/im00001.jpg`` (original) or ``im00001.png`` (high
            resolution, in which some numbers are missing).

    Returns:
        One person per image. Joints that are not annotated have a confidence of 0.

    Raises:
        UserError: there is no such file, or it is damaged or of another set.
    """
    file = path / "joints.mat"
    joints = expected(read_mat(file, ("joints",))["joints"], (14, 3, None), "joints", file).transpose(2, 0, 1)
    folder = path / "images" if (path / "images").is_dir() else path
    images = list_images(folder)
    if len(images) != len(joints):
        raise UserError(f"{folder} has {len(images)} images, {file} {len(joints)} people; LSPET has as many")
    points = joints.astype(np.float32)
    known = points[..., 2:] > 0
    points = np.where(known, points, 0)
    points[..., 2] = known[..., 0]
    return with_boxes(_people(tuple(image.relative_to(path).as_posix() for image in images), points), file)


def _people(files: tuple[str, ...], points: npt.NDArray[np.float32]) -> People:
    return People(files, box_of_points(points), keypoints=JOINTS.placed_in(SPIN, points))


def _with_masks(people: People, stems: list[Path]) -> People:
    def reader(ending: str) -> Labels:
        return lambda person, shape: read_grey(stems[person].with_name(f"{stems[person].name}_{ending}.png"))

    return replace(people, mask=reader("segmentation"), parts=reader("part_segmentation"))
