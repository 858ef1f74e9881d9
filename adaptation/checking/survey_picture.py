"""Picture of a survey: the background, a frame with the masks that were found in it, and people close up."""

from __future__ import annotations

import cv2
import numpy as np

from adaptation.checking.survey import SampledFrame, Survey
from adaptation.recording.crops import make_crop
from adaptation.recording.detections import Detection
from adaptation.support.image_files import Image
from adaptation.support.pictures import BACKDROP, Color, draw_outline

WIDTH, GAP, CROP, COLUMNS = 1440, 12, 168, 8
USABLE: Color = (98, 206, 140)
REFUSED: Color = (240, 104, 104)
TEXT: Color = (236, 239, 244)


def draw_survey(seen: Survey) -> Image:
    """Draw what a check has seen.

    Returns:
        (H, 1440, 3) uint8 RGB: the learnt background and where foreground was found in any sampled frame; the frame
        with the most usable masks; below, people from different frames. Outlines of usable masks are green, those of
        others are red.
    """
    half = (WIDTH - 3 * GAP) // 2
    height = round(half * seen.size[1] / seen.size[0])
    best = max(seen.samples, key=lambda sample: (sum(p.quality.usable for p in sample.people), len(sample.people)))
    panels = [
        _titled(_fit(_everywhere(seen), half, height), "background; red: where somebody or something moved"),
        _titled(_fit(_outlined(best), half, height), f"frame {best.number}; green: usable masks, red: others"),
    ]
    rows = [np.concatenate([_framed(panel) for panel in panels], axis=1), *_close_up(seen)]
    return np.concatenate([_widened(row) for row in rows])


def _everywhere(seen: Survey) -> Image:
    """Tint the background where foreground was found, the more often the stronger."""
    share = np.mean([sample.mask for sample in seen.samples], axis=0)
    weight = np.minimum(1, 3 * share)[..., None]
    return np.asarray(np.rint(seen.background * (1 - 0.7 * weight) + 0.7 * weight * np.array(REFUSED)), np.uint8)


def _outlined(sample: SampledFrame) -> Image:
    picture = sample.image
    for person in sample.people:
        mask = np.zeros(picture.shape[:2], np.uint8)
        x, y, w, h = person.bbox
        mask[y : y + h, x : x + w] = person.mask
        picture = draw_outline(picture, mask, color=_colour(person))
    return picture


def _close_up(seen: Survey) -> list[Image]:
    """Crop people from frames spread over the recording, a row of usable masks and a row of others."""
    rows = []
    for usable, title in ((True, "usable masks"), (False, "masks that are not used")):
        found = [(s, p) for s in seen.samples for p in s.people if p.quality.usable == usable]
        chosen = found[:: max(1, -(-len(found) // COLUMNS))][:COLUMNS]
        if chosen:
            crops = [_framed(_crop(sample, person)) for sample, person in chosen]
            rows.append(_titled(_widened(np.concatenate(crops, axis=1)), title))
    return rows


def _crop(sample: SampledFrame, person: Detection) -> Image:
    crop = make_crop(sample.image, person, 1, size=CROP - GAP)
    return draw_outline(crop.image, crop.mask, color=_colour(person))


def _colour(person: Detection) -> Color:
    return USABLE if person.quality.usable else REFUSED


def _fit(image: Image, width: int, height: int) -> Image:
    shrinking = image.shape[1] > width
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)
    )


def _titled(image: Image, title: str) -> Image:
    bar = np.full((28, image.shape[1], 3), BACKDROP, np.uint8)
    cv2.putText(bar, title, (GAP, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT, 1, cv2.LINE_AA)
    return np.concatenate([bar, image])


def _framed(image: Image) -> Image:
    border = cv2.copyMakeBorder(image, 0, GAP, GAP, 0, cv2.BORDER_CONSTANT, value=BACKDROP)
    return np.asarray(border, np.uint8)


def _widened(row: Image) -> Image:
    """Fill a row up to the width of the picture."""
    missing = WIDTH - row.shape[1]
    return np.asarray(cv2.copyMakeBorder(row, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=BACKDROP), np.uint8)
