"""Crops of a recording as a crop set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
        frame_size=_known([crop.frame_size for crop in crops]),
        intrinsics=_known([crop.intrinsics for crop in crops]),
    )


def _known(parts: Sequence[Any]) -> npt.NDArray[np.float32] | None:
    """Return a part of all crops as one array; None if a crop lacks it."""
    return None if any(part is None for part in parts) else np.array(parts, np.float32)
