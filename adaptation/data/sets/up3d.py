"""UP-3D: SMPL bodies fitted to images of LSP, LSPET, MPII and Fashion Pose.

Sources of the format: up_tools (``render_segmented_views.py``: ``pose``, ``betas``, ``trans``, ``rt``, ``t``, ``f``);
mmhuman3d, ``up3d.py``: for each number ``NNNNN_image.png``, ``NNNNN_joints.npy`` (3, 14) in LSP's order, and
``NNNNN_body.pkl``, and lists of a split such as ``test.txt`` with lines like ``/00001_image.png``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from adaptation.bodies.joint_sets import SPIN
from adaptation.data.sets.lsp import JOINTS
from adaptation.data.sets.people import NEUTRAL, People, box_of_points, expected, turned, with_boxes
from adaptation.support.errors import UserError, reason
from adaptation.support.image_files import natural_key
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.inert_pickle import RefusedError, plain, read_pickle

_IMAGE = "_image.png"


def read_up3d(path: Path, split: str = "all") -> People:
    """Read UP-3D.

    Args:
        path: the folder ``up-3d``.
        split: name of one of its lists, such as "train", "val", "trainval" or "test", or "all" for every image.

    Returns:
        One person per image; poses are in camera axes, and shape coefficients belong to the neutral model.

    Raises:
        UserError: there are no such files, or one is damaged.
    """
    stems = _stems(path, split)
    held = [_body(path / f"{stem}_body.pkl") for stem in stems]
    file = path / f"{stems[0]}_body.pkl"
    count = len(stems)
    joints = [path / f"{stem}_joints.npy" for stem in stems]
    points = np.stack([expected(read_arrays(each)[""], (3, 14), "joints", each).T for each in joints])
    points[..., 2] = points[..., 2] > 0
    pose = expected([np.ravel(each["pose"]) for each in held], (count, 72), "pose", file)
    camera = expected([np.ravel(each["rt"]) for each in held], (count, 3), "rt", file).astype(np.float64)
    rotation = roma.rotvec_to_rotmat(torch.from_numpy(camera)).numpy()
    betas = expected([np.ravel(each["betas"])[:10] for each in held], (count, 10), "betas", file)
    people = People(
        files=tuple(f"{stem}{_IMAGE}" for stem in stems),
        box=box_of_points(points),
        keypoints=JOINTS.placed_in(SPIN, points.astype(np.float32)),
        pose=turned(rotation, pose),
        betas=betas.astype(np.float32),
        gender=(NEUTRAL,) * count,
    )
    return with_boxes(people, path)


def _stems(path: Path, split: str) -> list[str]:
    if split == "all":
        names = sorted((file.name for file in path.glob(f"*{_IMAGE}")), key=natural_key)
    else:
        try:
            names = (path / f"{split}.txt").read_text("utf-8").split()
        except OSError as error:
            raise UserError(
                f"{path / f'{split}.txt'} cannot be read: {error.strerror}; --split all takes all"
            ) from None
    stems = [name.lstrip("/").removesuffix(_IMAGE) for name in names]
    if not stems:
        raise UserError(f"{path}: no *{_IMAGE} of UP-3D")
    return stems


def _body(file: Path) -> dict[str, Any]:
    try:
        held = plain(read_pickle(file.read_bytes()))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except RefusedError as error:
        raise UserError(f"{file} holds objects of {error}, which are not loaded, because that could run code") from None
    except Exception as error:  # damaged pickles raise errors of nearly every type
        raise UserError(f"{file} is damaged, or no pickle: {reason(error)}") from None
    missing = [key for key in ("pose", "betas", "rt") if not isinstance(held, dict) or key not in held]
    if missing:
        raise UserError(f"{file} lacks {', '.join(missing)}, which bodies of UP-3D have")
    return held
