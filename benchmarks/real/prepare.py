"""Make the reference of the four-camera recording: frames, masks, adjusted cameras, and a triangulated skeleton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from adaptation.detectors.blazepose import BlazePose
from adaptation.detectors.model_packages import open_models
from adaptation.detectors.people import PeopleDetector
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from real.cameras import Camera, save_cameras
from real.footage import View, calibration, prepare_view
from real.skeleton import BONES, JOINTS
from real.triangulation import Floats, adjusted, consistent_sides, robust, without_jumps

_AGREES = 15.0  # pixels at half size; a view that is farther off does not support a joint
_SUPPORT = 2  # views that a joint needs
_MOST_MISSING = 1  # joints of a frame that may lack support


def prepare(
    wheel: Path, models: Path, names: Sequence[str], out: Path, every: int = 2, say: Callable[[str], None] = print
) -> None:
    """Write the reference to a folder: camNN/frames, camNN/masks, cameras.npz and joints3d.npz.

    Args:
        wheel: the package pose2sim.
        models: packages of MediaPipe's networks.
        names: cameras to use, at least two of "cam01" to "cam04".
        out: folder to write to.
        every: one frame in this many is written; joints are of all frames.
        say: called with a line about what is done.

    Raises:
        UserError: a camera does not exist, there are fewer than two, or a package is unusable.
    """
    known = {camera.name: camera for camera in calibration(wheel)}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"there is no camera {', '.join(unknown)}; the recording has {', '.join(known)}")
    if len(set(names)) < 2:
        raise UserError(f"got {len(set(names))} camera, expected at least two different ones of {', '.join(known)}")
    package = open_models(models)
    detectors = PeopleDetector(package), BlazePose(package)
    views = [prepare_view(wheel, known[name], detectors, out / name, every, say) for name in names]
    count = min(len(view.keypoints) for view in views)
    keypoints = np.stack([view.keypoints[:count] for view in views])
    cameras = _agreeing(views, keypoints, say)
    keypoints = consistent_sides(keypoints, cameras)
    joints, away = robust(keypoints, cameras)
    joints, steady = without_jumps(joints)
    save_cameras(cameras, out / "cameras.npz")
    valid = steady & ((away < _AGREES).sum(0) >= _SUPPORT)
    with whole_file(out / "joints3d.npz") as file:
        np.savez(
            file,
            joints3d=joints.astype(np.float32),
            valid=valid,
            frame_valid=(~valid).sum(1) <= _MOST_MISSING,
            names=np.array(JOINTS),
            detected2d=keypoints.astype(np.float32),
        )
    _report(joints, away, valid, say)


def _agreeing(views: Sequence[View], keypoints: Floats, say: Callable[[str], None]) -> list[Camera]:
    """Adjust the cameras, and state what that changed."""
    before = [view.camera for view in views]
    sides = consistent_sides(keypoints, before)
    after = adjusted(sides, before)
    for title, cameras in (("as calibrated", before), ("adjusted", after)):
        away = robust(sides, cameras)[1]
        say(f"{title}: reprojection error {np.median(away):.1f} px median, {np.percentile(away, 90):.1f} px at 90 %")
    for old, new in zip(before, after, strict=True):
        angle = np.degrees(np.arccos(np.clip((np.trace(new.rotation @ old.rotation.T) - 1) / 2, -1, 1)))
        centres = [-each.rotation.T @ each.translation for each in (old, new)]
        shift = 1000 * np.linalg.norm(centres[1] - centres[0])
        say(f"{new.name}: turned by {angle:.2f} degrees, moved by {shift:.0f} mm")
    return after


def _report(joints: Floats, away: Floats, valid: np.ndarray, say: Callable[[str], None]) -> None:  # type: ignore[type-arg]
    lengths = np.stack([np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in BONES])
    say(
        f"skeleton: {valid.mean():.1%} of the joints supported, reprojection error {np.median(away):.1f} px, lengths "
        f"of bones vary by {1000 * lengths.std(1).mean():.0f} mm"
    )
