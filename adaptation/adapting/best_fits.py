"""The best fit so far of each image of the target, as in SPIN (Kolotouros et al., ICCV 2019)."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from adaptation.bodies.camera import Camera, WeakPerspective
from adaptation.bodies.parameters import Bodies
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.silhouettes import SilhouetteTarget
from adaptation.support.errors import UserError
from adaptation.training.processes import gather


class BestFits:
    """A store of fits, on the CPU.

    Args:
        count: number of images.
        fitter: makes and evaluates the fits.
    """

    def __init__(self, count: int, fitter: SilhouetteFitter) -> None:
        self._fitter = fitter
        # Axis-angle, a third of the size of matrices: one row is stored for each image of the target.
        self._sizes = [3 * fitter.body.joint_count, fitter.body.shape_count, 3]  # pose, betas, camera
        self._parameters = torch.zeros(count, sum(self._sizes))
        self._loss = torch.full((count,), torch.inf)  # any first fit is better

    def improve(self, index: Tensor, target: SilhouetteTarget, predicted: Bodies, steps: int) -> Bodies:
        """Fit images from predictions, and return the better of these fits and those stored.

        Args:
            index: (B,) indices of the images.
            target: their B masks.
            predicted: B bodies that the fits start from.
            steps: Adam steps.

        Returns:
            B bodies: the fit with the lowest loss so far of each image.

        Raises:
            UserError: a fit diverged.
        """
        fitter = self._fitter
        try:
            fitted = fitter.fit(target, BodyVariables.of(predicted), steps=steps)
        except FloatingPointError as error:
            raise UserError(f"a fit diverged ({error}); the last saved state is unchanged") from None
        judged = fitter.evaluate(fitted, target)
        # The prior takes part in the choice: an impossible pose can match a mask just as well.
        loss = (judged.loss + fitter.settings.prior_end * judged.prior).cpu()
        self._keep(index, fitted, loss)
        pose, betas, camera = self._parameters[index].to(target.mask.device).split(self._sizes, dim=1)
        rotations = roma.rotvec_to_rotmat(pose.reshape(len(index), -1, 3))
        seen: Camera = WeakPerspective(camera)
        if not isinstance(predicted.camera, WeakPerspective):
            # Stored fits have a scale and an offset; the rest of a perspective camera is that of the crop.
            seen = predicted.camera.moved(seen.scale, seen.offset)
        return Bodies(rotations, betas, seen)

    def _keep(self, index: Tensor, fitted: BodyVariables, loss: Tensor) -> None:
        flat = torch.cat([fitted.pose.flatten(1), fitted.betas, fitted.camera.weak().parameters], dim=1).cpu()
        # Every process keeps the fits of all processes, so that all save and resume with the same ones.
        everywhere = gather(index), gather(flat), gather(loss)
        for image, parameters, value in zip(*everywhere, strict=True):
            # Only better ones: a fit of few steps from a poor prediction must not replace a good one.
            if value < self._loss[image]:
                self._parameters[image], self._loss[image] = parameters, value

    def state_dict(self) -> dict[str, Tensor]:
        """Return the stored fits and their losses."""
        return {"parameters": self._parameters, "loss": self._loss}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load stored fits.

        Raises:
            UserError: they belong to another number of images.
        """
        if state["loss"].shape != self._loss.shape:
            raise UserError(f"the saved fits are of {len(state['loss'])} images, not of {len(self._loss)}")
        self._parameters, self._loss = state["parameters"], state["loss"]
