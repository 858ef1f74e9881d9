"""Settings of SMPLify. Nothing here imports torch, so that ``--help`` is quick.

Weights are those of the public code (smplify_public, ``fit_3d.py``, ``optimize_on_joints``), squared, because it
minimises sums of squares. They belong to distances in pixels of an image in which people are as large as in LSP's,
about 150 pixels. SPIN uses the same numbers in crops of 224 pixels, and so does this: distances are converted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

PIXELS = 224
"""Side of the crops in whose pixels distances are measured, whatever the size of the crops that are given."""


@dataclass(frozen=True)
class StageWeights:
    """Weights of one of SMPLify's stages.

    Attributes:
        pose: weight of the pose prior E_theta.
        shape: weight of the squared shape coefficients E_beta.
        steps: Adam steps, with cosine decay of the rates to zero.
    """

    pose: float
    shape: float
    steps: int = 60


@dataclass(frozen=True)
class SmplifySettings:
    """Settings of fits to keypoints.

    Attributes:
        sigma: distance in pixels at which a keypoint's penalty is half of its maximum.
        stages: weights of the stages, in order: pose prior 404^2, 404^2, 57.4^2, 4.78^2; shape 100^2, 50^2, 10^2, 5^2.
        bending: weight of the bending prior, as a multiple of the pose prior's. (10 * 0.317)^2 in the public code; a
            quarter of it was better on synthetic and on real people, who straighten their knees.
        interpenetration: weight of the interpenetration term: (10^3)^2.
        tightness: sigma of a sphere as a fraction of its radius; 0.3 in the public code, 1/3 in the paper.
        prior: name of the pose prior (`adaptation.priors.named`); read by the code that builds the fitter.
        both_below: distance of the shoulders in pixels below which a view is ambiguous, and two orientations are tried.
        hips: weight of the hips as a fraction of other joints'. 0 in the public code, because LSP's annotators put them
            elsewhere than SMPL; with detectors they helped.
        camera_steps: Adam steps of the fit of orientation and place to the torso.
        pose_rate: learning rate of the pose, radians.
        orientation_rate: learning rate of the global orientation, radians.
        shape_rate: learning rate of the shape coefficients.
        shift_rate: learning rate of the body's position, as a fraction of the crop's side.
        scale_rate: learning rate of the logarithm of the camera's scale, where silhouettes are fitted. With keypoints
            alone the scale stays that of the torso, as in the public code; fits that changed it ended worse.
        silhouettes: weight of the silhouette loss, if masks are given. Of 10, 100 and 1000, this was best on synthetic
            and on real people.
        without: names of terms that are left out: prior, bending, shape, interpenetration.
    """

    sigma: float = 100.0
    stages: tuple[StageWeights, ...] = (
        StageWeights(404.0**2, 100.0**2),
        StageWeights(404.0**2, 50.0**2),
        StageWeights(57.4**2, 10.0**2),
        StageWeights(4.78**2, 5.0**2),
    )
    bending: float = 3.17**2 / 4
    interpenetration: float = 1e6
    tightness: float = 0.3
    prior: str = "mixture"
    both_below: float = 25.0
    hips: float = 1.0
    camera_steps: int = 60
    pose_rate: float = 0.03
    orientation_rate: float = 0.03
    shape_rate: float = 0.05
    shift_rate: float = 0.4 / 112
    scale_rate: float = 0.01
    silhouettes: float = 1000.0
    without: tuple[str, ...] = ()


def with_steps(settings: SmplifySettings, steps: int) -> SmplifySettings:
    """Return settings in which the fit of the camera and each stage have some number of steps."""
    stages = tuple(replace(stage, steps=steps) for stage in settings.stages)
    return replace(settings, stages=stages, camera_steps=steps)


PRESETS: dict[str, SmplifySettings] = {
    "tiny": with_steps(SmplifySettings(), 10),
    "small": SmplifySettings(),
    "paper": with_steps(SmplifySettings(hips=0.0, bending=3.17**2), 200),
}
"""Settings by name: tiny for a first look, small for two CPU cores, and paper with all weights of the public code and
with steps until little changes."""
