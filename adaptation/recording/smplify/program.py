"""Fit bodies to the keypoints of people in a recording or a crop set: the pipeline of `topo-adapt smplify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Perspective, fit_camera_to_keypoints
from adaptation.bodies.renderer import make_renderer
from adaptation.fitting.posed import Scene
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter
from adaptation.fitting.smplify.fits import Evidence, Smplify, SmplifyFit
from adaptation.fitting.starts import BestFit
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.named import pose_prior
from adaptation.recording.found_people import stack_masks
from adaptation.recording.pipeline import FitOutcome, FittedPerson
from adaptation.recording.results import PersonResult, person_result
from adaptation.recording.smplify.options import SmplifyOptions
from adaptation.recording.smplify.people import SeenPeople
from adaptation.recording.tilt.camera_tilt import CameraTilt
from adaptation.support.devices import usable_device


@dataclass(frozen=True)
class SmplifyProgram:
    """SMPLify with body model, prior and renderer on the device.

    Attributes:
        smplify: the fits.
        judge: measures agreement with masks.
        options: crops, device and batch.
    """

    smplify: Smplify
    judge: SilhouetteFitter
    options: SmplifyOptions

    @classmethod
    def of(cls, body: Body, options: SmplifyOptions) -> SmplifyProgram:
        """Load the prior and move everything to the device.

        Raises:
            UserError: the device, the prior or the renderer cannot be used.
        """
        device = usable_device(options.recording.device)
        prior = pose_prior(options.smplify.prior, device)
        renderer = make_renderer(options.recording.renderer, sigma=options.recording.sigma)
        scene = Scene(body.to(device), renderer)
        return cls(Smplify(scene, prior, options.smplify), SilhouetteFitter(scene.body, prior, renderer), options)

    def run(self, seen: SeenPeople, tilt: CameraTilt | None, progress: Callable[[int], None]) -> FitOutcome:
        """Fit all people; those of a batch in one optimisation.

        Args:
            seen: people with keypoints.
            tilt: how the camera hangs, and its focal length, if it is known.
            progress: called with the number of bodies done since the last call.
        """
        focal = self.options.focal or (tilt.focal if tilt is not None else None)
        everything = [crop for person in seen.crops for crop in person]
        keypoints = np.concatenate(seen.keypoints)
        device = self.options.recording.device
        fits, judged = [], []
        for part in _parts(len(everything), self.options.batch):
            crops = everything[part]
            masks = stack_masks(crops, device) if seen.masked else None
            sides = torch.tensor([crop.box[2] for crop in crops], device=device)
            evidence = Evidence(
                torch.from_numpy(keypoints[part]).to(device),
                masks if self.options.silhouettes else None,
                None if focal is None else focal / (sides / 2),
            )
            fit = self.smplify.fit(evidence, len(crops[0].mask))
            fits.append(fit)
            judged.append(tuple(self._agreement(bodies, masks) for bodies in (fit.start, fit.fitted)))
            progress(len(crops))
        before, after = (Evaluation.cat([pair[side] for pair in judged]) for side in (0, 1))
        fit = SmplifyFit.cat(fits)
        return self._outcome(seen, BestFit(fit.start, fit.fitted, before, after), tilt)

    @torch.no_grad()
    def _agreement(self, bodies: BodyVariables, masks: Tensor | None) -> Evaluation:
        """Measure agreement with masks; without masks it is unknown, NaN."""
        if masks is not None:
            return self.judge.evaluate(bodies, self.judge.target(masks))
        unknown = torch.full((len(bodies),), torch.nan, device=bodies.pose.device)
        return Evaluation(unknown, unknown, unknown, self.judge.prior.energy(bodies.pose))

    def _outcome(self, seen: SeenPeople, best: BestFit, tilt: CameraTilt | None) -> FitOutcome:
        people, first = [], 0
        for track, crops in zip(seen.tracks, seen.crops, strict=True):
            mine = best.select(slice(first, first + len(crops)))
            first += len(crops)
            with torch.no_grad():
                joints = self.smplify.body.joints(mine.fitted.pose, mine.fitted.betas)
            result = person_result(crops, mine, joints)
            people.append(FittedPerson(track, crops, self._in_weak_perspective(result, mine)))
        return FitOutcome(people, seen.notes, tilt=tilt)

    @torch.no_grad()
    def _in_weak_perspective(self, result: PersonResult, best: BestFit) -> PersonResult:
        """Give a result the weak-perspective cameras that show its joints nearest to where perspective does."""
        if not isinstance(best.fitted.camera, Perspective):
            return result
        cameras = []
        for bodies in (best.fitted, best.start):
            joints = self.smplify.body.joints(bodies.pose, bodies.betas)
            places = torch.cat([bodies.camera.project(joints, 2), torch.ones_like(joints[..., :1])], dim=2)
            cameras.append(fit_camera_to_keypoints(joints, places, 2)[0].parameters.cpu().numpy())
        return replace(result, camera=cameras[0], start_camera=cameras[1])


def _parts(count: int, most: int) -> Iterator[slice]:
    """Yield the slices of nearly equal batches of at most ``most``."""
    bounds: list[int] = np.linspace(0, count, -(-count // most) + 1).round().astype(int).tolist()
    for first, last in pairwise(bounds):
        yield slice(first, last)
