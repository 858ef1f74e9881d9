"""Fit bodies to silhouettes alone, many crops at once: the paper's inference-time fitting.

Everything is optimised from the first step with Adam: pose and global orientation, shape, and the
camera. Fits are independent of each other, since no term mixes images and Adam works per element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import project
from adaptation.bodies.renderer import Renderer
from adaptation.evaluation.metrics import silhouette_iou
from adaptation.losses.silhouettes import LossSettings, SilhouetteTarget, silhouette_loss, topology_agreement
from adaptation.priors.gaussian import PosePrior, geometric


@dataclass(frozen=True)
class BodyParameters:
    """Bodies and their cameras.

    Attributes:
        pose: (B, 24, 3) axis-angle, joint 0 the global orientation in camera axes.
        betas: (B, 10).
        camera: (B, 3) weak perspective (s, tx, ty).
    """

    pose: Tensor
    betas: Tensor
    camera: Tensor

    def __len__(self) -> int:
        return len(self.pose)

    def select(self, index: Tensor | slice) -> BodyParameters:
        """The bodies of an index or mask (N,)."""
        return BodyParameters(self.pose[index], self.betas[index], self.camera[index])

    @staticmethod
    def cat(parts: list[BodyParameters]) -> BodyParameters:
        """One batch of several."""
        return BodyParameters(
            torch.cat([p.pose for p in parts]),
            torch.cat([p.betas for p in parts]),
            torch.cat([p.camera for p in parts]),
        )


@dataclass(frozen=True)
class FitSettings:
    """How a fit runs. The defaults were measured by `evidence`.

    Attributes:
        loss: which silhouette loss, with its weights.
        steps: Adam steps, with cosine decay to zero.
        topology_start: weight of the skeleton term at the first step; it grows geometrically to the
            loss's own over 80 % of the steps. Equal to it: constant. Small values help from starts
            more than 40 degrees off, 1 helps where masks do not match the body.
        prior: which pose prior, as `adaptation.priors.gaussian.pose_prior` names them, for those who make the fitter.
        prior_start: weight of the pose prior at the first step.
        prior_end: and at the last, geometric in between.
        shape_weight: of the squared shape coefficients.
        pose_rate: learning rate of pose and orientation, radians.
        shape_rate: of the shape coefficients.
        scale_rate: of the logarithm of the camera's scale.
        shift_rate: of the camera's translation, as a fraction of the crop's side.
    """

    loss: LossSettings = field(default_factory=LossSettings)
    steps: int = 150
    topology_start: float = 0.05
    prior: str = "gaussian"
    prior_start: float = 0.2
    prior_end: float = 0.001
    shape_weight: float = 0.01
    pose_rate: float = 0.03
    shape_rate: float = 0.05
    scale_rate: float = 0.01
    shift_rate: float = 0.4 / 112


@dataclass(frozen=True)
class Evaluation:
    """How well bodies explain masks, (B,) each.

    Attributes:
        loss: the data loss of the settings.
        topology: L_T, mean pixels between the skeletons.
        iou: of the binary silhouettes and the masks.
        prior: energy of the pose under the prior.
    """

    loss: Tensor
    topology: Tensor
    iou: Tensor
    prior: Tensor

    def select(self, index: Tensor | slice) -> Evaluation:
        """Those of an index (N,)."""
        return Evaluation(self.loss[index], self.topology[index], self.iou[index], self.prior[index])

    @staticmethod
    def cat(parts: list[Evaluation]) -> Evaluation:
        """One batch of several."""
        return Evaluation(
            torch.cat([p.loss for p in parts]),
            torch.cat([p.topology for p in parts]),
            torch.cat([p.iou for p in parts]),
            torch.cat([p.prior for p in parts]),
        )


class FitVariables:
    """What a fit changes, as leaves of the graph, and the optimiser that changes them.

    Args:
        start: B bodies.
        settings: with the learning rates.

    Attributes:
        optimizer: Adam, one group per variable. On CUDA it can be captured in a graph.
    """

    def __init__(self, start: BodyParameters, settings: FitSettings) -> None:
        self._pose = start.pose.detach().clone().requires_grad_()
        self._betas = start.betas.detach().clone().requires_grad_()
        self._log_scale = start.camera[:, :1].detach().clamp(min=1e-3).log().requires_grad_()
        # The image position of the body's origin, so that scale and position do not pull at each other.
        self._shift = (start.camera[:, :1] * start.camera[:, 1:]).detach().clone().requires_grad_()
        variables = (self._pose, self._betas, self._log_scale, self._shift)
        rates = (settings.pose_rate, settings.shape_rate, settings.scale_rate, 2 * settings.shift_rate)
        self.optimizer = torch.optim.Adam(
            [{"params": [v], "lr": rate} for v, rate in zip(variables, rates, strict=True)],
            fused=True,
            capturable=self._pose.is_cuda,
        )

    def bodies(self) -> BodyParameters:
        """The bodies and cameras that the variables stand for now."""
        scale = self._log_scale.exp()
        return BodyParameters(self._pose, self._betas, torch.cat([scale, self._shift / scale], dim=1))


class Fitter:
    """Fits one body model to silhouettes.

    Args:
        body: the body model, already on the device that is to be used.
        prior: of poses.
        renderer: draws soft silhouettes.
        settings: losses, weights and rates.
    """

    def __init__(self, body: Body, prior: PosePrior, renderer: Renderer, settings: FitSettings | None = None) -> None:
        self.body, self.prior, self.renderer = body, prior, renderer
        self.settings = settings or FitSettings()

    def target(self, masks: Tensor) -> SilhouetteTarget:
        """Masks (B, 1, S, S) of 0 and 1 with everything about them that stays fixed."""
        return SilhouetteTarget.of(masks, iterations=self.settings.loss.iterations)

    def silhouette(self, parameters: BodyParameters, size: int) -> Tensor:
        """Silhouettes (B, 1, size, size) of 0 and 1: pixels whose centre the body covers.

        The gradient is that of the renderer's soft silhouette. Its own values, cut at 0.5, would be wider than the
        body: the coverages of the many small faces along an outline add up.
        """
        return self.seen(parameters, size)[0]

    def seen(self, parameters: BodyParameters, size: int) -> tuple[Tensor, Tensor]:
        """The same, and the joints (B, 24, 2) in pixels."""
        posed = self.body(parameters.pose, parameters.betas)
        return self.draw(posed.vertices, parameters.camera, size), project(posed.joints, parameters.camera, size)

    def draw(self, vertices: Tensor, camera: Tensor, size: int) -> Tensor:
        """The same of posed vertices (B, V, 3)."""
        return self.renderer.silhouette(vertices, self.body.faces, camera, size)

    def objective(
        self, parameters: BodyParameters, target: SilhouetteTarget, *, topology_weight: float, prior_weight: float
    ) -> Tensor:
        """What a step of the fit descends, per image (B,): the silhouette's loss, the prior and the shape's."""
        loss = replace(self.settings.loss, topology_weight=topology_weight)
        silhouette, joints = self.seen(parameters, target.mask.shape[-1])
        data = silhouette_loss(silhouette, target, loss, joints)
        shape = parameters.betas.square().sum(1)
        return data + prior_weight * self.prior.energy(parameters.pose) + self.settings.shape_weight * shape

    @torch.no_grad()
    def evaluate(self, parameters: BodyParameters, target: SilhouetteTarget) -> Evaluation:
        """Losses and IoU, without gradients."""
        silhouette, joints = self.seen(parameters, target.mask.shape[-1])
        return Evaluation(
            loss=silhouette_loss(silhouette, target, self.settings.loss, joints),
            topology=topology_agreement(silhouette, target),
            iou=silhouette_iou(silhouette, target.mask),
            prior=self.prior.energy(parameters.pose),
        )

    def fit(
        self,
        target: SilhouetteTarget,
        start: BodyParameters,
        *,
        steps: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> BodyParameters:
        """Optimise from a start.

        Args:
            target: B masks.
            start: B bodies.
            steps: Adam steps; the settings' where None.
            progress: called with 1 after each step.

        Returns:
            The fitted bodies, detached.

        Raises:
            FloatingPointError: a loss was not finite.
        """
        settings = self.settings
        total = settings.steps if steps is None else steps
        variables = FitVariables(start, settings)
        optimizer = variables.optimizer
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(total, 1))
        for step in range(total):
            loss = self.objective(
                variables.bodies(),
                target,
                topology_weight=self._topology_weight(step, total),
                prior_weight=geometric(settings.prior_start, settings.prior_end, step, total),
            ).sum()
            optimizer.zero_grad()
            loss.backward()
            if not torch.isfinite(loss):
                raise FloatingPointError(f"loss is {loss.item()} at step {step}")
            optimizer.step()
            decay.step()
            if progress:
                progress(1)
        with torch.no_grad():
            fitted = variables.bodies()
        return BodyParameters(fitted.pose.detach(), fitted.betas.detach(), fitted.camera.detach())

    def _topology_weight(self, step: int, total: int) -> float:
        end = self.settings.loss.topology_weight
        start = min(self.settings.topology_start, end)
        ramp = max(1, round(0.8 * total))
        return end if start == end or step >= ramp else geometric(start, end, step, ramp)
