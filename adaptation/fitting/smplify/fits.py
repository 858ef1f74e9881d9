"""SMPLify: fit bodies to 2D keypoints, all people in one optimisation (Bogo et al., ECCV 2016, section 3).

First camera and orientation are fitted to the torso. Then pose and shape are fitted to all keypoints in four stages, in
which the weights of the priors fall. Views in which the shoulders lie close together may show a person from either
side: two orientations are fitted there, and the one with the lower E_J is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import facing
from adaptation.fitting.fitter import Fitter, Stage
from adaptation.fitting.posed import PosedBodies, Scene
from adaptation.fitting.schedule import constant
from adaptation.fitting.smplify.camera import first_orientation, shoulder_distance, torso_camera
from adaptation.fitting.smplify.capsules import Capsules
from adaptation.fitting.smplify.settings import PIXELS, SmplifySettings, StageWeights
from adaptation.fitting.smplify.terms import InterpenetrationTerm, KeypointTerm, TorsoTerm
from adaptation.fitting.smplify.variables import SmplifyLeaves
from adaptation.fitting.terms import PriorTerm, SilhouetteTerm, Term, shape_term
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.settings import LossSettings
from adaptation.losses.silhouettes import SilhouetteTarget
from adaptation.priors.base import PosePrior
from adaptation.priors.bending import BendingPrior
from adaptation.priors.mixture import MixturePosePrior
from adaptation.support.batches import Batch

SILHOUETTES = LossSettings(name="b2")
"""Distances between silhouettes both ways, as UP-3D's fits have them (Lassner et al., CVPR 2017, eq. 2)."""
_HIPS = [SMPL.joints.index("left_hip"), SMPL.joints.index("right_hip")]


@dataclass(frozen=True)
class Evidence(Batch):
    """What B bodies are fitted to.

    Attributes:
        keypoints: (B, J, 3) x and y in crop pixels, and confidence, 0 for joints without a keypoint.
        masks: (B, 1, S, S) of 0 and 1; None without silhouettes.
        focal: (B,) focal lengths in half sides of the crop; None for weak perspective.
    """

    keypoints: Tensor
    masks: Tensor | None = None
    focal: Tensor | None = None


@dataclass(frozen=True)
class SmplifyFit(Batch):
    """Fitted bodies of B people.

    Attributes:
        start: bodies after the fit of camera and orientation.
        fitted: fitted bodies.
        error: (B,) E_J of the fitted bodies, pixels squared.
        turned: (B,) bool, whether the second orientation was kept.
    """

    start: BodyVariables
    fitted: BodyVariables
    error: Tensor
    turned: Tensor


class Smplify:
    """Fits one body model to keypoints, and to silhouettes beside them.

    Args:
        scene: body model and renderer; the renderer is used for silhouettes alone.
        prior: pose prior.
        settings: stages, weights and rates.
    """

    def __init__(self, scene: Scene, prior: PosePrior, settings: SmplifySettings | None = None) -> None:
        self.scene, self.prior = scene, prior
        self.settings = settings or SmplifySettings()
        self.capsules = Capsules(scene.body)
        self._bending = BendingPrior().to(scene.body.faces.device)

    @property
    def body(self) -> Body:
        """The body model."""
        return self.scene.body

    def fit(self, evidence: Evidence, size: int, progress: Callable[[int], None] = lambda done: None) -> SmplifyFit:
        """Fit bodies.

        Args:
            evidence: keypoints of B people, of which each has `adaptation.fitting.smplify.camera.FEWEST` or more.
            size: side of the crops in pixels.
            progress: called with 1 after each step.

        Raises:
            FloatingPointError: the loss became infinite or nan.
        """
        start = self.placed(evidence, size, progress)
        starts, person, turned = self._orientations(start, evidence, size)
        many = evidence.select(person)
        fitter = self.fitter(starts, many, size)
        fitter.run(progress)
        with torch.no_grad():
            fitted = fitter.variables.value().detach()
            error = fitter.terms["keypoints"](fitter.variables.posed(), 1.0)
        best = _least(error, person, len(start))
        return SmplifyFit(starts.select(best), fitted.select(best), error[best], turned[best])

    # ---- camera and orientation (section 3.3) ----

    def placed(
        self, evidence: Evidence, size: int, progress: Callable[[int], None] = lambda done: None
    ) -> BodyVariables:
        """Return mean bodies in the prior's mean pose, whose camera and orientation fit the torso."""
        keypoints = evidence.keypoints
        pose = self._mean_pose().to(keypoints).repeat(len(keypoints), 1, 1)
        betas = self.body.mean_shape(len(pose))
        pose[:, 0] = facing(0.0).to(pose)
        with torch.no_grad():
            pose[:, 0] = first_orientation(self.body.joints(pose, betas), keypoints)
            camera = torso_camera(self.body.joints(pose, betas), keypoints, size, evidence.focal)
        settings = self.settings
        # The scale stays: the public code holds the depth by a weight next to which pixels weigh little.
        stage = Stage(
            settings.camera_steps,
            {"torso": constant(1.0)},
            {"orientation": settings.orientation_rate, "offset": 2 * settings.shift_rate},
        )
        leaves = SmplifyLeaves(BodyVariables(pose, betas, camera), self.scene, size)
        Fitter(leaves, {"torso": TorsoTerm(keypoints)}, [stage]).run(progress)
        return leaves.value().detach()

    def _mean_pose(self) -> Tensor:
        # Other priors than the mixture need not have a mean.
        prior = self.prior if hasattr(self.prior, "mean_pose") else MixturePosePrior.default()
        pose: Tensor = prior.mean_pose()
        return pose

    def _orientations(
        self, start: BodyVariables, evidence: Evidence, size: int
    ) -> tuple[BodyVariables, Tensor, Tensor]:
        """Return the starts of all fits, the person of each, and whether it is a second orientation."""
        near = shoulder_distance(evidence.keypoints) * (PIXELS / size) < self.settings.both_below
        again = near.nonzero()[:, 0]
        second = start.select(again)
        flip = roma.rotvec_to_rotmat(start.pose.new_tensor([0.0, torch.pi, 0.0]))
        pose = second.pose.clone()
        pose[:, 0] = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(pose[:, 0]) @ flip)
        first = torch.arange(len(start), device=again.device)
        both = BodyVariables.cat([start, BodyVariables(pose, second.betas, second.camera)])
        person = torch.cat([first, again])
        return both, person, torch.arange(len(both), device=again.device) >= len(start)

    # ---- pose and shape in stages (eq. 1) ----

    def fitter(self, start: BodyVariables, evidence: Evidence, size: int) -> Fitter[SmplifyLeaves]:
        """Return the fit of the stages before its first step."""
        settings = self.settings
        keypoints = evidence.keypoints.clone()
        keypoints[:, _HIPS, 2] *= settings.hips
        terms: dict[str, Term] = {
            "keypoints": KeypointTerm(keypoints, settings.sigma),
            "prior": PriorTerm(self.prior),
            "bending": PriorTerm(self._bending),
            "shape": shape_term,
            "interpenetration": InterpenetrationTerm(self.capsules, settings.tightness),
        }
        if evidence.masks is not None:
            target = SilhouetteTarget.of(evidence.masks, iterations=SILHOUETTES.iterations)
            terms["silhouettes"] = SilhouetteTerm(target, SILHOUETTES)
        leaves = SmplifyLeaves(start, self.scene, size)
        last = len(settings.stages) - 2
        stages = [self._stage(weights, terms, number >= last) for number, weights in enumerate(settings.stages)]
        return Fitter(leaves, terms, stages)

    def _stage(self, weights: StageWeights, terms: Mapping[str, Term], late: bool) -> Stage:
        settings, silhouettes = self.settings, late and "silhouettes" in terms
        each: dict[str, float] = {
            "keypoints": 1.0,
            "prior": weights.pose,
            "bending": settings.bending * weights.pose,
            "shape": weights.shape,
        }
        # In the first two stages the prior holds the pose. Silhouettes would pull far limbs to the wrong places there,
        # and interpenetration would only take time.
        if late:
            each["interpenetration"] = settings.interpenetration
        if silhouettes:
            each["silhouettes"] = settings.silhouettes
        rates = {
            "orientation": settings.orientation_rate,
            "limbs": settings.pose_rate,
            "betas": settings.shape_rate,
            "offset": 2 * settings.shift_rate,
        }
        return Stage(
            weights.steps,
            {name: constant(weight) for name, weight in each.items() if name not in settings.without},
            rates | ({"scale": settings.scale_rate} if silhouettes else {}),
        )

    def posed(self, bodies: BodyVariables, size: int) -> PosedBodies:
        """Return bodies posed for images of ``size`` x ``size`` pixels."""
        return self.scene.posed(bodies.bodies(), size, bodies.pose)


def _least(error: Tensor, person: Tensor, count: int) -> Tensor:
    """Return the index of the fit with the least error of each of ``count`` people, (count,)."""
    best = torch.full((count,), torch.inf).to(error)
    best = best.scatter_reduce(0, person, error, "amin")
    index = torch.arange(len(error), device=error.device)
    # The first one among equals.
    chosen = torch.where(error <= best[person], index, len(error))
    return torch.full_like(person[:count], len(error)).scatter_reduce(0, person, chosen, "amin")
