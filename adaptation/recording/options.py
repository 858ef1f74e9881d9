"""Everything that decides what is fitted to a recording. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adaptation.fitting.settings import FitSettings, StartSettings
from adaptation.losses.settings import LossName, LossSettings, at_size
from adaptation.recording.detections import TrackSettings

if TYPE_CHECKING:
    from adaptation.bodies.renderer import BackendName
    from adaptation.recording.background import Method

SIZE = 112  # of crops, in pixels, that the recipe of fits was made for


@dataclass(frozen=True)
class TemporalSettings:
    """Costs of a sequence, in the unit of the candidates' own cost.

    Attributes:
        motion: per metre of mean joint movement between neighbouring frames, root-centred.
        pitch: per radian between the pitch a body is seen at and the camera's.
        heading: of facing against the direction of travel, at full speed.
        full_speed: travel in body heights per frame at which the direction counts in full.
        gap: frames after which a neighbour says nothing any more about the pose.
        ground_slope: image pixels of travel in depth that one pixel down stands for: the camera
            looks down, so moving down in the image is coming closer.
    """

    motion: float = 1.0
    pitch: float = 3.0
    heading: float = 0.5
    full_speed: float = 0.02
    gap: float = 15.0
    ground_slope: float = 2.0


@dataclass(frozen=True)
class FitOptions:
    """Everything that decides a result, dumped beside it.

    Attributes:
        every: one frame in this many is fitted, where none are asked for by number.
        frames: frames to fit; None for one in ``every``.
        method: of background subtraction.
        size: side of the crops in pixels.
        margin: space around a person, as a fraction of the longer side of their box, on each side.
        sigma: softness of the rendered outline, pixels squared.
        renderer: what draws bodies, "topokernels", or "pytorch3d" where it is installed.
        device: "cpu", "cuda" or "cuda:N".
        tracks: what counts as a person.
        fit: losses and optimiser.
        starts: starting poses.
        temporal: choice between the two bodies behind each silhouette.
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
    """The recipe for recordings: people in clothes, seen by background subtraction, from unknown poses.

    Pixels count beside L_S and L_T, since masks are wider than the body, and bones; pull counts more than push, since
    masks lose parts more often than they gain some. Shape and pose are held less tightly than in fits to exact masks.
    Baselines stay what they are in the paper.

    Args:
        loss: which.
        steps: of a fit.
        size: side of the crops in pixels.
    """
    ours = LossSettings(pixel_weight=3.0, bone_weight=2.0, pull_weight=3.0)
    usual = ours if loss == "ours" else LossSettings(name=loss)
    sized = at_size(usual, size / SIZE)
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
