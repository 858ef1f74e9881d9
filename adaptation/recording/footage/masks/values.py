"""What the values in masks mean, decided once for all masks of a recording from the values of many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaptation.recording.footage.masks.images import MaskImage, Values
from adaptation.recording.footage.masks.tally import Surveyed, Tally
from adaptation.support.errors import UserError
from adaptation.support.image_files import Mask
from adaptation.support.reading.findings import found

SHADOW = 127  # the label that OpenCV's MOG2 and KNN give to shadows
VOID = 255  # "ignore" in masks of ids, as in PASCAL VOC and DAVIS
_FEW = 32  # ids that a folder of masks may hold; more distinct levels are soft edges
_REMEDY = "save the masks as PNG with 0 for the background and 255 for people"


@dataclass(frozen=True)
class Coding:
    """How the values of masks are read.

    Attributes:
        plane: "level", "index", "colour" or "alpha", see `MaskImage`.
        background: value of the background; any other is a person. None if levels are compared with `threshold`.
        ignored: further values that are background, such as VOC's "ignore".
        threshold: levels above it are white.
        inverted: for levels, whether people are black and the background is white.
        top: value of white.
        strict: whether a mask with other values than those that were seen contradicts this coding.
        several: whether the masks that were seen hold several labels, each of which is one person.
    """

    plane: str
    background: int | None = None
    ignored: tuple[int, ...] = ()
    threshold: int = SHADOW
    inverted: bool = False
    top: int = 255
    strict: bool = False
    several: bool = False

    def people(self, image: MaskImage, where: str) -> list[Mask]:
        """Return the people of a mask apart, each (H, W), as far as labels tell them apart.

        Args:
            image: pixels of the mask.
            where: its file, for messages.

        Returns:
            One mask per label, without empty ones; the foreground as one mask where values are no labels.

        Raises:
            UserError: the values contradict those that the coding was decided from.
        """
        foreground = self.mask(image, where)
        if self.background is None or self.plane == "alpha":
            return [foreground]
        values = self._values(image, where)
        return [foreground & (values == label) for label in np.unique(values[foreground])]

    def mask(self, image: MaskImage, where: str) -> Mask:
        """Return the people of a mask, (H, W).

        Args:
            image: pixels of the mask.
            where: its file, for messages.

        Raises:
            UserError: the values contradict those that the coding was decided from.
        """
        values = self._values(image, where)
        if self.background is not None:
            # 0 and 255 in one file, 0 and 1 in another: which of the two codings is it?
            if self.plane == "level" and self.strict and values.max() == self.top:
                raise UserError(f"{where}: found the value {self.top}, which other masks do not have; {_REMEDY}")
            people = values != self.background
            for value in self.ignored:
                people &= values != value
            return np.asarray(people)
        if self.strict and self.plane == "level":
            others = (values > 0) & (values < self.top) & (values != SHADOW)
            # Few may be soft edges of a single mask.
            if np.count_nonzero(others) > 0.05 * np.count_nonzero(values):
                listed = _listed(Tally.of(values), self.plane)
                raise UserError(f"{where}: found {listed}, but other masks hold 0 and {self.top} alone; {_REMEDY}")
        # A shadow label is background, also where white is the background.
        return np.asarray(values < min(self.threshold, SHADOW) if self.inverted else values > self.threshold)

    def _values(self, image: MaskImage, where: str) -> Values:
        """Return the plane of a mask that the coding is about."""
        if self.plane == "alpha" and image.alpha is not None and (image.alpha != 255).any():
            return image.alpha
        if self.plane == image.plane and self.plane != "level":
            return image.values
        if self.plane == "level" and image.plane != "colour":
            if image.palette is None:
                return image.values
            grey = image.palette & 0xFF
            if (grey * 0x010101 == image.palette)[image.values].all():
                return np.asarray(grey[image.values])
        # Programs write empty masks without a palette, colours or transparency.
        if not image.values.any():
            return np.zeros(image.values.shape, np.uint8)
        if self.plane == "colour":
            if image.palette is not None:
                return np.asarray(image.palette[image.values])
            return np.minimum(image.values.astype(np.uint32) * 255 // image.top, 255) * 0x010101
        raise UserError(f"{where}: found a {image.form}, unlike the other masks; save all masks in one format")


def understand(masks: Sequence[Surveyed], name: str) -> Coding:
    """Decide what the values of masks mean, and state it where it is unusual.

    Args:
        masks: what many or all masks of a recording hold.
        name: folder or file of the masks, for messages.

    Raises:
        UserError: it is not clear which values are people; the message names a file, its values, and what to do.
    """
    if not masks:
        raise UserError(f"{name}: no person found in the masks, which are empty; {_REMEDY}")
    plane, tallies = _plane(masks)
    total = Tally.sum(tallies)
    # The mask with most values shows best what is not clear.
    shown = masks[max(range(len(masks)), key=lambda index: len(tallies[index].values))]
    case = _Case(masks, tallies, total, plane, f"{shown.where}: found a {shown.form} with {_listed(total, plane)}")
    if len(total.values) == 1:
        raise UserError(
            f"{name}: no person found in the masks, which hold the {_listed(total, plane)} alone; {_REMEDY}"
        )
    return case.levels() if plane in ("level", "alpha") else case.labels()


def _plane(masks: Sequence[Surveyed]) -> tuple[str, list[Tally]]:
    """Choose what is read of the masks, and return its tallies."""
    if any(mask.alpha is not None for mask in masks):
        return "alpha", [_alpha(mask) for mask in masks]
    levels = [mask.levels for mask in masks]
    known = [tally for tally in levels if tally is not None]
    if len(known) == len(masks) and all(mask.plane != "colour" for mask in masks):
        return "level", known
    # A single table of colours: otherwise an index means something else in each file.
    table: dict[int, int] = {}
    indexed = all(mask.palette is not None or not mask.tally.values.any() for mask in masks)
    for mask in masks:
        if mask.palette is not None:
            for value in mask.tally.values.tolist():
                indexed &= table.setdefault(value, int(mask.palette[value])) == mask.palette[value]
    # Optimisers of files reorder palettes; black is then what tells the background.
    if indexed and (table.get(0, 0) == 0 or 0 not in table.values()):
        return "index", [mask.tally for mask in masks]
    return "colour", [mask.colours for mask in masks]


def _alpha(mask: Surveyed) -> Tally:
    """Return the tally of a mask's opacity, where other masks have transparent pixels."""
    if mask.alpha is not None:
        return mask.alpha
    if not mask.tally.values.any():  # an empty mask without transparency
        return mask.tally
    raise UserError(
        f"{mask.where}: found no transparent pixels, but other masks have some; save all masks in one way, {_REMEDY}"
    )


@dataclass(frozen=True, eq=False)
class _Case:
    """The evidence on one set of masks: each mask's tally of the plane that is read, and their sum."""

    masks: Sequence[Surveyed]
    tallies: Sequence[Tally]
    total: Tally
    plane: str
    text: str

    @property
    def form(self) -> str:
        """What most masks are, for findings."""
        forms = [mask.form for mask in self.masks]
        return max(sorted(set(forms)), key=forms.count)

    def unclear(self, why: str) -> UserError:
        """Return the error for values that cannot be understood."""
        return UserError(f"{self.text}: {why}; {_REMEDY}")

    def say(self, meaning: str, holds: str = "") -> None:
        """State how the masks are read, and what they hold; by default, their values."""
        found(f"masks: {self.form} with {holds or _listed(self.total, self.plane)}; {meaning}")

    def levels(self) -> Coding:
        """Decide on grey levels, ids or opacity."""
        # Ids are often stored at 16 bits though they would fit into 8.
        top = 65535 if self.total.values.max() > 255 and self.plane == "level" else 255
        if self.plane == "alpha":
            self._check_opaque()
        if self.plane == "level" and any(mask.lossy for mask in self.masks):
            return self._soft(top, lossy=True)
        values = self.total.values
        white = bool((values == top).any())
        shadow = top == 255 and SHADOW in values
        middle = self.total.where((values > 0) & (values < top) & ~((values == SHADOW) & white))
        if not len(middle.values):
            inverted = self._inverted(top)
            if shadow:
                self.say(f"{SHADOW} is taken for a shadow, as MOG2 labels it, and is background")
            if self.plane == "alpha" and not inverted:
                self.say("opaque pixels are a person")
            return Coding(self.plane, inverted=inverted, threshold=_half(top), top=top, strict=True)
        if middle.values.tolist() == [SHADOW]:
            raise self.unclear(f"{SHADOW} is the label of shadows, and nothing is labelled as a person")
        # Steps between areas are the labels of objects; slopes are soft edges.
        even = middle.evenness >= (0.5 if len(middle.values) <= _FEW else 0.9)
        rare = middle.area < 0.005 * self.total.where(values > 0).area
        if not even or (white and (rare or (middle.values >= top * 7 // 8).all())):
            return self._soft(top)
        if not white:
            return self.labels(top=top, strict=self.plane == "level")
        together = [(tally.values == top).any() and (tally.values[:-1] > 0).any() for tally in self.tallies]
        small = bool((middle.values <= _FEW).all())
        if small and not any(together):
            return self.labels()
        apart = any((tally.values == top).any() for tally, both in zip(self.tallies, together, strict=True) if not both)
        if small and not apart and self.total.pixels[-1] < middle.area:
            return self.labels(top=top, ignored=(top,))
        raise self.unclear("it is not clear which of them are people")

    def labels(self, *, top: int = 255, ignored: tuple[int, ...] = (), strict: bool = False) -> Coding:
        """Decide on labels: which one is the background."""
        if self.plane == "colour" and any(mask.lossy for mask in self.masks):
            raise self.unclear("this format changes the colours of masks")
        others = self.total.where(self.total.values != 0)
        if len(others.values) > _FEW and others.evenness < 0.5:
            raise self.unclear("it looks like a picture, not a mask")
        at_border = np.array([tally.at_border(0) >= 0.5 for tally in self.tallies])
        background = 0
        if at_border.mean() < 0.5:
            shares = [self.total.at_border(int(value)) for value in self.total.values]
            background = int(self.total.values[int(np.argmax(shares))])
            most = np.mean([tally.at_border(background) >= 0.5 for tally in self.tallies])
            if background == 0 or len(self.total.values) > 2 or most < 0.9:
                raise self.unclear("the background should be 0 and fill most of the image's edge, and it is not")
        if self.plane == "index" and background == 0 and self.total.values.tolist() == [0, VOID]:
            raise self.unclear(f'{VOID} usually means "ignore", and nothing else is labelled')
        name = _named(background, self.plane)
        if self.plane == "index" and background == 0:
            ignored = (VOID,)
        void = "".join(f"; {value} means 'ignore' and is background" for value in ignored if value in self.total.values)
        edge = ", which fills most of every edge," if background else ""
        people = set(self.total.values.tolist()) - {background, *ignored}
        apart = len(people) > 1 and self.plane != "alpha"
        self.say(f"{'each but' if apart else 'any but'} {name}{edge} is a person{void}")
        return Coding(self.plane, background, ignored, top=top, strict=strict and background == 0, several=apart)

    def _soft(self, top: int, *, lossy: bool = False) -> Coding:
        """Decide on levels with soft edges, which are compared with half."""
        values = self.total.values
        dark, light = self.total.where(values <= top // 8), self.total.where(values >= top * 7 // 8)
        above = self.total.where(values > _half(top))
        between = 1 - (dark.area + light.area) / self.total.area
        if lossy and (not light.area or between > 0.05):
            raise self.unclear("a format that changes values keeps only masks of black and white")
        if between > 0.3 or light.area < 0.5 * above.area or not light.area:
            raise self.unclear("the values neither are labels nor lie near black and white, as those of a mask do")
        inverted = self._inverted(top)
        if not inverted:
            self.say(f"values above {_half(top)} of {top} are a person", "soft edges")
        return Coding(self.plane, inverted=inverted, threshold=_half(top), top=top)

    def _inverted(self, top: int) -> bool:
        """Return whether the background is white, as the edges of the images show."""
        white = []
        for tally in self.tallies:
            edge = tally.where(tally.values > _half(top)).border.sum()
            white.append(edge > 0.5 * tally.border.sum())
        share = float(np.mean(white))
        if 0.5 < share < 0.9:
            raise self.unclear(
                f"most of the edge is white in {sum(white)} of {len(white)} masks, so it is not clear whether white or "
                "black is the background"
            )
        if share >= 0.9:
            kind = "opaque" if self.plane == "alpha" else "white"
            self.say(f"{kind} pixels fill most of every edge, so {kind} is the background and the rest is a person")
        return share >= 0.9

    def _check_opaque(self) -> None:
        """Check that the colours of visible pixels are not another mask."""
        visible = [mask.opaque for mask in self.masks if mask.opaque is not None]
        if not visible:
            return
        total = Tally.sum(visible)
        share = total.pixels[total.values == 0].sum() / total.area
        if 2 <= len(total.values) <= _FEW and total.evenness >= 0.5 and 0.1 < share < 0.9:
            raise self.unclear("its colours are one mask and its transparency is another")


def _half(top: int) -> int:
    """Return the level that white must exceed: 127 of 255, so that the label of shadows is background."""
    return top // 2


def _named(value: int, plane: str) -> str:
    return f"#{value:06x}" if plane == "colour" else str(value)


def _listed(tally: Tally, plane: str) -> str:
    """List values, such as "indices 0, 1, 2"; of many, the first and the last ones."""
    noun = {"level": "value", "index": "index", "colour": "colour", "alpha": "opacity"}[plane]
    plural = {"index": "indices", "opacity": "opacities"}.get(noun, f"{noun}s")
    texts = [_named(int(value), plane) for value in tally.values]
    if len(texts) > 8:
        return f"{len(texts)} {plural} ({', '.join(texts[:3])}, ... {', '.join(texts[-2:])})"
    return f"{noun if len(texts) == 1 else plural} {', '.join(texts)}"
