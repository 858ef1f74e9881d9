"""Settings of the fits of a recording. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adaptation.fitting.settings import FitSettings, StartSettings
from adaptation.losses.settings import LossName, LossSettings, at_size
from adaptation.recording.detections import TrackSettings

if TYPE_CHECKING:
    from adaptation.bodies.renderer import BackendName
    from adaptation.recording.background import Method

SIZE = 112  # side in pixels of the crops that `recording_settings` was chosen on


@dataclass(frozen=True)
class TemporalSettings:
    """Costs in the choice of one body per frame of a track, in the unit of the candidates' own costs.

    Attributes:
        motion: cost per metre of mean movement of root-centred joints between neighbouring frames.
        pitch: cost per radian between the pitch that a body is seen at and the camera's pitch.
        heading: cost of facing against the direction of travel, at ``full_speed``.
        full_speed: speed in body heights per frame from which the heading has its full cost.
        gap: number of frames after which a neighbour no longer constrains the pose.
        ground_slope: travel in depth, in image pixels, that one pixel of travel down the image corresponds to: the
            camera looks down, so people who move down in the image come closer.
    """

    motion: float = 1.0
    pitch: float = 3.0
    heading: float = 0.5
    full_speed: float = 0.02
    gap: float = 15.0
    ground_slope: float = 2.0


@dataclass(frozen=True)
class FitOptions:
    """All settings that a result depends on; they are written alongside it.

    Attributes:
        every: one frame in this many is fitted, unless ``frames`` are given.
        frames: numbers of the frames to fit; None fits one frame in ``every``.
        method: method of background subtraction.
        size: side of the crops in pixels.
        margin: space on each side of a person, as a fraction of the longer side of their box.
        sigma: softness of the rendered outline, pixels squared.
        renderer: renderer of the bodies: "topokernels", or "pytorch3d" if it is installed.
        device: "cpu", "cuda" or "cuda:N".
        tracks: settings of detection and tracking.
        fit: losses and optimiser of the fits.
        starts: starting poses of the fits.
        temporal: costs in the choice between the two bodies that explain each silhouette.
    """

    every: int = 10
    frames: tuple[int, ...] | None = None
    method: Method = "median"
    size: int = 112
    margin: float = 0.1
    sigma: float = 0.1
    renderer: BackendName = "topokernels"
    device: str = "cpu"
    tracks: TrackSettings = field(default_factory=TrackSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    starts: StartSettings = field(default_factory=StartSettings)
    temporal: TemporalSettings = field(default_factory=TemporalSettings)


def recording_settings(loss: LossName, steps: int, size: int = SIZE) -> FitSettings:
    """Return the fit settings for recordings: clothed people, masks of background subtraction, unknown poses.

    Squared pixel differences are added to L_S and L_T because masks are wider than the body, and L_B is added too. The
    pull has more weight than the push because masks lose parts more often than they gain some. Shape and pose are held
    less tightly than in fits to exact masks. The baselines stay as in the paper.

    Args:
        loss: name of the silhouette loss.
        steps: Adam steps of a fit.
        size: side of the crops in pixels.
    """
    ours = LossSettings(pixel_weight=3.0, bone_weight=2.0, pull_weight=3.0)
    usual = ours if loss == "ours" else LossSettings(name=loss)
    sized = at_size(usual, size / SIZE)
    # The weight of the skeletons changes with the crop's size, and its start with it.
    start = FitSettings().topology_start * sized.topology_weight / usual.topology_weight
    return FitSettings(
        loss=sized,
        steps=steps,
        topology_start=start,
        prior_start=0.1,
        prior_end=0.0003,
        shape_weight=0.001,
        shape_rate=0.1,
    )
