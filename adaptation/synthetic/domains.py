"""Render synthetic crop sets: clips of people in a family of appearances, with masks, cut into crops.

Equal settings give equal sets, as long as `FILMS` is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np

from adaptation.bodies.body import Body
from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.support.errors import UserError
from adaptation.support.resampling import resample
from adaptation.support.workers import side_by_side
from adaptation.synthetic.clothes import Dresser
from adaptation.synthetic.film import Clip, sample_clip
from adaptation.synthetic.looks import SITE, SOURCE, STYLE, LookFamily
from adaptation.synthetic.masks import degraded
from adaptation.synthetic.settings import FRAMES, MARGIN, SPLITS, DomainSettings

FAMILIES: dict[str, LookFamily] = {"source": SOURCE, "style": STYLE, "site": SITE}

FILMS = 2
"""Version of the rendering, increased when equal settings give other masks; 2 distinguishes dark clothes from
shadows."""
_HEIGHT = 1.6  # height of the frames, as a multiple of the crop's side


def make_domain(
    settings: DomainSettings, *, workers: int = 1, progress: Callable[[int], None] | None = None
) -> Samples:
    """Render the clips of a crop set and cut out the people.

    Args:
        settings: family, split, number and size of the crops, and seed.
        workers: number of processes; the result does not depend on it.
        progress: called with the number of crops done since the last call.

    Returns:
        Crops with images, masks, clip numbers, pose, betas and camera, for the free body.

    Raises:
        UserError: the family or the split is unknown, or the number or the size of the crops is too small.
    """
    if settings.family not in FAMILIES:
        raise UserError(f"--family must be one of {', '.join(FAMILIES)}, got {settings.family!r}")
    if settings.split not in SPLITS:
        raise UserError(f"--split must be one of {', '.join(SPLITS)}, got {settings.split!r}")
    if settings.count < 1 or settings.size < 32:
        raise UserError(
            f"expected at least 1 crop of at least 32 pixels, got {settings.count} of {settings.size} pixels"
        )
    parts = []
    # A job is a clip, not a crop: background subtraction needs all frames of a scene.
    jobs = [(settings, number) for number in range(settings.clips)]
    films: Iterable[Samples]
    if workers > 1:
        films = side_by_side(_film, jobs, workers)
    else:
        films = map(_film, jobs)
    for part in films:
        parts.append(part)
        if progress:
            progress(FRAMES)
    # The other parts of a crop set are optional and do not exist here.
    made = ("images", "masks", "clip", "pose", "betas", "camera")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in made}
    return Samples(**arrays)


_BODY: dict[str, tuple[Body, Dresser]] = {}  # loaded once per process


def _film(job: tuple[DomainSettings, int]) -> Samples:
    """Render one clip and cut it into crops. Its random numbers depend only on the settings and its number."""
    settings, number = job
    # Loaded on first use, since a spawned process starts without it.
    if not _BODY:
        body = Body.free()
        _BODY["free"] = body, Dresser(body)
    body, dresser = _BODY["free"]
    family = list(FAMILIES).index(settings.family)
    # A list of seeds mixes all its numbers, so no two clips share a stream and each can be rendered alone.
    rng = np.random.default_rng([settings.seed, family, SPLITS.index(settings.split), number])
    looks = FAMILIES[settings.family]
    # A seed without split and number gives all clips of a site the same camera.
    camera = np.random.default_rng([settings.seed, family]) if looks.one_camera else rng
    clip = sample_clip(looks, body, dresser, FRAMES, round(_HEIGHT * settings.size), rng, camera)
    return _cut(clip, number, settings.size, rng)


def _cut(clip: Clip, number: int, size: int, rng: np.random.Generator) -> Samples:
    """Cut the person out of each frame of a clip, with masks of all kinds and the camera of the crop."""
    images = np.empty((FRAMES, size, size, 3), np.uint8)
    masks = np.zeros((FRAMES, len(MASK_KINDS), size, size), np.uint8)
    camera = np.empty((FRAMES, 3), np.float32)
    for t in range(FRAMES):
        # The box of the exact mask: the same crop for all kinds of mask, so that only the masks differ.
        ys, xs = np.nonzero(clip.truth[t])
        # Outer edges of the outermost pixels, whose centres lie at +0.5.
        width, height = xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()
        # Jittered, since the boxes of detectors are not exact.
        side = (1 + 2 * MARGIN) * max(width, height) * rng.uniform(0.93, 1.07)
        left = (xs.min() + xs.max() + 1 - side) / 2 + side * rng.uniform(-0.03, 0.03)
        top = (ys.min() + ys.max() + 1 - side) / 2 + side * rng.uniform(-0.03, 0.03)
        cropped = resample(clip.images[t].astype(np.float32), left, top, side, size, border=cv2.BORDER_REPLICATE)
        images[t] = np.rint(cropped)
        for kind, source in enumerate((clip.truth[t], clip.subtracted[t])):
            # As in `recording.crops`: a pixel belongs to the person if at least half of it is covered.
            masks[t, kind] = resample(source.astype(np.float32), left, top, side, size) >= 0.5
        # Made after resampling, since its defects are sized in pixels of the crop.
        masks[t, 2] = degraded(masks[t, 0] > 0, rng)
        # From frame pixels to the weak-perspective camera of the crop, whose sides lie at -1 and 1.
        scale, x, y = clip.projection[t].tolist()
        s = 2 * scale / side
        camera[t] = s, (2 * (x - left) / side - 1) / s, (2 * (y - top) / side - 1) / s
    return Samples(
        images=images,
        masks=masks,
        clip=np.full(FRAMES, number, np.int64),
        pose=clip.pose.numpy(),
        betas=clip.betas.numpy()[None].repeat(FRAMES, 0),
        camera=camera,
    )
