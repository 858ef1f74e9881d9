"""AMASS's npz: poses of SMPL-H's 52 joints, translations, shape, frame rate and gender, with z up.

Source of the format: Mahmood et al., "AMASS: archive of motion capture as surface shapes", ICCV 2019, whose files hold
``poses`` (N, 156), ``trans`` (N, 3), ``betas`` (16,), ``gender`` and ``mocap_framerate``.
"""

from __future__ import annotations

import numpy as np
import roma
import torch

from adaptation.bodies.body import FREE, Body
from adaptation.export.clip import Clip, Floats

_JOINTS, _SHARED = 52, 22  # SMPL-H has fingers in place of SMPL's two hands; the first 22 joints are the same
_BETAS = 16
# x stays, the way from the camera becomes y, and up becomes z.
_UP_Z: Floats = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def amass(clip: Clip, body: Body, rate: float) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file. Frames that the clip lacks are interpolated; fingers are straight.

    Shape coefficients of the free body mean nothing to SMPL. For it, ``betas`` are those of SMPL's mean shape, zeros.

    Args:
        clip: the person.
        body: body model of the clip, on the CPU.
        rate: frames per second of the recording.
    """
    even = clip.uniform()
    rotations = even.rotations[:, :_SHARED].copy()
    rotations[:, 0] = _UP_Z @ rotations[:, 0]
    poses = np.zeros((len(even), _JOINTS, 3))
    poses[:, :_SHARED] = roma.rotmat_to_rotvec(torch.from_numpy(rotations)).numpy()
    betas = np.zeros(_BETAS)
    if body.name != FREE:
        betas[: min(len(clip.betas), _BETAS)] = clip.betas[:_BETAS]
    # SMPL turns in place about the rest position of its root, and then moves by the translation.
    trans = even.roots @ _UP_Z.T - clip.rest(body)[1][0]
    return {
        "poses": poses.reshape(len(even), -1),
        "trans": trans,
        "betas": betas,
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(rate / clip.step),
        "frame": even.frame,
    }
