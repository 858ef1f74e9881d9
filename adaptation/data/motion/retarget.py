"""Retarget motion to the body: from any skeleton and rest pose to axis-angle of SMPL's 24 joints.

A joint's rotation in the world, composed with the alignment of the two rest poses, is that of the body's joint. Limbs
are aligned by their directions at rest, then about their own axis by the hinge that the clip itself shows: knees bend
about x and elbows about y. Legs and arms of the body count as straight in its T-pose, so a straight limb of the file
is a straight limb of the body, although the line through the body's hip, knee and ankle is bent by 9 degrees. Trunk and
neck keep their rotations, which are spread over the body's joints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import roma
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import within_limits
from adaptation.data.motion.clip import Floats, Motion
from adaptation.data.motion.skeleton import body_joints
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import found

_LIMBS = {"leg": ("hip", "knee", "ankle"), "arm": ("shoulder", "elbow", "wrist")}
_SIDES = ("left", "right")
_CHAINS = (("pelvis", ("spine1", "spine2", "spine3"), "spine3"), ("spine3", ("neck", "head"), "head"))
_LEAST_BEND = math.radians(5)  # mean bend of a knee or elbow that shows its hinge


@dataclass(frozen=True)
class BodyMotion:
    """Motion of the body over F frames, in axes with y up; at rest the body looks along +z.

    Attributes:
        pose: (F, 24, 3) float32 axis-angle, radians, within the joint limits; joint 0 is the global orientation.
        roots: (F, 3) float32 position of the pelvis, metres.
        times: (F,) seconds since the first frame.
        missing: names of the joints that the file does not have; they are at rest.
        errors: mean angle in degrees between the directions of the body's segments and those in the file, by the names
            of segments: "thigh", "shin", "upper arm", "forearm", "trunk".
        source: name of the file.
    """

    pose: npt.NDArray[np.float32]
    roots: npt.NDArray[np.float32]
    times: Floats
    missing: tuple[str, ...]
    errors: dict[str, float]
    source: str


def retarget(motion: Motion) -> BodyMotion:
    """Retarget a clip to the body.

    Args:
        motion: the clip.

    Raises:
        UserError: hips, knees, shoulders or elbows are missing, or the rest pose is not that of a standing person.
    """
    joints = body_joints(motion.names, motion.parents, motion.source)
    axes = _axes(motion, joints)
    turned = axes @ motion.rotations @ axes.T
    rest = motion.rest() @ axes.T
    body = Body.free()
    wanted = _aligned(turned, rest, joints, body, motion)
    pose = _local(wanted, body)
    pose[:, 0] = _vectors(turned[:, joints["pelvis"]])
    limited = within_limits(torch.from_numpy(pose)).float()
    positions = motion.positions() @ axes.T
    ends = {f"{side}_wrist": _end_of(joints[f"{side}_elbow"], motion) for side in _SIDES}
    known = {**{name: joint for name, joint in ends.items() if joint is not None}, **joints}
    return BodyMotion(
        pose=limited.numpy(),
        roots=positions[:, joints["pelvis"]].astype(np.float32),
        times=motion.times,
        missing=tuple(name for name in SMPL.joints if name not in wanted and not name.endswith(("_foot", "_hand"))),
        errors=_errors(limited, positions, known, body),
        source=motion.source,
    )


def _axes(motion: Motion, joints: dict[str, int]) -> Floats:
    """Return the rotation (3, 3) from the file's axes to those of the body: x to its left, y up, z to the front."""
    rest = motion.rest()
    up = rest[joints.get("neck", joints["spine3"])] - rest[joints["pelvis"]]
    if np.linalg.norm(up) < 1e-3:
        up = rest[joints["left_shoulder"]] + rest[joints["right_shoulder"]] - 2 * rest[joints["pelvis"]]
    up, left = _main_axis(up), rest[joints["left_hip"]] - rest[joints["right_hip"]]
    left = _main_axis(left - up * (up @ left))
    if not up.any() or not left.any():
        raise UserError(f"{motion.source}: the rest pose has no width or no height; the skeleton is damaged")
    axes = np.stack([left, up, np.cross(left, up)])
    feet = [rest[joints[f"{side}_foot"]] - rest[joints[f"{side}_ankle"]] for side in _SIDES if f"{side}_foot" in joints]
    if feet and (axes[2] @ sum(feet)) < -0.3 * np.linalg.norm(sum(feet)):
        raise UserError(f"{motion.source}: the toes point backwards in the rest pose; left and right may be swapped")
    if axes[0, 0] < 0.5 or axes[1, 1] < 0.5:
        found(f"{motion.source}: the rest pose looks along {_text(axes[2])} with {_text(axes[1])} up")
    return axes


def _main_axis(vector: Floats) -> Floats:
    """Return the unit vector of the axis that a vector is closest to, with its sign; 0 for 0."""
    result = np.zeros(3)
    place = int(np.abs(vector).argmax())
    result[place] = np.sign(vector[place])
    return result


def _text(axis: Floats) -> str:
    place = int(np.abs(axis).argmax())
    return f"{'-' if axis[place] < 0 else '+'}{'xyz'[place]}"


def _aligned(turned: Floats, rest: Floats, joints: dict[str, int], body: Body, motion: Motion) -> dict[str, Floats]:
    """Return the rotation in the world (F, 3, 3) of each of the body's joints that the file determines."""
    own = _rest_of(body)
    wanted = {"pelvis": turned[:, joints["pelvis"]]}
    for side in _SIDES:
        for upper, middle, lower in _LIMBS.values():
            names = [f"{side}_{part}" for part in (upper, middle, lower)]
            straight = own[names[2]] - own[names[0]]
            top, bend, end = (joints.get(name) for name in names)
            assert top is not None and bend is not None  # `body_joints` has checked
            lowest = end if end is not None else _end_of(bend, motion)
            first = _shortest_turn(straight, rest[bend] - rest[top])
            second = first if lowest is None else _shortest_turn(straight, rest[lowest] - rest[bend])
            hinge = np.array([1.0, 0, 0]) if upper == "hip" else np.array([0, -1.0 if side == "left" else 1.0, 0])
            twist = _twist(turned[:, top] @ first, turned[:, bend] @ second, straight, hinge)
            wanted[names[0]] = turned[:, top] @ first @ twist
            wanted[names[1]] = turned[:, bend] @ second @ twist
            if end is not None:
                # Feet and hands are neutral at rest, however the hinge above them lies.
                wanted[names[2]] = turned[:, end] @ second
        if f"{side}_collar" in joints:
            wanted[f"{side}_collar"] = turned[:, joints[f"{side}_collar"]]
    for start, spread, last in _CHAINS:
        source = joints.get(last, joints.get("neck"))
        if source is not None and source != joints[start]:
            total = _vectors(turned[:, joints[start]].swapaxes(1, 2) @ turned[:, source])
            for count, name in enumerate(spread, start=1):
                wanted[name] = turned[:, joints[start]] @ _matrices(total * count / len(spread))
    return wanted


def _rest_of(body: Body) -> dict[str, Floats]:
    rest = body.joints(torch.zeros(1, len(SMPL), 3), body.mean_shape(1))[0].double().numpy()
    return dict(zip(SMPL.joints, rest, strict=True))


def _end_of(joint: int, motion: Motion) -> int | None:
    """Return the first joint below another that lies apart from it, or None."""
    below = {joint}
    for child, parent in enumerate(motion.parents):
        if parent in below:
            if np.linalg.norm(motion.offsets[child]) > 1e-3:
                return child
            below.add(child)
    return None


def _shortest_turn(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation (3, 3) that turns one direction into another."""
    a, b = start / np.linalg.norm(start), end / max(float(np.linalg.norm(end)), 1e-9)
    axis, cosine = np.cross(a, b), float(a @ b)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-6:
        # For opposite directions any axis across will do.
        across = np.cross(a, np.eye(3)[np.abs(a).argmin()])
        axis, sine = across, float(np.linalg.norm(across))
        return np.eye(3) if cosine > 0 else _matrices(axis / sine * math.pi)
    return _matrices(axis / sine * math.atan2(sine, cosine))


def _twist(upper: Floats, lower: Floats, along: Floats, hinge: Floats) -> Floats:
    """Return the rotation (3, 3) about a limb at rest that turns the body's hinge into the clip's mean one.

    Skeletons differ in how far the upper arm is turned about itself at rest: elbows of CMU's bend forwards and 30
    degrees up.
    """
    axis = along / np.linalg.norm(along)
    bends = _vectors(upper.swapaxes(1, 2) @ lower)
    mean = bends.mean(axis=0)
    mean -= axis * (axis @ mean)
    across = hinge - axis * (axis @ hinge)
    if np.linalg.norm(mean) < _LEAST_BEND:
        return np.eye(3)
    return _matrices(axis * math.atan2(float(axis @ np.cross(across, mean)), float(across @ mean)))


def _local(wanted: dict[str, Floats], body: Body) -> npt.NDArray[np.float64]:
    """Return axis-angle (F, 24, 3) in the axes of the parents, within the limits.

    What a limit takes from a joint is made up by the next one down, as far as its own limits allow.
    """
    count = len(wanted["pelvis"])
    pose = np.zeros((count, len(SMPL), 3))
    world = np.tile(np.eye(3), (count, len(SMPL), 1, 1))
    world[:, 0] = wanted["pelvis"]
    for joint, name in enumerate(SMPL.joints[1:], start=1):
        above = world[:, body.tree[joint]]
        if name in wanted:
            pose[:, joint] = _vectors(above.swapaxes(1, 2) @ wanted[name])
            pose[:, joint] = within_limits(torch.from_numpy(pose))[:, joint].numpy()
        world[:, joint] = above @ _matrices(pose[:, joint])
    return pose


def _errors(pose: torch.Tensor, positions: Floats, joints: dict[str, int], body: Body) -> dict[str, float]:
    """Compare the directions of segments with the file's."""
    own = body.joints(pose, body.mean_shape(len(pose))).double().numpy()
    segments = {
        "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "upper arm": ("shoulder", "elbow"),
        "forearm": ("elbow", "wrist"),
    }  # fmt: skip
    found_angles: dict[str, list[Floats]] = {}
    pairs = [(name, f"{side}_{a}", f"{side}_{b}") for name, (a, b) in segments.items() for side in _SIDES]
    for name, first, second in (*pairs, ("trunk", "pelvis", "neck")):
        if first in joints and second in joints:
            a = own[:, SMPL.joints.index(second)] - own[:, SMPL.joints.index(first)]
            b = positions[:, joints[second]] - positions[:, joints[first]]
            sine = np.linalg.norm(np.cross(a, b), axis=1)
            found_angles.setdefault(name, []).append(np.degrees(np.arctan2(sine, (a * b).sum(axis=1))))
    return {name: float(np.mean(angles)) for name, angles in found_angles.items()}


def _vectors(matrices: Floats) -> Floats:
    vectors: Floats = roma.rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(matrices))).numpy()
    return vectors


def _matrices(vectors: Floats) -> Floats:
    matrices: Floats = roma.rotvec_to_rotmat(torch.from_numpy(np.ascontiguousarray(vectors))).numpy()
    return matrices
