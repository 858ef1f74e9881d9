"""Read files of poses: those of AMASS, SPIN, smplx, 4D-Humans and this project.

They differ in keys, in the number of joints and in the form of rotations. Numbers of the wrong form still give bodies,
so each form is recognised by its values, and what is not plausible is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import roma
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.rotations import Layout, rot6d_to_matrix
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.support.errors import UserError, reason
from adaptation.support.reading.array_files import read_arrays
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.findings import found
from adaptation.support.reading.inert_pickle import RefusedError, plain, read_pickle
from adaptation.support.reading.torch_files import read_torch

Array = npt.NDArray[Any]
FEWEST = 40
"""Least number of poses of a file: one in 20 is held out, and measuring a prior between two poses needs two of them."""
# SMPL-H and SMPL-X share the first 22 joints with SMPL; they have fingers where SMPL has hands.
_SHARED = 22
_JOINTS = (_SHARED, len(SMPL), 52, 55)  # the shared joints alone, SMPL, SMPL-H, SMPL-X
_WHOLE = ("poses", "pose", "fullpose", "full_pose", "smpl_poses")
_ROOT, _BODY = ("global_orient", "root_orient"), ("body_pose", "pose_body")
_FLAGS = "has_smpl"  # of SPIN: 0 where there is no fit, and the pose has no meaning
_FORMS = {(3,): "axis-angle", (6,): "six numbers", (3, 3): "rotation matrices"}
_LAYOUTS: tuple[Layout, ...] = ("interleaved", "concatenated")
_ADVICE = "save axis-angle in radians, such as scipy's Rotation.as_rotvec() gives, as poses (N, 72)"
_LIMIT = 2 * math.pi
_TOLERANCE = 1e-2  # of the length and the products of the columns of a rotation matrix
_BONES_ALIKE = 0.25  # relative difference of bone lengths within which joints are those of a body


def read_poses(path: Path, fewest: int = FEWEST) -> Tensor:
    """Read poses from a file.

    Args:
        path: npz file, npy file, pickle or file of torch.save, with one of

            - ``poses`` or ``pose`` (N, 3 J), (N, J, 3), (N, J, 3, 3) or (N, 6 J) of J = 24 joints of SMPL, 52 of
              SMPL-H, 55 of SMPL-X, or the 22 that these share; in npy files, this array alone;
            - ``global_orient`` or ``root_orient`` of the root, and ``body_pose`` or ``pose_body`` of 21 or 23 joints.
        fewest: least number of poses; a file with fewer is refused.

    Returns:
        (N, J, 3) axis-angle, radians, in the order of SMPL's joints; hands are 0 if the file has fingers or no hands.

    Raises:
        UserError: the file is missing, damaged or of another kind, has no such arrays, has too few poses, or its
            numbers are not plausible rotations.
    """
    contents = _contents(path)
    if isinstance(contents, np.ndarray):
        pose = _rotation_vectors(contents, _JOINTS, path, "the array")
    else:
        chosen = _chosen(contents, path)
        pose = _fitted(_joined(chosen, path), chosen.get(_FLAGS), path)
    if len(pose) < fewest:
        raise UserError(f"{path}: it has {len(pose)}, expected at least {fewest} poses")
    _check(pose, path)
    result = np.zeros((len(pose), len(SMPL), 3), np.float32)
    # Exactly 24 joints are SMPL's own, hands included; with more, fingers follow the shared joints.
    count = len(SMPL) if pose.shape[1] == len(SMPL) else _SHARED
    result[:, :count] = pose[:, :count]
    return torch.from_numpy(result)


def _contents(path: Path) -> Any:
    """Return the array of a file, or its nested mappings of arrays."""
    kind = kind_of(path)
    if kind == "PyTorch checkpoint":
        return read_torch(path)
    if kind == "Python pickle":
        return _unpickled(path.read_bytes(), path)
    if kind not in ("npz file of NumPy", "npy file of NumPy"):
        text = "; topo-adapt poses converts motion capture" if kind in ("text file", "JSON file") else ""
        raise UserError(f"{path}: found {with_article(kind)}, expected poses in an npz or npy file of NumPy{text}")
    wanted = None if kind.startswith("npy") else (*_WHOLE, *_ROOT, *_BODY, _FLAGS)
    arrays = read_arrays(path, wanted, lambda content: _unpickled(content, path))
    # The names of other arrays are for the error; reading them could fail on what nobody needs.
    if kind.startswith("npz") and not arrays:
        arrays = read_arrays(path, None, lambda content: None)
    return arrays.get("", arrays)


def _unpickled(content: bytes, path: Path) -> Any:
    try:
        return plain(read_pickle(content))
    except RefusedError as error:
        raise UserError(f"{path} holds objects of {error}, which are not loaded; save its arrays as npz") from None
    except Exception as error:  # damaged pickles raise errors of nearly every type
        raise UserError(f"{path} is damaged, or not a plain pickle: {reason(error)}; save its arrays as npz") from None


def _chosen(contents: Any, path: Path) -> dict[str, Array]:
    """Return the arrays of the first mapping in a file that has poses."""
    fitting = [(place, held) for place, held in _mappings(contents) if any(key in held for key in (*_WHOLE, *_BODY))]
    if not fitting:
        raise UserError(
            f"{path} has no poses: expected the key poses or pose, or global_orient and body_pose, "
            f"got {_listed(contents)}"
        )
    place, held = fitting[0]
    if "campose_valid" in held:
        raise UserError(f"{path} is a sequence of 3DPW; topo-adapt poses converts it")
    if len(fitting) > 1:
        found(f"{path}: poses at {', '.join(repr(name) for name, _ in fitting)}; those at {place!r} are taken")
    arrays = {}
    for key in (*_WHOLE, *_ROOT, *_BODY, _FLAGS):
        if key in held:
            value = held[key]
            try:
                arrays[key] = value.detach().double().numpy() if isinstance(value, Tensor) else np.asarray(value)
            # Lists of arrays of different lengths, and tensors that are not dense.
            except (ValueError, TypeError, RuntimeError) as error:
                raise UserError(f"{path}: {key} is not one array of numbers ({reason(error)}); {_ADVICE}") from None
    return arrays


def _fitted(pose: Array, flags: Array | None, path: Path) -> Array:
    """Return the poses (N, J, 3) that were fitted, if flags (N,) say which."""
    if flags is None or flags.shape != (len(pose),) or flags.all():
        return pose
    found(f"{path}: {int((flags != 0).sum())} of {len(pose)} poses are fits ({_FLAGS}); the others are left out")
    return pose[flags != 0]


def _mappings(contents: Any, place: str = "", depth: int = 3) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(contents, Mapping) and depth:
        yield place, contents
        for key, held in contents.items():
            yield from _mappings(held, f"{place}.{key}".strip("."), depth - 1)


def _listed(contents: Any) -> str:
    if not isinstance(contents, Mapping):
        return f"a {type(contents).__name__}"
    texts = [f"{str(key)[:40]} {getattr(value, 'shape', '')}".strip() for key, value in contents.items()]
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "") or "nothing"


def _joined(arrays: Mapping[str, Array], path: Path) -> Array:
    """Return rotation vectors (N, J, 3) of a file, joined from root and body where these are apart."""
    for key in _WHOLE:
        if key in arrays:
            return _rotation_vectors(arrays[key], _JOINTS, path, key)
    root, body = (next((key for key in keys if key in arrays), None) for keys in (_ROOT, _BODY))
    assert body is not None  # `_chosen` takes mappings with poses only
    joints = _rotation_vectors(arrays[body], (_SHARED - 1, len(SMPL) - 1), path, body)
    if root is None:
        found(f"{path}: {body} without the rotation of the root, which is taken as zero")
        first = np.zeros((len(joints), 1, 3))
    else:
        first = _rotation_vectors(arrays[root], (1,), path, root)
        if len(first) != len(joints):
            raise UserError(f"{path}: {root} has {len(first)} poses, {body} {len(joints)}; expected as many")
        found(f"{path}: {root} and {body} are joined to poses")
    return np.concatenate([first, joints], axis=1)


def _rotation_vectors(array: Array, counts: tuple[int, ...], path: Path, name: str) -> Array:
    """Convert an array of one of the `counts` of joints to rotation vectors (N, J, 3)."""
    if array.dtype.kind not in "fiu" or array.ndim < 2:
        raise UserError(f"{path}: {name} is {array.dtype} of shape {array.shape}; {_ADVICE}")
    if not len(array):
        raise UserError(f"{path}: {name} has shape {array.shape}, which has no poses")
    if not np.isfinite(array).all():
        raise UserError(f"{path}: {name} holds NaN or infinity; remove these poses")
    form = _form(array.shape, counts)
    if form is None:
        raise UserError(
            f"{path}: {name} has shape {array.shape}, which is not axis-angle of {' or '.join(map(str, counts))} "
            f"joints ({' or '.join(str(3 * count) for count in counts)} numbers a pose); {_ADVICE}"
        )
    numbers = torch.from_numpy(array.astype(np.float64)).reshape(len(array), -1, *form)
    if form == (3,):
        return numbers.numpy()
    matrices = numbers if form == (3, 3) else _from_six(numbers, path, name)
    wrong = torch.linalg.matrix_norm(matrices.mT @ matrices - torch.eye(3, dtype=torch.float64)).max()
    if wrong > _TOLERANCE or torch.linalg.det(matrices).min() < 0:
        raise UserError(f"{path}: {name} has the shape of rotation matrices, but is none; {_ADVICE}")
    found(f"{path}: {name} holds {_FORMS[form]}, which are converted to axis-angle")
    return roma.rotmat_to_rotvec(matrices).numpy()


def _form(shape: tuple[int, ...], counts: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of one rotation in an array, or None if the array has another number of joints."""
    for form in _FORMS:
        size = math.prod(form)
        for count in counts:
            # A root may lack the axis of joints, and flat poses have one axis in all.
            if shape[1:] in ((count, *form), (count, size), (count * size,)) or (count == 1 and shape[1:] == form):
                return form
    return None


def _from_six(numbers: Tensor, path: Path, name: str) -> Tensor:
    """Convert six numbers per rotation in the one of their two layouts in which they are columns of a rotation."""
    for layout in _LAYOUTS:
        matrices = rot6d_to_matrix(numbers, layout)
        columns = numbers.unflatten(-1, (3, 2)) if layout == "interleaved" else numbers.unflatten(-1, (2, 3)).mT
        if (matrices[..., :2] - columns).abs().max() < _TOLERANCE:
            return matrices
    raise UserError(
        f"{path}: {name} has six numbers per rotation, which are in neither layout two columns of a rotation matrix, "
        f"so their order is unknown; {_ADVICE}"
    )


def _check(pose: Array, path: Path) -> None:
    """Check that rotation vectors (N, J, 3) are plausible.

    Raises:
        UserError: they are not; the message says what they look like.
    """
    angles = np.linalg.norm(pose, axis=2)
    if not angles[:, 1:].any():
        raise UserError(f"{path}: all poses are zero; {_ADVICE}")
    if _are_positions(pose[:, :_SHARED]):
        raise UserError(f"{path}: the numbers look like positions of joints, not like rotations; {_ADVICE}")
    if angles.max() > _LIMIT:
        raise UserError(
            f"{path}: rotations by up to {angles.max():.0f} radians, expected at most {_LIMIT:.2f}; "
            f"they may be in degrees, or not be axis-angle; {_ADVICE}"
        )


def _are_positions(pose: Array) -> bool:
    """Return whether the vectors of 22 joints have the distances that a body's joints have, in any unit."""
    body = Body.free()
    rest = body.joints(torch.zeros(1, len(SMPL), 3), torch.zeros(1, SHAPE_DIRECTIONS))[0, :_SHARED].double().numpy()
    parents = np.array(body.tree[1:_SHARED])
    lengths = np.linalg.norm(pose[:, 1:] - pose[:, parents], axis=2)
    expected = np.linalg.norm(rest[1:] - rest[parents], axis=1)
    median = np.median(lengths, axis=0)
    ratio = median / expected
    scale = np.median(ratio)
    if scale == 0:
        return False
    # Bones keep their lengths from pose to pose, and the proportions of a body; differences of rotations do not.
    steady = np.abs(lengths - median).mean(axis=0) < _BONES_ALIKE * median
    alike = np.abs(ratio / scale - 1) < 2 * _BONES_ALIKE
    return bool((steady & alike).mean() > 0.6)
