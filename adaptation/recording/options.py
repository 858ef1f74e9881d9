"""Options of fitting and predicting on recordings. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from adaptation.data.calibration.lens import LensOptions
from adaptation.fitting.settings import FitSettings, StartSettings, TrackFitSettings, fit_at_size
from adaptation.losses.settings import LossName, LossSettings
from adaptation.recording.detections import TrackSettings
from adaptation.recording.tilt.options import TiltOptions
from adaptation.regressors.modes import CropRule
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from adaptation.bodies.renderer import BackendName
    from adaptation.recording.footage.background import Method

TRACK_PRIOR = "motion"
"""Pose prior of fits over time. Real poses in it helped real people, and did not harm walkers of sampled poses."""
SIZE = 112  # side, in pixels, of the crops that the settings of fits were chosen for


@dataclass(frozen=True)
class TemporalSettings:
    """Costs of a sequence of bodies, in a common unit.

    Attributes:
        motion: cost per metre of mean movement of the root-centred joints between consecutive frames.
        pitch: cost per radian between the pitch at which a body is seen and the camera's pitch.
        heading: cost of facing against the direction of travel, at full speed.
        full_speed: speed at which the direction of travel gets full weight, body heights per frame.
        gap: number of frames after which a neighbour has no influence on the pose.
        ground_slope: travel towards the camera per pixel of travel down in the image, pixels: the camera looks down,
            so people who move down in the image come closer.
    """

    motion: float = 1.0
    pitch: float = 3.0
    heading: float = 0.5
    full_speed: float = 0.02
    gap: float = 15.0
    ground_slope: float = 2.0


@dataclass(frozen=True)
class NetworkOptions:
    """A regressor that takes part in fits over time.

    Attributes:
        model: its file or name.
        size: side of the crops that it is given, pixels.
        margin: space on each side of a person in them, as a fraction of the longer side of their box.
        aspect: width per height to which that box is widened or heightened first; None leaves it.
        least_iou: mean IoU of its bodies with the masks below which it is not used.
        most_backwards: share of facing against the direction of travel, from 0 to 1, above which it is not used; 0.5
            is chance.
    """

    model: str
    size: int
    margin: float
    aspect: float | None = None
    least_iou: float = 0.55
    most_backwards: float = 0.2


@dataclass(frozen=True)
class FitOptions:
    """Options that determine a result; they are stored with it.

    Attributes:
        every: one frame in ``every`` is used, unless ``frames`` is given.
        frames: numbers of the frames to use, from 0; None for one in ``every``.
        method: method of background subtraction.
        size: side of the crops, pixels.
        margin: space on each side of a person, as a fraction of the longer side of their box.
        aspect: width per height to which that box is widened or heightened first; None leaves it.
        intrinsics: rows of the frame's camera matrix, pixels; None if it is unknown.
        sigma: softness of the rendered outline, pixels squared.
        renderer: "topokernels", or "pytorch3d" if it is installed.
        device: "cpu", "cuda" or "cuda:N".
        tracks: rules on what counts as a person.
        fit: losses and optimiser of fits.
        per_frame: whether each frame is fitted by itself, and not all frames of a person together.
        starts: starting poses of fits of single frames.
        temporal: costs of the choice between each body of a single frame and its depth reflection.
        track_fits: search, choice and weights of fits over time.
        tilt: what the user says about how the camera hangs.
        rate: frames per second; None for the recording's own.
        network: regressor that takes part in fits over time; None for silhouettes alone.
    """

    # Three bodies per second of usual video: neighbouring frames cost as much to fit and show nearly the same pose.
    every: int = 10
    frames: tuple[int, ...] | None = None
    method: Method = "median"
    size: int = 112
    margin: float = 0.1
    aspect: float | None = None
    intrinsics: tuple[tuple[float, ...], ...] | None = None
    # Small enough that gained and lost pixels at the outline both have a gradient; docs/rendering.md compares values.
    sigma: float = 0.1
    renderer: BackendName = "topokernels"
    device: str = "cpu"
    tracks: TrackSettings = field(default_factory=TrackSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    starts: StartSettings = field(default_factory=StartSettings)
    temporal: TemporalSettings = field(default_factory=TemporalSettings)
    per_frame: bool = False
    track_fits: TrackFitSettings = field(default_factory=TrackFitSettings)
    tilt: TiltOptions = field(default_factory=TiltOptions)
    rate: float | None = None
    network: NetworkOptions | None = None


def seen_through(options: FitOptions, lens: LensOptions, size: tuple[int, int]) -> FitOptions:
    """Return options with the camera matrix of frames of a width and a height.

    Raises:
        UserError: a calibration cannot be used.
    """
    return replace(options, intrinsics=lens.matrix(size))


def cropped_by(options: FitOptions, rule: CropRule | None, size: int | None = None) -> FitOptions:
    """Return options with the crops of a network.

    Args:
        options: other options.
        rule: how the network's crops are cut; None changes nothing.
        size: side of the crops that a user asked for; None if they did not.

    Raises:
        UserError: the user asked for another size.
    """
    if rule is None:
        return options
    if size is not None and size != rule.size:
        raise UserError(f"--size {size}: this network's crops have {rule.size} pixels; leave --size out")
    return replace(options, size=rule.size, margin=(rule.padding - 1) / 2, aspect=rule.aspect)


def recording_settings(loss: LossName, steps: int, size: int = SIZE) -> FitSettings:
    """Return the settings of fits to recordings: people in clothes, background subtraction, unknown poses.

    The loss "ours" adds to L_S and L_T a pixel term, since masks are wider than the body, and a bone term. Its
    pull weighs more than its push, since masks lose parts more often than they gain some. Shape and pose are
    regularised less than in fits to exact masks. The baselines have the weights of the paper.

    Args:
        loss: name of the silhouette loss.
        steps: Adam steps of a fit.
        size: side of the crops, pixels.
    """
    ours = LossSettings(pixel_weight=3.0, bone_weight=2.0, pull_weight=3.0)
    # Only "ours" is tuned to recordings, so that the others stay the baselines that the paper describes.
    usual = ours if loss == "ours" else LossSettings(name=loss)
    return fit_at_size(
        FitSettings(
            loss=usual,
            steps=steps,
            prior_start=0.1,
            prior_end=0.0003,
            shape_weight=0.001,
            shape_rate=0.1,
        ),
        size / SIZE,
    )
