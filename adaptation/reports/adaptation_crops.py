"""What networks predict for the crops of a target, with and without labels, and pictures of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.meshes import Meshes
from adaptation.bodies.parameters import Bodies
from adaptation.data.samples import MASK_KINDS, MaskKind, Samples
from adaptation.evaluation.metrics import pa_mpjpe
from adaptation.fitting.silhouette_fitter import Evaluation, SilhouetteFitter
from adaptation.regressors.base import visible
from adaptation.regressors.running import predict_in
from adaptation.reports.body_pictures import TILE, body_pixels, draw_over, draw_turned, faces_of
from adaptation.support import pictures
from adaptation.support.pictures import AFTER, BEFORE, Image

Array = npt.NDArray[np.float32]

GALLERY = 12  # crops shown with pictures


@dataclass(frozen=True, eq=False)
class Seen:
    """Predictions of a network for N crops, and how well they agree with the masks.

    Attributes:
        bodies: N predicted bodies, or meshes of networks that predict their own, on the CPU.
        iou: (N,) IoU of predicted silhouette and mask.
        topology: (N,) L_T: mean distance between the skeletons of silhouette and mask, pixels of the crop.
        pa_mpjpe: (N,) PA-MPJPE, millimetres, or None without labels or joints.
    """

    bodies: Bodies | Meshes
    iou: Array
    topology: Array
    pa_mpjpe: Array | None


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """One crop of the gallery. Pictures are RGB uint8 (S, S, 3).

    Attributes:
        crop: index of the crop in the set.
        image: the crop.
        mask: the mask as a picture.
        body_before: the body predicted before the adaptation, drawn over the crop with the mask's outline.
        body_after: the body predicted after the adaptation, drawn likewise.
        body_turned: the body after the adaptation, seen from its side, on a plain background.
        iou: IoU before and after.
        pa_mpjpe: PA-MPJPE before and after, millimetres, or None without labels.
    """

    crop: int
    image: Image
    mask: Image
    body_before: Image
    body_after: Image
    body_turned: Image
    iou: tuple[float, float]
    pa_mpjpe: tuple[float, float] | None


@torch.no_grad()
def see(
    network: nn.Module,
    samples: Samples,
    index: npt.NDArray[np.int64],
    fitter: SilhouetteFitter,
    masks: MaskKind,
    batch: int = 64,
) -> Seen:
    """Run a network on some crops and measure its predictions.

    Args:
        network: a `MeshNetwork`; it is moved to the fitter's device and set to evaluation mode.
        samples: crops with masks.
        index: (N,) indices of the crops.
        fitter: measures agreement with masks.
        masks: kind of mask to compare with.
        batch: crops at a time.
    """
    device = fitter.body.faces.device
    network, fitter = network.to(device).eval(), fitter.seeing(visible(network))
    # On the CPU: a whole set of labels is only needed part by part.
    truth = samples.bodies(fitter.body) if samples.labelled else None
    bodies: list[Any] = []
    judged, errors = [], []
    # Split at every multiple of `batch`: array_split would take a single number as the count of parts.
    for part in np.array_split(index, range(batch, len(index), batch)):
        crops = samples.image_batch(part, str(device)), samples.view_batch(part, str(device))
        predicted = predict_in("float32", network, *crops).shape
        judged.append(fitter.evaluate(predicted, fitter.target(samples.mask_batch(part, masks, str(device)))))
        # Pictures are drawn on the CPU, and the device keeps its memory for the networks.
        drawn = predicted.bodies if predicted.mesh is None else predicted.mesh
        bodies.append(drawn.to("cpu"))
        joints = predicted.body_joints(fitter.body)
        if truth is not None and joints is not None:
            known = truth.select(torch.from_numpy(part)).to(device)
            errors.append(pa_mpjpe(joints, fitter.body.joints(known.rotations, known.betas)))
    whole = Evaluation.cat(judged)
    return Seen(
        bodies=type(bodies[0]).cat(bodies),
        iou=whole.iou.cpu().numpy(),
        topology=whole.topology.cpu().numpy(),
        pa_mpjpe=torch.cat(errors).cpu().numpy() if errors else None,
    )


def mask_of(samples: Samples, crop: int, masks: MaskKind) -> npt.NDArray[np.uint8]:
    """Return the mask (S, S) of a crop, uint8 of 0 and 1."""
    assert samples.masks is not None  # the adaptation refuses targets without masks
    return np.asarray(samples.masks[crop, MASK_KINDS.index(masks)])


def spread_gallery(
    samples: Samples, index: npt.NDArray[np.int64], masks: MaskKind, before: Seen, after: Seen, body: Body
) -> list[GalleryRow]:
    """Crops ordered by the change of their IoU and taken evenly from that order, so that failures are shown, too."""
    # Stable, so that equal crops keep their order and a report can be reproduced.
    order = np.argsort(after.iou - before.iou, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(GALLERY, len(order))).round().astype(int)].tolist()
    return gallery_rows(samples, index, chosen, masks, before, after, body)


def gallery_rows(
    samples: Samples,
    index: npt.NDArray[np.int64],
    chosen: Sequence[int],
    masks: MaskKind,
    before: Seen,
    after: Seen,
    body: Body,
) -> list[GalleryRow]:
    """Make the pictures of some crops.

    Args:
        samples: the crop set.
        index: (N,) crops that both networks were run on.
        chosen: positions in ``index`` of the crops to show.
        masks: kind of mask to show.
        before: predictions of the source network for the N crops.
        after: predictions of the adapted network for the N crops.
        body: body model to draw, on the CPU.
    """
    # Vertices are enlarged and then drawn, so that bodies stay sharp in a small crop's picture.
    zoom = TILE / samples.size
    places = torch.tensor(chosen)
    pixels = [body_pixels(body, seen.bodies.select(places), samples.size) * zoom for seen in (before, after)]
    rows = []
    for row, place in enumerate(chosen):
        crop = int(index[place])
        mask = mask_of(samples, crop, masks)
        image = pictures.enlarge(np.asarray(samples.images[crop]), TILE)
        errors = None
        if before.pa_mpjpe is not None and after.pa_mpjpe is not None:
            errors = float(before.pa_mpjpe[place]), float(after.pa_mpjpe[place])
        rows.append(
            GalleryRow(
                crop=crop,
                image=image,
                mask=pictures.picture_mask(mask),
                body_before=draw_over(image, pixels[0][row], faces_of(before.bodies, body), BEFORE, mask),
                body_after=draw_over(image, pixels[1][row], faces_of(after.bodies, body), AFTER, mask),
                body_turned=draw_turned(pixels[1][row], faces_of(after.bodies, body)),
                iou=(float(before.iou[place]), float(after.iou[place])),
                pa_mpjpe=errors,
            )
        )
    return rows
