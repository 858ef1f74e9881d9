"""Reading what networks of other projects return: tuples and dictionaries of tensors to bodies and meshes.

Whatever does not fit ends in one line that says what was expected, what was given, and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import roma
import torch
from torch import Tensor, nn

from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.rotations import Layout, rot6d_to_matrix
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS
from adaptation.support.errors import UserError

PoseForm = Literal["matrix", "axis_angle", "rot6d"]
_NUMBERS: dict[PoseForm, int] = {"matrix": 9, "axis_angle": 3, "rot6d": 6}
"""Numbers per rotation of each form."""

PARTS: dict[str, tuple[str, ...]] = {
    "pose": ("pose", "pred_pose", "pred_rotmat", "rotmat"),
    "global_orient": ("global_orient", "pred_smpl_params.global_orient", "smpl_params.global_orient"),
    "body_pose": ("body_pose", "pred_smpl_params.body_pose", "smpl_params.body_pose"),
    "betas": ("betas", "pred_smpl_params.betas", "smpl_params.betas", "pred_betas", "pred_shape", "shape"),
    "camera": ("camera", "pred_cam", "pred_camera", "cam"),
    "vertices": ("vertices", "pred_vertices", "pred_verts", "v3d", "verts"),
}
"""Parts of a prediction, and the keys under which public networks return them; dots lead into inner dictionaries."""
Keys = Mapping[str, str]
"""Key of each part in a network's own dictionary, with dots into inner ones."""
_REMEDY = "see docs/your_model.md"


class Reader:
    """Reads the outputs of one network.

    Args:
        pose: form of the pose.
        layout: order of the six numbers of "rot6d".
        keys: keys of parts that replace the known ones.
        faces: (F, 3) vertex indices, an array or a tensor, if the network predicts vertices; else None.

    Raises:
        UserError: a part or a form has an unknown name, or the faces are no triangles.
    """

    def __init__(
        self, pose: PoseForm = "matrix", layout: Layout = "interleaved", keys: Keys | None = None, faces: Any = None
    ) -> None:
        if pose not in _NUMBERS:
            raise UserError(f"pose must be one of {', '.join(_NUMBERS)}, got {pose!r}")
        if unknown := [name for name in keys or {} if name not in PARTS]:
            raise UserError(f"keys: unknown part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
        self.pose, self.layout = pose, layout
        self.keys: dict[str, tuple[str, ...]] = {**PARTS, **{name: (key,) for name, key in (keys or {}).items()}}
        self.faces = None if faces is None else checked_faces(faces)
        self._named = 0 if self.faces is None else int(self.faces.max()) + 1  # vertices that the faces name, at least

    def read(self, output: Any, count: int, faces: Tensor | None = None) -> dict[str, Any]:
        """Return the parts of a `Prediction`, by the names of its fields.

        Args:
            output: what the network returned for ``count`` crops.
            count: B.
            faces: the faces, on the device of the output.

        Raises:
            UserError: the output does not hold what is expected.
        """
        parts = self._of_mapping(output) if isinstance(output, Mapping) else self._of_sequence(output)
        camera = WeakPerspective(_fitting("camera", parts["camera"], (count, 3)))
        found: dict[str, Any] = {}
        if faces is not None and "vertices" in parts:
            vertices = checked_vertices(parts["vertices"], count, self._named)
            found["mesh"] = Meshes(vertices, camera, faces)
        if "pose" in parts:
            rotations = rotations_of(parts["pose"], self.pose, self.layout)
            betas = _fitting("betas", parts["betas"], (count, SHAPE_DIRECTIONS), _BETAS)
            found["parameters"] = Bodies(rotations, betas, camera)
        return found

    def _of_sequence(self, output: Any) -> dict[str, Any]:
        names = ("pose", "betas", "camera") if self.faces is None else ("vertices", "camera")
        if not isinstance(output, tuple | list) or len(output) < len(names):
            given = f"{len(output)} values" if isinstance(output, tuple | list) else f"a {type(output).__name__}"
            raise UserError(
                f"the network returns {given}, expected ({', '.join(names)}) or a dictionary with them"
                + ("" if self.faces is not None else ", or vertices and wrap(..., faces=...)")
                + f"; {_REMEDY}"
            )
        return dict(zip(names, output, strict=False))  # networks may return more than these

    def _of_mapping(self, output: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: value for name in PARTS if (value := self._found(output, name)) is not None}
        if "pose" not in found and "global_orient" in found and "body_pose" in found:
            found["pose"] = joined(found["global_orient"], found["body_pose"])
        needed = ["camera"]
        if self.faces is not None:
            needed.append("vertices")
        elif "vertices" in found and "pose" not in found:
            raise UserError(f"the network returns vertices, expected their faces, too: wrap(..., faces=...); {_REMEDY}")
        if self.faces is None or "pose" in found:
            needed += ["pose", "betas"]
        if missing := [name for name in needed if name not in found]:
            known = ", ".join(self.keys[missing[0]])
            raise UserError(
                f"the network's dictionary has no {missing[0]} ({known}), it has {_listed(output)}; name the key with "
                f"wrap(..., keys={{{missing[0]!r}: 'KEY'}})"
            )
        return found

    def _found(self, output: Mapping[str, Any], part: str) -> Any:
        """Return the first value under the keys of a part, or None."""
        for key in self.keys[part]:
            value: Any = output
            for step in key.split("."):
                value = value.get(step) if isinstance(value, Mapping) else None
            # "shape" or "pose" may also name dictionaries.
            if isinstance(value, Tensor):
                return value
        return None


_BETAS = "shape coefficients of another number belong to another body model; return vertices with faces instead"


def rotations_of(pose: Tensor, form: PoseForm, layout: Layout = "interleaved") -> Tensor:
    """Return the rotation matrices (B, 24, 3, 3) of poses in a form.

    Raises:
        UserError: they are not 24 rotations in this form.
    """
    given = tensor("pose", pose)
    numbers, joints, each = math.prod(given.shape[1:]), len(SMPL), _NUMBERS[form]
    if numbers != joints * each:
        other = next((name for name, size in _NUMBERS.items() if numbers == joints * size), None)
        count = numbers // each
        if other is not None:
            remedy = f'{numbers} numbers are {joints} rotations as wrap(..., pose="{other}")'
        elif numbers == count * each:
            remedy = f"{count} joints are not SMPL's {joints}; add the missing ones, or return vertices with faces"
        else:
            remedy = _REMEDY
        raise UserError(
            f'the network\'s pose has shape {_shape(given)}, expected {joints} rotations as "{form}", '
            f"(B, {joints * each}); {remedy}"
        )
    count = given.shape[0]  # not len(), which would fix the number of crops in an exported network
    if form == "axis_angle":
        return roma.rotvec_to_rotmat(given.reshape(count, -1, 3))
    if form == "rot6d":
        return rot6d_to_matrix(given.reshape(count, -1, 6), layout)
    return given.reshape(count, -1, 3, 3)


def joined(orientation: Tensor, pose: Tensor) -> Tensor:
    """Return the pose of all joints from the global orientation and the other joints' pose, in one form."""
    orientation, pose = tensor("global_orient", orientation), tensor("body_pose", pose)
    return torch.cat([orientation.flatten(1), pose.flatten(1)], dim=1)


def checked_faces(faces: Any) -> Tensor:
    """Return faces (F, 3) as int64.

    Raises:
        UserError: they are no triangles of vertex indices.
    """
    try:
        tensor = torch.as_tensor(faces.astype("int64") if hasattr(faces, "astype") else faces)
    except (TypeError, ValueError) as error:
        raise UserError(f"faces must be an array (F, 3) of vertex indices, got {type(faces).__name__}") from error
    if tensor.ndim != 2 or tensor.shape[1] != 3 or tensor.is_floating_point() or not len(tensor) or tensor.min() < 0:
        raise UserError(f"faces must be (F, 3) vertex indices from 0, got {tensor.dtype} {_shape(tensor)}")
    return tensor.long()


def keep_faces(module: nn.Module, faces: Any) -> int:
    """Store faces in a module's buffer "faces", which moves with it and is not saved.

    Returns:
        The number of vertices that they name, at least; 0 for None.

    Raises:
        UserError: they are no triangles of vertex indices.
    """
    kept = None if faces is None else checked_faces(faces)
    module.register_buffer("faces", kept, persistent=False)
    return 0 if kept is None else int(kept.max()) + 1


def checked_vertices(vertices: Any, count: int, named: int) -> Tensor:
    """Return vertices (B, V, 3) in float32.

    Args:
        vertices: what the network returned.
        count: B.
        named: number of vertices that the faces name, at least.

    Raises:
        UserError: they have another shape, or there are fewer than the faces name.
    """
    given = tensor("vertices", vertices)
    if given.ndim != 3 or given.shape[0] != count or given.shape[2] != 3:
        raise UserError(f"the network's vertices have shape {_shape(given)}, expected ({count}, V, 3); {_REMEDY}")
    if given.shape[1] < named:
        raise UserError(
            f"the faces name {named} vertices, and the network predicts {given.shape[1]}; give its own faces"
        )
    return given.float()


def tensor(name: str, value: Any) -> Tensor:
    """Return a part of an output, after checking that it is a tensor.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, Tensor):
        raise UserError(f"the network's {name} is a {type(value).__name__}, expected a tensor; {_REMEDY}")
    return value


def _fitting(name: str, value: Any, shape: tuple[int, int], remedy: str = _REMEDY) -> Tensor:
    """Return a part (B, K), after checking its shape; dimensions of 1 in it are dropped."""
    given = tensor(name, value)
    flat = given.flatten(1) if given.ndim > 2 else given
    if flat.ndim != 2 or flat.shape[1] != shape[1]:
        raise UserError(f"the network's {name} has shape {_shape(given)}, expected ({shape[0]}, {shape[1]}); {remedy}")
    return flat


def _shape(value: Tensor) -> str:
    return f"({', '.join(str(int(side)) for side in value.shape)})"


def _listed(output: Mapping[str, Any]) -> str:
    names = list(_dotted(output))
    return (", ".join(names[:12]) + (", ..." if len(names) > 12 else "")) or "nothing"


def _dotted(output: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in output.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
