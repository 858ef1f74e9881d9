"""Crops of a recording as a crop set."""

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
        # The true mask of a recording is unknown; programs that ask for any kind get the one there is.
        masks=np.repeat(masks[:, None], len(MASK_KINDS), axis=1),
        # Frames of a track resemble each other, so they must not be split between training and held-out crops.
        clip=np.array([crop.track for crop in crops], np.int64),
        frame=np.array([crop.frame for crop in crops], np.int64),
        box=np.array([crop.box for crop in crops], np.float32),
    )
