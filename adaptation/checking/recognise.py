"""Recognise what an input is by what it holds.

Modules that need torch are imported where they are used: a recording, the usual input, is recognised without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from safetensors import SafetensorError, safe_open

from adaptation.recording.footage.video import is_picture
from adaptation.support.errors import UserError
from adaptation.support.files import MARKER
from adaptation.support.image_files import list_images, read_pixels
from adaptation.support.reading.array_files import names_of_arrays
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.inert_pickle import read_pickle

Kind = Literal["recording", "masks", "crops", "keypoints", "network", "prior", "poses", "body", "person", "results"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NETWORKS = (
    "PyTorch checkpoint", "TorchScript file", "program of torch.export", "ONNX model", "Keras model", "HDF5 file",
)  # fmt: skip
FEW_IMAGES = 5
MASK_VALUES = 16  # two or three, and one more for each person
_BODY = {"v_template", "shapedirs"}
_PERSON = {"frame", "box", "joints3d"}
_SPIN = {"imgname", "center", "scale"}


def recognise(name: str) -> Kind:
    """Return what kind of input this is.

    Args:
        name: path of a file or folder, "small", or ``package.module:function``.

    Raises:
        UserError: the input is missing, or is none of these kinds; the message says what it is.
    """
    path = Path(name)
    if path.is_dir():
        return _folder(path)
    if name == "small" or (re.fullmatch(r"[\w.]+:\w+", name) and not path.exists()):
        return "network"
    kind = kind_of(path)
    match kind:
        # The reader of networks says what to do with those that it cannot read.
        case _ if kind in _NETWORKS:
            return "network"
        case "safetensors file":
            return "prior" if _is_prior(path) else "network"
        case "Python pickle":
            return _pickle(path)
        case "npz file of NumPy":
            return _arrays(set(names_of_arrays(path)), path)
        case "npy file of NumPy":
            return "poses"
        case _ if kind.endswith(" image") and is_picture(path):
            raise UserError(f"{path} is a single image; expected the folder that holds the images, or a video")
        case "JSON file":
            raise UserError(
                f"{path} is a single JSON file; expected the folder that holds the keypoints of all images; topo-adapt "
                "dataset coco reads COCO's people"
            )
        case "MATLAB file":
            raise UserError(f"{path} is a MATLAB file; topo-adapt dataset reads those of some data sets")
    # Whatever is left can only be a video; if it is none, its reader says so.
    return "recording"


def _folder(path: Path) -> Kind:
    from adaptation.data.samples import is_crop_set

    if is_crop_set(path):
        return "crops"
    if (path / MARKER).is_file():
        return "results"
    if images := list_images(path):
        return "masks" if _are_masks(images) else "recording"
    if any(path.glob("*.json")):
        return "keypoints"
    raise UserError(
        f"{path}: this folder holds no images (png, jpg, bmp), no crops (images.npy), no keypoints (JSON) and no "
        f"results of topo-adapt ({MARKER})"
    )


def _are_masks(files: Sequence[Path]) -> bool:
    """Return whether images have as few values as masks; some of a folder are looked at."""
    most = 0
    for file in files[:: max(1, len(files) // FEW_IMAGES)]:
        # Photographs have many colours in a part of their pixels, too.
        values = len(np.unique(read_pixels(file)[::8, ::8].reshape(-1, 3), axis=0))
        if values > MASK_VALUES:
            return False
        most = max(most, values)
    return most > 1  # images of one value are empty masks or a dark scene


def _arrays(names: set[str], path: Path) -> Kind:
    if names >= _BODY:
        return "body"
    if names >= _PERSON:
        return "person"
    if names >= _SPIN and not names & {"pose", "body_pose"}:
        raise UserError(f"{path} describes people in images, without poses; topo-adapt dataset spin crops them")
    return "poses"


def _pickle(path: Path) -> Kind:
    """Recognise a pickle without executing it."""
    try:
        held = read_pickle(path.read_bytes())
    # Whatever is wrong with it, the reader of body models says so.
    except Exception:
        return "body"
    names = set(held) if isinstance(held, dict) else set()
    return "poses" if names & {"poses", "pose", "global_orient", "root_orient"} and not names >= _BODY else "body"


def _is_prior(path: Path) -> bool:
    """Return whether a safetensors file is a pose prior rather than a regressor."""
    from adaptation.priors.latent import FORMAT

    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except SafetensorError:
        return False  # the reader of regressors says what is wrong
