"""The tilt of a recording's camera: what the user or a calibration says, or else what the recording shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from adaptation.data.calibration.camera import CalibratedCamera, read_calibration
from adaptation.recording.footage.video import Frames
from adaptation.recording.tilt.camera_tilt import CameraTilt, Source, down_of
from adaptation.recording.tilt.estimate import Estimate, Focal
from adaptation.recording.tilt.focal_length import focal_of_structures
from adaptation.recording.tilt.options import TiltOptions
from adaptation.recording.tilt.people import find_walkers, tilt_of_people
from adaptation.recording.tilt.scene import empty_scene
from adaptation.recording.tilt.structures import find_segments, tilt_of_structures
from adaptation.recording.tracking import Track
from adaptation.support.reading.findings import found

_APART = 2.0  # standard deviations between two estimates that disagree
_WORST = math.radians(10.0)  # an angle with a greater standard deviation is unknown
Angle = tuple[float, float]
"""An angle and its standard deviation, radians."""


def camera_tilt(frames: Frames, tracks: Sequence[Track], given: TiltOptions | None = None) -> CameraTilt:
    """Find out how the camera of a recording hangs.

    What the user gives is not estimated. Otherwise, vertical structures of the scene and upright people are two
    estimates, each with a standard deviation. Where they agree, they are averaged; where not, the surer one counts. The
    result, and why, is stated with `found`.

    Args:
        frames: recording of a static camera.
        tracks: people in it; their masks are also kept out of the scene.
        given: what the user says.

    Returns:
        Tilt along the optical axis, which is assumed to meet the frame's centre unless a calibration says otherwise.

    Raises:
        UserError: the calibration cannot be used.
    """
    given = given or TiltOptions()
    if (known := given_tilt(frames.size, given)) is not None:
        return known
    guess, centre = Focal.guess(frames.size), _middle(frames.size)
    estimate, source = _estimated(frames, tracks, centre, guess)
    pitch, roll = (0.0, math.inf), (0.0, math.inf)
    if estimate is not None:
        pitch, roll = (estimate.pitch, estimate.pitch_deviation), (estimate.roll, estimate.roll_deviation)
    if given.pitch is not None:
        pitch, source = (math.radians(given.pitch), 0.0), "given"
    if given.roll is not None:
        roll, source = (math.radians(given.roll), 0.0), "given"
    focal = estimate.focal.pixels if estimate is not None else guess.pixels
    tilt = CameraTilt(down_of(pitch[0], roll[0]), pitch[1], roll[1], source, focal, centre)
    _state(tilt)
    return tilt


def given_tilt(size: tuple[int, int], given: TiltOptions) -> CameraTilt | None:
    """Return the tilt that the user or a calibration states, without a look at the recording.

    Programs call it before they search for people, so that a calibration that cannot be used is refused early.

    Args:
        size: width and height of the frames, pixels.
        given: what the user says.

    Returns:
        The tilt; None if pitch, roll or both have to be estimated.

    Raises:
        UserError: the calibration cannot be used.
    """
    if given.calibration is not None:
        return _of_calibration(read_calibration(given.calibration, size, given.camera, given.up))
    if given.pitch is None or given.roll is None:
        return None
    down = down_of(math.radians(given.pitch), math.radians(given.roll))
    return CameraTilt(down, 0.0, 0.0, "given", Focal.guess(size).pixels, _middle(size))


def _middle(size: tuple[int, int]) -> tuple[float, float]:
    return size[0] / 2, size[1] / 2


def _of_calibration(camera: CalibratedCamera) -> CameraTilt:
    tilt = CameraTilt(camera.down, 0.0, 0.0, "calibration", camera.focal, camera.centre)
    pitch, roll = math.degrees(tilt.pitch), math.degrees(tilt.roll)
    found(f"camera: by its calibration, it looks down by {pitch:.1f} degrees and is rolled by {roll:.1f}")
    return tilt


def _state(tilt: CameraTilt) -> None:
    """Say what was found."""
    if not tilt.known:
        found(
            "camera: neither vertical structures nor people show how it hangs; its tilt is unknown. Give --pitch and "
            "--roll in degrees, or --calibration, if you know them"
        )
        return
    angles = []
    for name, angle, deviation in (
        ("pitch", tilt.pitch, tilt.pitch_deviation),
        ("roll", tilt.roll, tilt.roll_deviation),
    ):
        how = f" +- {math.degrees(deviation):.0f}" if deviation else " as given"
        angles.append(f"{name} {math.degrees(angle):.0f}{how}" if math.isfinite(deviation) else f"{name} unknown")
    found(f"camera: {', '.join(angles)} degrees, from: {tilt.source}")


def _estimated(
    frames: Frames, tracks: Sequence[Track], centre: tuple[float, float], focal: Focal
) -> tuple[Estimate | None, Source]:
    """Return the estimate from people and structures, and which of them it is."""
    picture, hidden = empty_scene(frames, tracks)
    segments = find_segments(picture, centre, hidden)
    # Each knows the focal length better than a guess, which sharpens the other's pitch.
    if (structures := tilt_of_structures(segments, focal)) is not None:
        focal = focal_of_structures(segments, structures)
    if (people := tilt_of_people(find_walkers(tracks, centre), focal)) is not None:
        focal = people.focal
    structures = tilt_of_structures(segments, focal)
    if people is None or structures is None:
        return _sure_enough(people or structures, "people" if people else "vertical structures")
    pitch, pitch_source = _combined(
        "pitch", (people.pitch, people.pitch_deviation), (structures.pitch, structures.pitch_deviation)
    )
    roll, roll_source = _combined(
        "roll", (people.roll, people.roll_deviation), (structures.roll, structures.roll_deviation)
    )
    source: Source = pitch_source if pitch_source == roll_source else "structures and people"
    # An error of the focal length is common to both, so that a mean does not lower it.
    by_focal = abs(math.sin(pitch[0]) * math.cos(pitch[0])) * people.focal.deviation
    return _sure_enough(Estimate(pitch[0], roll[0], max(pitch[1], by_focal), roll[1], people.focal), source)


def _sure_enough(estimate: Estimate | None, source: Source) -> tuple[Estimate | None, Source]:
    """Drop angles that are too uncertain to use."""
    if estimate is None:
        return None, "unknown"
    if estimate.pitch_deviation > _WORST:
        estimate = replace(estimate, pitch=0.0, pitch_deviation=math.inf)
    if estimate.roll_deviation > _WORST:
        estimate = replace(estimate, roll=0.0, roll_deviation=math.inf)
    known = math.isfinite(min(estimate.pitch_deviation, estimate.roll_deviation))
    return (estimate, source) if known else (None, "unknown")


def _combined(name: str, people: Angle, structures: Angle) -> tuple[Angle, Source]:
    """Return the mean of two estimates, weighted by their inverse variances; where they disagree, the surer one."""
    (a, da), (b, db) = people, structures
    if abs(a - b) <= _APART * math.hypot(da, db):
        weight = db**2 / (da**2 + db**2)
        return (weight * a + (1 - weight) * b, da * db / math.hypot(da, db)), "structures and people"
    chosen: Source = "people" if da < db else "vertical structures"
    found(
        f"camera: people show a {name} of {math.degrees(a):.0f} +- {math.degrees(da):.0f} degrees, vertical structures "
        f"{math.degrees(b):.0f} +- {math.degrees(db):.0f}; {chosen} are surer and count"
    )
    return (people if da < db else structures), chosen
