"""Plausible body poses from a few formulas, without motion-capture data and its licences.

Poses are axis-angle in radians in SMPL's joint order, (..., 24, 3), and joint 0 is zero. The rest
pose is a T-pose facing +z with y up and x to the body's left. On the left side, hips therefore flex
about -x and knees about +x, arms are lowered about -z, and elbows bend about -y. The right side
mirrors this (`adaptation.bodies.body.mirror_pose`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import roma
import torch
from torch import Tensor

from adaptation.bodies.body import FLIP_PERMUTATION, JOINT_NAMES, mirror_pose

Kind = Literal["walking", "standing", "sitting", "reaching", "arms_up"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_JOINTS = len(JOINT_NAMES)
_J = {name: i for i, name in enumerate(JOINT_NAMES)}
HANGING = 72.0
"""Degrees from the T-pose to an arm that hangs relaxed."""

# Allowed degrees per axis of the axis-angle vector, for the joints of the centre and the left side.
# Joints that are absent do not move. The ranges are wide enough for the kinds below, and too narrow
# for knees and elbows that bend the wrong way.
_LIMITS: dict[str, tuple[tuple[float, float], ...]] = {
    "left_hip": ((-120, 35), (-40, 40), (-25, 50)),
    "left_knee": ((0, 145), (-12, 12), (-8, 8)),
    "left_ankle": ((-25, 40), (-15, 15), (-15, 15)),
    "left_foot": ((-30, 15), (0, 0), (0, 0)),
    "left_collar": ((-10, 10), (-15, 15), (-10, 25)),
    "left_shoulder": ((-150, 70), (-130, 60), (-95, 95)),
    "left_elbow": ((-15, 15), (-145, 0), (-15, 15)),
    "left_wrist": ((-40, 40), (-25, 25), (-50, 50)),
    "spine1": ((-20, 45), (-20, 20), (-20, 20)),
    "spine2": ((-15, 30), (-20, 20), (-15, 15)),
    "spine3": ((-15, 25), (-20, 20), (-15, 15)),
    "neck": ((-30, 35), (-35, 35), (-20, 20)),
    "head": ((-25, 30), (-35, 35), (-20, 20)),
}

# Standard deviations in degrees of the noise added to every sampled pose.
_JITTER = {
    "left_hip": 5, "left_knee": 5, "left_ankle": 5,
    "left_collar": 3, "left_shoulder": 8, "left_elbow": 8, "left_wrist": 8,
    "spine1": 4, "spine2": 3, "spine3": 3, "neck": 6, "head": 6,
}  # fmt: skip

_PERTURBED = ("hip", "knee", "shoulder", "elbow", "spine1")


def _joint_limits() -> tuple[Tensor, Tensor]:
    """Return the lowest and highest components (24, 3), radians, with the right side mirrored from the left."""
    low, high = torch.zeros(_JOINTS, 3), torch.zeros(_JOINTS, 3)
    for name, ranges in _LIMITS.items():
        joint = _J[name]
        low[joint], high[joint] = torch.deg2rad(torch.tensor(ranges)).unbind(1)
        other = FLIP_PERMUTATION[joint]
        if other != joint:
            # Mirroring negates y and z, which exchanges their bounds.
            low[other] = torch.stack([low[joint, 0], -high[joint, 1], -high[joint, 2]])
            high[other] = torch.stack([high[joint, 0], -low[joint, 1], -low[joint, 2]])
    return low, high


LIMITS: tuple[Tensor, Tensor] = _joint_limits()
"""Lowest and highest axis-angle components, (24, 3) radians each."""


def within_limits(pose: Tensor) -> Tensor:
    """Clamp each component of a pose (..., 24, 3), axis-angle in radians, to `LIMITS`; joint 0 is kept."""
    low, high = (bound.to(pose) for bound in LIMITS)
    clamped = torch.minimum(torch.maximum(pose, low), high)
    # The root has no limits: a body may face any way.
    return torch.cat([pose[..., :1, :], clamped[..., 1:, :]], dim=-2)


def facing(yaw: float | Tensor, pitch: float | Tensor = 0.0, roll: float | Tensor = 0.0) -> Tensor:
    """Return the global orientation, joint 0, of an upright body in camera axes (x right, y down, z forward).

    Args:
        yaw: Turn of the body to its own left, radians: 0 faces the camera, pi / 2 faces the image's
            right, pi shows the back.
        pitch: Angle by which the camera looks down on the body, radians: pi / 2 is a view from above.
        roll: Clockwise turn of the body in the image, radians.

    Returns:
        (..., 3) axis-angle, radians, float32 unless an argument is float64; the arguments' shapes are
        broadcast. Upright bodies are half a turn from the camera's axes, where the sign of the vector
        is free. Its x is never negative, so the vector changes smoothly with the angles, except at
        the back view; its length may exceed pi.
    """
    numbers = (a if isinstance(a, Tensor) else torch.tensor(a).float() for a in (yaw, pitch, roll))
    turned, tilted, rolled = _broadcast(*numbers)
    # The body's y points up and the camera's down, so an upright body is turned by pi about x.
    upright = _rotation("x", tilted + math.pi)
    # The body turns about its own axis first, then the camera looks down, then the image rolls.
    quaternion = roma.rotmat_to_unitquat(_rotation("z", rolled) @ upright @ _rotation("y", turned))
    # q and -q are the same rotation.
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    axis, w = quaternion[..., :3], quaternion[..., 3:]
    # Computed here, because a library would return the shorter rotation, whose vector jumps at half a turn.
    length = axis.norm(dim=-1, keepdim=True)
    vector: Tensor = axis / length * (2 * torch.atan2(length, w))
    return vector


def walking(
    phase: float | Tensor,
    stride: float | Tensor = 22.0,
    arm_swing: float | Tensor = 20.0,
    elbow: float | Tensor = 18.0,
    lean: float | Tensor = 3.0,
) -> Tensor:
    """Return a walking pose.

    Args:
        phase: Phase of the cycle, period 1: at 0 the left heel strikes, at 0.5 the right one; the
            left foot is in the air from about 0.6 to 1.
        stride: Swing of the thighs to each side of their mean, degrees.
        arm_swing: Swing of the arms, opposite to the legs, degrees.
        elbow: Mean bend of the elbows, degrees.
        lean: Forward lean of the trunk, degrees.

    Returns:
        (..., 24, 3) axis-angle, radians; the arguments' shapes are broadcast.
    """
    phase, stride, arm_swing, elbow, lean = _numbers(phase, stride, arm_swing, elbow, lean)
    pose = _at_rest(phase)
    size = stride / 22  # the other angles are those of a stride of 22 degrees
    for side, late in (("left", 0.0), ("right", 0.5)):
        p = phase + late
        swing = torch.cos(2 * math.pi * p)
        # Angles of level walking as in gait analysis: the knee yields after heel strike and folds
        # in the air.
        _set_leg(
            pose,
            side,
            flexion=8 * size + stride * swing,
            knee=4 + size * (12 * _bump(p, 0.14, 0.06) + 55 * _bump(p, 0.73, 0.09)),
            ankle=size * (9 * _bump(p, 0.42, 0.10) - 18 * _bump(p, 0.62, 0.06)),
        )
        # Arms swing against the legs, and elbows bend more in front of the body.
        _set_arm(pose, side, down=HANGING, swing=-arm_swing * swing, elbow=elbow * (1 - 0.4 * swing))
    # The shoulders turn against the pelvis, shared by the three spine joints.
    twist = torch.deg2rad(2 * size * torch.cos(2 * math.pi * phase))
    for name in ("spine1", "spine2", "spine3"):
        pose[..., _J[name], 1] = twist
    pose[..., _J["spine1"], 0] = torch.deg2rad(lean)
    return pose


def standing(spread: float | Tensor = 0.0, elbow: float | Tensor = 15.0, down: float | Tensor = HANGING) -> Tensor:
    """Return a relaxed standing pose.

    Args:
        spread: Angle by which each leg is moved outwards, degrees.
        elbow: Bend of the elbows, degrees.
        down: Angle by which the arms are lowered from the T-pose, degrees.

    Returns:
        (..., 24, 3) axis-angle, radians; the arguments' shapes are broadcast.
    """
    spread, elbow, down = _numbers(spread, elbow, down)
    pose = _at_rest(spread)
    for side in ("left", "right"):
        _set_leg(pose, side, flexion=0.0, knee=2.0, ankle=0.0, outwards=spread)
        _set_arm(pose, side, down=down, swing=0.0, elbow=elbow)
    return pose


def sitting(
    hip: float | Tensor = 85.0,
    knee: float | Tensor = 85.0,
    spread: float | Tensor = 8.0,
    lean: float | Tensor = 5.0,
    arm: float | Tensor = 25.0,
    elbow: float | Tensor = 50.0,
) -> Tensor:
    """Return a sitting pose with the hands towards the thighs.

    Args:
        hip: Bend of the hips, degrees; 0 is standing.
        knee: Bend of the knees, degrees.
        spread: Angle between each thigh and straight ahead, degrees.
        lean: Forward lean of the trunk, degrees.
        arm: Angle by which the upper arms are raised to the front, degrees.
        elbow: Bend of the elbows, degrees.

    Returns:
        (..., 24, 3) axis-angle, radians; the arguments' shapes are broadcast.
    """
    hip, knee, spread, lean, arm, elbow = _numbers(hip, knee, spread, lean, arm, elbow)
    pose = _at_rest(hip)
    for side in ("left", "right"):
        _set_leg(pose, side, flexion=hip, knee=knee, ankle=0.0, outwards=spread)
        # Closer to the trunk than hanging arms, so that the hands are above the thighs.
        _set_arm(pose, side, down=HANGING + 4, swing=arm, elbow=elbow)
    pose[..., _J["spine1"], 0] = torch.deg2rad(lean)
    pose[..., _J["spine2"], 0] = torch.deg2rad(lean / 2)
    return pose


def reaching(
    left: float | Tensor = 85.0,
    right: float | Tensor = 0.0,
    elbow: float | Tensor = 15.0,
    lean: float | Tensor = 5.0,
) -> Tensor:
    """Return a standing pose with the arms stretched to the front.

    Args:
        left: Angle by which the left arm is raised to the front from hanging, degrees; 90 is level,
            170 is overhead.
        right: The same angle of the right arm, degrees.
        elbow: Bend of both elbows, degrees.
        lean: Forward lean of the trunk, degrees.

    Returns:
        (..., 24, 3) axis-angle, radians; the arguments' shapes are broadcast.
    """
    left, right, elbow, lean = _numbers(left, right, elbow, lean)
    pose = standing(torch.zeros_like(left))
    _set_arm(pose, "left", down=HANGING, swing=left, elbow=elbow)
    _set_arm(pose, "right", down=HANGING, swing=right, elbow=elbow)
    pose[..., _J["spine1"], 0] = torch.deg2rad(lean)
    return pose


def arms_up(left: float | Tensor = 60.0, right: float | Tensor = 60.0, elbow: float | Tensor = 20.0) -> Tensor:
    """Return a standing pose with the arms raised sideways.

    Args:
        left: Angle of the left arm above level, degrees.
        right: Angle of the right arm above level, degrees.
        elbow: Bend of both elbows, degrees.

    Returns:
        (..., 24, 3) axis-angle, radians; the arguments' shapes are broadcast.
    """
    left, right, elbow = _numbers(left, right, elbow)
    pose = standing(torch.zeros_like(left))
    _set_arm(pose, "left", down=-left, swing=0.0, elbow=elbow)
    _set_arm(pose, "right", down=-right, swing=0.0, elbow=elbow)
    return pose


def sample_poses(n: int, generator: torch.Generator | None = None, kinds: Sequence[Kind] = KINDS) -> Tensor:
    """Sample random poses within the joint limits.

    Args:
        n: Number of poses.
        generator: Source of randomness; torch's global generator if None.
        kinds: Kinds of pose, equally likely; a repeated kind is more likely.

    Returns:
        (n, 24, 3) float32 axis-angle, radians; joint 0 is zero.
    """
    chosen = torch.randint(len(kinds), (n,), generator=generator)
    poses = torch.zeros(n, _JOINTS, 3)
    for i, kind in enumerate(kinds):
        where = chosen == i
        poses[where] = _SAMPLERS[kind](int(where.sum()), generator)
    # Half of the poses are mirrored: either arm may be the one that reaches, and a bias to one side would be learnt.
    flip = torch.rand(n, 1, 1, generator=generator) < 0.5
    poses = torch.where(flip, mirror_pose(poses), poses)
    # Limits come last: the noise must not bend a joint the wrong way.
    return within_limits(poses + _JITTER_SCALE * torch.randn(n, _JOINTS, 3, generator=generator))


def perturb(pose: Tensor, degrees: tuple[float, float], generator: torch.Generator | None = None) -> Tensor:
    """Turn hips, knees, shoulders, elbows and the lower spine at random, for wrong starts of fits.

    Joint limits are not applied, so that every joint is off by the requested angle.

    Args:
        pose: (B, 24, 3) axis-angle, radians; joint 0 and the joints not named above are kept.
        degrees: Least and greatest angle of a turn; each joint's angle is uniform between them.
        generator: Source of randomness, a CPU generator; torch's global one if None.

    Returns:
        (B, 24, 3) axis-angle, radians.
    """
    joints = [i for i, name in enumerate(JOINT_NAMES) if name.split("_")[-1] in _PERTURBED]
    shape = (len(pose), len(joints))
    # A normalised Gaussian vector has a uniformly random direction.
    axis = torch.randn(*shape, 3, generator=generator)
    low, high = (math.radians(d) for d in degrees)
    angle = low + (high - low) * torch.rand(*shape, 1, generator=generator)
    turn = roma.rotvec_to_rotmat((axis / axis.norm(dim=-1, keepdim=True) * angle).to(pose))
    # A turn in the joint's own frame: its angle is the error in any pose.
    turned = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(pose[:, joints]) @ turn)
    result = pose.clone()
    result[:, joints] = turned
    return result


# ---- pieces ----


def _numbers(*values: float | Tensor) -> tuple[Tensor, ...]:
    """Convert the arguments to float32 tensors and broadcast them to one shape."""
    return _broadcast(*(torch.as_tensor(v, dtype=torch.float32) for v in values))


def _broadcast(*values: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.broadcast_tensors(*values))


def _at_rest(like: Tensor) -> Tensor:
    """Return rest poses (..., 24, 3) for each element of a tensor (...)."""
    return torch.zeros(*like.shape, _JOINTS, 3)


def _rotation(axis: str, angle: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) about "x", "y" or "z" by angles (...) in radians."""
    unit = torch.eye(3, dtype=angle.dtype, device=angle.device)["xyz".index(axis)]
    matrix: Tensor = roma.rotvec_to_rotmat(angle[..., None] * unit)
    return matrix


def _bump(phase: Tensor, centre: float, width: float) -> Tensor:
    """Return a bell curve of height 1 over the cycle, whose period is 1."""
    # The way around the cycle, from -0.5 to 0.5: a bump near phase 1 continues at 0.
    away = (phase - centre + 0.5) % 1 - 0.5
    return torch.exp(-0.5 * (away / width) ** 2)


def _set_leg(
    pose: Tensor,
    side: str,
    *,
    flexion: float | Tensor,
    knee: float | Tensor,
    ankle: float | Tensor,
    outwards: float | Tensor = 0.0,
) -> None:
    """Set a leg, in degrees: thigh to the front, knee bent, toes up, leg outwards."""
    flexion, knee, ankle, outwards = (torch.deg2rad(a) for a in _numbers(flexion, knee, ankle, outwards))
    # Rotations about y and z change sign in the mirror, those about x do not.
    sign = 1.0 if side == "left" else -1.0
    # Outwards first: a thigh raised to level then points `outwards` degrees away from straight ahead.
    hip = _rotation("x", -flexion) @ _rotation("z", sign * outwards)
    pose[..., _J[f"{side}_hip"], :] = roma.rotmat_to_rotvec(hip)
    pose[..., _J[f"{side}_knee"], 0] = knee
    pose[..., _J[f"{side}_ankle"], 0] = -ankle


def _set_arm(pose: Tensor, side: str, *, down: float | Tensor, swing: float | Tensor, elbow: float | Tensor) -> None:
    """Set an arm, in degrees: lowered from the T-pose, then swung to the front; elbow bent."""
    down, swing, elbow = (torch.deg2rad(a) for a in _numbers(down, swing, elbow))
    sign = 1.0 if side == "left" else -1.0
    shoulder = _rotation("x", -swing) @ _rotation("z", -sign * down)
    pose[..., _J[f"{side}_shoulder"], :] = roma.rotmat_to_rotvec(shoulder)
    pose[..., _J[f"{side}_elbow"], 1] = -sign * elbow


def _jitter_scale() -> Tensor:
    scale = torch.zeros(_JOINTS, 1)
    for name, degrees in _JITTER.items():
        scale[_J[name]] = scale[FLIP_PERMUTATION[_J[name]]] = math.radians(degrees)
    return scale


_JITTER_SCALE = _jitter_scale()


def _uniform(n: int, generator: torch.Generator | None, *ranges: tuple[float, float]) -> list[Tensor]:
    return [low + (high - low) * torch.rand(n, generator=generator) for low, high in ranges]


def _sampler(build: Callable[..., Tensor], *ranges: tuple[float, float]) -> Callable[..., Tensor]:
    return lambda n, generator: build(*_uniform(n, generator, *ranges))


_SAMPLERS: dict[Kind, Callable[[int, torch.Generator | None], Tensor]] = {
    # phase, stride, arm swing, elbow, lean
    "walking": _sampler(walking, (0, 1), (12, 30), (5, 35), (8, 35), (-2, 8)),
    # spread, elbow, down
    "standing": _sampler(standing, (-2, 12), (5, 60), (60, 78)),
    # hip, knee, spread, lean, arm, elbow
    "sitting": _sampler(sitting, (65, 100), (60, 110), (0, 20), (-5, 25), (0, 50), (10, 90)),
    # left, right, elbow, lean
    "reaching": _sampler(reaching, (40, 140), (-15, 90), (0, 60), (-3, 20)),
    # left, right, elbow
    "arms_up": _sampler(arms_up, (10, 80), (-60, 80), (0, 80)),
}
