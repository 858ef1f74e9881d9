"""Crops of a recording as a crop set to adapt to, with the masks that were found and without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptation.data.samples import MASK_KINDS, Samples
from adaptation.recording.crops import Crop
from adaptation.support.errors import UserError


def samples_of_crops(crops: Sequence[Crop]) -> Samples:
    """Return crops as a crop set. All kinds of mask are the one that was found, and each track is a clip.

    Raises:
        UserError: there are no crops.
    """
    if not crops:
        raise UserError("no crop to make a set of")
    masks = np.stack([crop.mask for crop in crops]).astype(np.uint8)
    return Samples(
        images=np.stack([crop.image for crop in crops]),
        masks=np.repeat(masks[:, None], len(MASK_KINDS), axis=1),  # any --mask-kind then works on a recording
        clip=np.array([crop.track for crop in crops], np.int64),
        box=np.array([crop.box for crop in crops], np.float32),
    )
