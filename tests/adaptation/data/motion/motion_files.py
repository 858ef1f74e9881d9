"""Writes small files of motion capture from poses of the body, in the exact layouts of the formats.

The skeleton's rest pose may differ from the body's T-pose: `turns` are rotations of its limbs at rest. A file that is
written and retargeted gives the poses that it was written from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL

Floats = npt.NDArray[np.float64]
# Body joint, parent, direction at rest, length in metres. Legs are straight along the body's line from hip to ankle.
SKELETON: tuple[tuple[str, str, tuple[float, float, float], float], ...] = (
    ("pelvis", "", (0, 1, 0), 0.0),
    ("left_hip", "pelvis", (1, -0.5, 0), 0.12),
    ("left_knee", "left_hip", (0.02, -0.84, -0.05), 0.41),
    ("left_ankle", "left_knee", (0.02, -0.84, -0.05), 0.42),
    ("left_foot", "left_ankle", (0, -0.3, 1), 0.15),
    ("right_hip", "pelvis", (-1, -0.5, 0), 0.12),
    ("right_knee", "right_hip", (-0.02, -0.84, -0.05), 0.41),
    ("right_ankle", "right_knee", (-0.02, -0.84, -0.05), 0.42),
    ("right_foot", "right_ankle", (0, -0.3, 1), 0.15),
    ("spine3", "pelvis", (0, 1, 0), 0.3),
    ("neck", "spine3", (0, 1, 0), 0.2),
    ("head", "neck", (0, 1, 0), 0.12),
    ("left_shoulder", "spine3", (1, 0.8, 0), 0.2),
    ("left_elbow", "left_shoulder", (1, 0, 0), 0.28),
    ("left_wrist", "left_elbow", (1, 0, 0), 0.25),
    ("right_shoulder", "spine3", (-1, 0.8, 0), 0.2),
    ("right_elbow", "right_shoulder", (-1, 0, 0), 0.28),
    ("right_wrist", "right_elbow", (-1, 0, 0), 0.25),
)
JOINTS = tuple(name for name, *_ in SKELETON)
PARENTS = tuple(JOINTS.index(parent) if parent else -1 for _, parent, *_ in SKELETON)
A_POSE = {
    **{f"left_{part}": (0.0, 0.0, 20.0) for part in ("hip", "knee", "ankle", "foot")},
    **{f"right_{part}": (0.0, 0.0, -20.0) for part in ("hip", "knee", "ankle", "foot")},
    **{f"left_{part}": (0.0, 0.0, -50.0) for part in ("shoulder", "elbow", "wrist")},
    **{f"right_{part}": (0.0, 0.0, 50.0) for part in ("shoulder", "elbow", "wrist")},
}
"""Legs 20 degrees apart and arms 50 degrees down: Euler angles about x, y, z in degrees, in the axes of the world."""


def source_motion(pose: Floats, turns: Mapping[str, tuple[float, float, float]]) -> tuple[Floats, Floats]:
    """Return local rotations (F, J, 3, 3) and rest offsets (J, 3) of the skeleton in poses (F, 24, 3) of the body."""
    body = Body.free()
    local = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)
    world = np.zeros_like(local)
    for joint, parent in enumerate(body.tree):
        world[:, joint] = local[:, joint] if parent < 0 else world[:, parent] @ local[:, joint]
    aligned = {
        name: Rotation.from_euler("xyz", turns.get(name, (0, 0, 0)), degrees=True).as_matrix() for name in JOINTS
    }
    own = {name: world[:, SMPL.joints.index(name)] @ aligned[name].T for name in JOINTS}
    parents = [JOINTS[parent] for parent in PARENTS[1:]]
    result = [
        own["pelvis"],
        *(own[parent].swapaxes(1, 2) @ own[name] for name, parent in zip(JOINTS[1:], parents, strict=True)),
    ]
    offsets = [np.zeros(3)]
    for _, parent, direction, length in SKELETON[1:]:
        offsets.append(aligned[parent] @ (np.array(direction) / np.linalg.norm(direction)) * length)
    return np.stack(result, axis=1), np.array(offsets)


def write_bvh(
    path: Path, pose: Floats, turns: Mapping[str, tuple[float, float, float]] | None = None, *,
    axes: Floats | None = None, unit: float = 0.01, order: str = "ZXY", rate: float = 30.0, newline: str = "\n",
) -> Path:  # fmt: skip
    """Write a BVH file; ``axes`` (3, 3) turns it into other axes of the world, ``unit`` is metres per unit."""
    local, offsets = source_motion(pose, turns or {})
    axes = np.eye(3) if axes is None else axes
    local, offsets = axes @ local @ axes.T, offsets @ axes.T / unit
    lines, depth = ["HIERARCHY"], 0
    names = [_bvh_name(name) for name in JOINTS]

    def write(joint: int, depth: int) -> None:
        tab = "\t" * depth
        lines.append(f"{tab}{'ROOT' if joint == 0 else 'JOINT'} {names[joint]}")
        lines.append(tab + "{")
        lines.append(f"{tab}\tOFFSET " + " ".join(f"{value:.6f}" for value in offsets[joint]))
        turning = " ".join(f"{axis}rotation" for axis in order)
        lines.append(
            f"{tab}\tCHANNELS " + (f"6 Xposition Yposition Zposition {turning}" if joint == 0 else f"3 {turning}")
        )
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend([f"{tab}\tEnd Site", tab + "\t{", f"{tab}\t\tOFFSET 0 0 {0.1 / unit}", tab + "\t}"])
        lines.append(tab + "}")

    write(0, depth)
    lines += ["MOTION", f"Frames: {len(pose)}", f"Frame Time: {1 / rate:.7f}"]
    angles = (
        Rotation.from_matrix(local.reshape(-1, 3, 3)).as_euler(order, degrees=True).reshape(len(pose), len(JOINTS), 3)
    )
    order_of_writing = _depth_first()
    for frame in range(len(pose)):
        place = axes @ np.array([0.1 * frame, 1.0, 0.0]) / unit
        numbers = [*place, *angles[frame, order_of_writing].ravel()]
        lines.append(" ".join(f"{value:.5f}" for value in numbers))
    path.write_bytes((newline.join(lines) + newline).encode())
    return path


def _depth_first() -> list[int]:
    order: list[int] = []

    def visit(joint: int) -> None:
        order.append(joint)
        for child, parent in enumerate(PARENTS):
            if parent == joint:
                visit(child)

    visit(0)
    return order


_BVH = {
    "pelvis": "Hips", "spine3": "Chest", "neck": "Neck", "head": "Head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
    "foot": "ToeBase", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
_ASF = {
    "spine3": "thorax", "neck": "lowerneck", "head": "head", "hip": "femur", "knee": "tibia", "ankle": "foot",
    "foot": "toes", "shoulder": "humerus", "elbow": "radius", "wrist": "hand",
}  # fmt: skip


def _bvh_name(name: str) -> str:
    side, _, part = name.partition("_")
    return side.title() + _BVH[part] if part else _BVH[name]


def _asf_name(name: str) -> str:
    side, _, part = name.partition("_")
    return side[0] + _ASF[part] if part else _ASF[name]


Bone = tuple[str, Floats, int | None]
"""Name, vector at rest in metres, and the joint at its upper end if it turns."""


def _bones(offsets: Floats) -> tuple[list[Bone], list[str]]:
    """Return the bones of an ASF file, and the parent of each."""
    # A bone leads from its joint to the first child; other children hang from bones that do not turn.
    bones: list[Bone] = []
    parents: list[str] = []
    owner: dict[int, str] = {}
    for joint, name in enumerate(JOINTS):
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        if name in ("pelvis", "spine3"):
            for child in children:
                bones.append((f"to_{_asf_name(JOINTS[child])}", offsets[child], None))
                parents.append("root" if name == "pelvis" else _asf_name(name))
                owner[child] = bones[-1][0]
        if name != "pelvis":
            vector = offsets[children[0]] if name != "spine3" and children else np.array([0, 1e-6, 0])
            bones.append((_asf_name(name), vector, joint))
            parents.append(owner.get(joint) or _asf_name(JOINTS[PARENTS[joint]]))
    return bones, parents


def _asf(bones: list[Bone], parents: list[str], axis: tuple[float, float, float], unit: float, degrees: bool) -> str:
    """Return the text of an ASF file."""
    factor, text = (1.0, "deg") if degrees else (np.pi / 180, "rad")
    lines = [
        "# made by a test",
        ":version 1.10",
        ":name TEST",
        ":units",
        "  mass 1.0",
        "  length 0.45",
        f"  angle {text}",
    ]
    lines += [
        ":documentation",
        "   a skeleton",
        ":root",
        "   order TX TY TZ RX RY RZ",
        "   axis XYZ",
        "   position 0 0 0  ",
    ]
    lines += ["   orientation 0 0 0 ", ":bonedata"]
    for number, (name, vector, joint) in enumerate(bones, start=1):
        length = np.linalg.norm(vector)
        direction = " ".join(f"{value:.9f}" for value in vector / length)
        lines += ["  begin", f"     id {number} ", f"     name {name}", f"     direction {direction} "]
        angles = " ".join(f"{value * factor:.9f}" for value in axis)
        lines += [f"     length {length / unit:.6f} ", f"     axis {angles}  XYZ"]
        if joint is not None:
            lines += [
                "    dof rx ry rz",
                "    limits (-160.0 20.0)",
                "           (-70.0 70.0)",
                "           (-60.0 70.0)",
            ]
        lines.append("  end")
    lines += [":hierarchy", "  begin"]
    for (name, _, _), parent in zip(bones, parents, strict=True):
        lines.append(f"    {parent} {name}")
    lines.append("  end")
    return "\r\n".join(lines) + "\r\n"


def write_acclaim(
    folder: Path, pose: Floats, turns: Mapping[str, tuple[float, float, float]] | None = None, *,
    axis: tuple[float, float, float] = (0.0, 0.0, 0.0), degrees: bool = True,
) -> Path:  # fmt: skip
    """Write 07.asf and 07_01.amc; bones have axes turned by ``axis`` in degrees. Returns the AMC file."""
    local, offsets = source_motion(pose, turns or {})
    unit = 0.0254 / 0.45
    bones, parents = _bones(offsets)
    (folder / "07.asf").write_bytes(_asf(bones, parents, axis, unit, degrees).encode())
    turned = Rotation.from_euler("xyz", axis, degrees=True).as_matrix()
    turning = turned.T @ local @ turned
    turning[:, 0] = local[:, 0]
    angles = Rotation.from_matrix(turning.reshape(-1, 3, 3)).as_euler("xyz", degrees=degrees).reshape(len(pose), -1, 3)
    lines = ["#!OML:ASF C:\\TEST.ASF", ":FULLY-SPECIFIED", ":DEGREES" if degrees else ":RADIANS"]
    for frame in range(len(pose)):
        lines.append(str(frame + 1))
        place = np.array([0.1 * frame, 1.0, 0.0]) / unit
        lines.append("root " + " ".join(f"{value:.6g}" for value in [*place, *angles[frame, 0]]))
        for name, _, joint in bones:
            if joint is not None:
                lines.append(f"{name} " + " ".join(f"{value:.6f}" for value in angles[frame, joint]))
    path = folder / "07_01.amc"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())
    return path


def write_deepmimic(path: Path, pose: Floats, duration: float = 1 / 30) -> Path:
    """Write a clip of DeepMimic's humanoid, which looks along +x and whose arms hang at rest."""
    hanging = {
        **{f"left_{part}": (0.0, 0.0, -90.0) for part in ("shoulder", "elbow", "wrist")},
        **{f"right_{part}": (0.0, 0.0, 90.0) for part in ("shoulder", "elbow", "wrist")},
    }
    # Legs straight down.
    for side in ("left", "right"):
        straight = np.array(SKELETON[JOINTS.index(f"{side}_knee")][2])
        turn, _ = Rotation.align_vectors([[0, -1, 0]], [straight])
        hanging |= {f"{side}_{part}": tuple(turn.as_euler("xyz", degrees=True)) for part in ("hip", "knee", "ankle")}
    local, _ = source_motion(pose, hanging)
    axes = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # x to the left, y up, z to the front become -z, y, x
    local = axes @ local @ axes.T
    order = ("pelvis", "spine3", "neck", "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow",
             "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow")  # fmt: skip
    frames = []
    for frame in range(len(pose)):
        numbers = [duration if frame + 1 < len(pose) else 0.0, 0.1 * frame, 0.9, 0.0]
        for name in order:
            rotation = Rotation.from_matrix(local[frame, JOINTS.index(name)])
            if name.endswith(("knee", "elbow")):
                numbers.append(float(rotation.as_rotvec()[2]))
            else:
                numbers += np.roll(rotation.as_quat(), 1).tolist()
        frames.append(numbers)
    path.write_text(json.dumps({"Loop": "none", "Frames": frames}))
    return path


def as_numpy(pose: torch.Tensor) -> Floats:
    """Return a tensor as a float64 array."""
    result: Floats = pose.double().numpy()
    return result
