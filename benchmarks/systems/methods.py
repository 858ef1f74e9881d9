"""The rows of the table: SMPLify with and without its parts, and fits to silhouettes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import LSP_JOINTS
from adaptation.bodies.parameters import Bodies
from adaptation.bodies.renderer import exact_silhouette, make_renderer
from adaptation.evaluation.joint_errors import JointErrors, pck
from adaptation.evaluation.metrics import mpjpe, pa_mpjpe, silhouette_iou
from adaptation.fitting.posed import Scene
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.smplify.capsules import Capsules, interpenetration
from adaptation.fitting.smplify.fits import Evidence, Smplify
from adaptation.fitting.smplify.settings import PRESETS, SmplifySettings, with_steps
from adaptation.fitting.starts import fit_from_starts
from adaptation.fitting.variables import BodyVariables
from adaptation.priors.named import pose_prior
from adaptation.recording.options import FitOptions, recording_settings
from systems.people import People

Method = Callable[[People, Body], BodyVariables]


@dataclass(frozen=True)
class Figures:
    """Means over people.

    Attributes:
        mpjpe: MPJPE of 14 joints, mm.
        pa: PA-MPJPE, mm.
        pck: joints within 150 mm with the pelvises aligned, %.
        iou: IoU with the exact mask.
        overlap: interpenetration E_sp of the bodies' spheres, times 1000.
        seconds: processor time per person, s.
    """

    mpjpe: float
    pa: float
    pck: float
    iou: float
    overlap: float
    seconds: float


def smplify(settings: SmplifySettings, *, silhouettes: bool = False) -> Method:
    """Return SMPLify with some settings; all people are one batch."""

    def fit(people: People, body: Body) -> BodyVariables:
        masks = people.masks("subtracted") if silhouettes else None
        scene = Scene(body, make_renderer("topokernels", sigma=FitOptions.sigma))
        fits = Smplify(scene, pose_prior(settings.prior), settings)
        return fits.fit(Evidence(people.keypoints, masks), people.samples.size).fitted

    return fit


def silhouettes_alone(people: People, body: Body) -> BodyVariables:
    """Fit as `topo-adapt fit --per-frame` does, from five walking poses in five directions."""
    renderer = make_renderer("topokernels", sigma=FitOptions.sigma)
    fitter = SilhouetteFitter(body, pose_prior("gaussian"), renderer, recording_settings("ours", 150))
    return fit_from_starts(fitter, people.masks("subtracted")).fitted


USUAL = PRESETS["small"]
METHODS: dict[str, Method] = {
    "keypoints": smplify(USUAL),
    "silhouettes": silhouettes_alone,
    "keypoints and silhouettes": smplify(USUAL, silhouettes=True),
    "one Gaussian": smplify(replace(USUAL, prior="motion")),
    "no pose prior": smplify(replace(USUAL, without=("prior",))),
    "no bending prior": smplify(replace(USUAL, without=("bending",))),
    "no interpenetration": smplify(replace(USUAL, without=("interpenetration",))),
    "one orientation": smplify(replace(USUAL, both_below=0.0)),
    "hips ignored": smplify(replace(USUAL, hips=0.0)),
    "weights of the public code": smplify(with_steps(PRESETS["paper"], 60)),
}


@torch.no_grad()
def figures(fitted: BodyVariables, people: People, body: Body, seconds: float) -> Figures:
    """Compare fitted bodies with the truth."""
    bodies: Bodies = fitted.bodies()
    posed = body(bodies.rotations, bodies.betas)
    true = body.joints(people.truth.rotations, people.truth.betas)
    drawn = exact_silhouette(posed.vertices, body.faces, bodies.camera, people.samples.size)
    capsules = Capsules(body)
    spheres = capsules(*body.frames(bodies.rotations, bodies.betas), bodies.betas)
    chosen = list(LSP_JOINTS)
    errors = JointErrors.of(posed.joints[:, chosen], true[:, chosen], posed.joints[:, 0], true[:, 0])

    def mean(values: Tensor) -> float:
        return float(values.mean())

    return Figures(
        mpjpe=mean(mpjpe(posed.joints, true)),
        pa=mean(pa_mpjpe(posed.joints, true)),
        pck=pck(errors.rooted),
        iou=mean(silhouette_iou(drawn, people.masks("truth"))),
        overlap=1000 * mean(interpenetration(spheres, capsules.pairs, USUAL.tightness)),
        seconds=seconds / len(people.samples),
    )


def measure(method: Method, people: People, body: Body) -> Figures:
    """Run a method, and compare its bodies with the truth."""
    # Processor time: other programs on the machine do not count.
    begun = time.process_time()
    fitted = method(people, body)
    return figures(fitted, people, body, time.process_time() - begun)
