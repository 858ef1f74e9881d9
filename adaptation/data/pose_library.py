"""A library of poses for search: real poses, and mixtures of legs, trunks and arms of real and sampled ones.

The package has a few hundred distinct poses from CMU's motion capture (`adaptation/assets/LICENSE.md` has the terms;
`tools/make_real_poses.py` made the file).
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import roma
import torch
from torch import Tensor

from adaptation.bodies.body import mirror_pose
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import sample_poses
from adaptation.support.reading.array_files import read_arrays

_PARTS = {
    # The tilt of the pelvis belongs to the legs: they stand on the ground or hang from the body by it.
    "legs": ("pelvis", "hip", "knee", "ankle", "foot"),
    "trunk": ("spine1", "spine2", "spine3", "neck", "head"),
    "arms": ("collar", "shoulder", "elbow", "wrist", "hand"),
}
_REAL_SHARE = 0.5  # of the legs, trunks and arms, if there are real poses


def pose_library(count: int, seed: int = 0, real: Tensor | None = None) -> Tensor:
    """Draw a library of poses: the real ones and their mirror images first, then mixtures.

    A mixture has legs, trunk and arms of three poses that are drawn independently, half of them real and half sampled
    (`adaptation.bodies.poses.sample_poses`); half of the mixtures are mirrored.

    Args:
        count: N, the number of poses; from 2 M on, all M real poses are among them.
        seed: seed of the choice; equal seeds give equal libraries.
        real: (M, 24, 3) axis-angle poses, radians, in axes with y up; None takes those of the package, a tensor of
            0 poses takes none. Their heading is removed.

    Returns:
        (N, 24, 3) float32 axis-angle, radians, within the joint limits. Joint 0 is the tilt of a body that faces +z
        with y up, and 0 for sampled legs.
    """
    generator = torch.Generator().manual_seed(seed)
    real = without_heading(real_poses() if real is None else real.float())
    whole = torch.cat([real, mirror_pose(real)])[:count]
    mixed = count - len(whole)
    sampled = sample_poses(max(mixed, 1), generator)
    result = torch.empty(mixed, len(SMPL), 3)
    for names in _PARTS.values():
        joints = [number for number, name in enumerate(SMPL.joints) if name.split("_")[-1] in names]
        part = sampled[torch.randperm(len(sampled), generator=generator)[:mixed]]
        if len(real):
            taken = real[torch.randint(len(real), (mixed,), generator=generator)]
            part = torch.where(torch.rand(mixed, 1, 1, generator=generator) < _REAL_SHARE, taken, part)
        result[:, joints] = part[:, joints]
    flip = torch.rand(mixed, 1, 1, generator=generator) < 0.5
    return torch.cat([whole, torch.where(flip, mirror_pose(result), result)])


def real_poses() -> Tensor:
    """Return the distinct poses of CMU's motion capture that come with the package, (M, 24, 3) axis-angle, radians."""
    return _shipped().clone()


def without_heading(pose: Tensor) -> Tensor:
    """Turn poses (N, 24, 3) about the vertical axis y so that they face +z, and keep their tilt.

    The rotation about y that is removed is the twist of the swing-twist decomposition of the global orientation, which
    leaves the smallest tilt.
    """
    quaternion = roma.rotvec_to_unitquat(pose[:, 0])
    # A body that hangs upside down by half a turn about a horizontal axis has no heading.
    twist = torch.atan2(quaternion[:, 1], quaternion[:, 3])
    turn = torch.zeros_like(pose[:, 0])
    turn[:, 1] = -2 * twist
    upright = roma.rotvec_composition((turn, pose[:, 0]))
    return torch.cat([upright[:, None], pose[:, 1:]], dim=1)


@lru_cache
def _shipped() -> Tensor:
    with resources.as_file(resources.files("adaptation") / "assets" / "real_poses.npz") as path:
        return torch.from_numpy(read_arrays(path, ("pose",))["pose"]).float()
