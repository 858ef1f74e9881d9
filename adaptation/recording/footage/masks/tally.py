"""Which values the pixels of masks have, where, and how evenly: the evidence for what the values mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptation.recording.footage.masks.images import MaskImage, Values

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tally:
    """Values of some pixels, each once, in rising order.

    Attributes:
        values: (K,) the values.
        pixels: (K,) number of pixels of each value.
        even: (K,) number of those whose right neighbour has the same value.
        border: (K,) number of those at the edge of their image.
    """

    values: Counts
    pixels: Counts
    even: Counts
    border: Counts

    @classmethod
    def of(cls, plane: Values) -> Tally:
        """Count the values of an image (H, W) of unsigned integers."""
        same = plane[:, :-1][plane[:, :-1] == plane[:, 1:]]
        edge = np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])
        if plane.dtype.itemsize <= 2:  # counting is quicker than sorting, which colours would need too much memory for
            counts = [np.bincount(part.ravel(), minlength=int(plane.max()) + 1) for part in (plane, same, edge)]
            values = np.flatnonzero(counts[0])
            return cls(values, *(count[values] for count in counts))
        values, pixels = np.unique(plane, return_counts=True)
        rest = [np.zeros(len(values), np.int64) for _ in range(2)]
        for count, part in zip(rest, (same, edge), strict=True):
            found, number = np.unique(part, return_counts=True)
            count[np.searchsorted(values, found)] = number
        return cls(values.astype(np.int64), pixels, *rest)

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """Add the tallies of several images."""
        every = list(tallies)
        values, index = np.unique(np.concatenate([tally.values for tally in every]), return_inverse=True)

        def total(name: str) -> Counts:
            numbers = np.concatenate([getattr(tally, name) for tally in every])
            return np.bincount(index, numbers, len(values)).astype(np.int64)

        return cls(values, total("pixels"), total("even"), total("border"))

    def mapped(self, change: Callable[[Counts], Counts]) -> Tally:
        """Return the tally after values were replaced; equal ones are joined."""
        return Tally.sum([Tally(change(self.values), self.pixels, self.even, self.border)])

    def where(self, chosen: npt.NDArray[np.bool_]) -> Tally:
        """Return the part of some values, chosen by a flag for each."""
        return Tally(self.values[chosen], self.pixels[chosen], self.even[chosen], self.border[chosen])

    @property
    def area(self) -> int:
        """Number of all pixels."""
        return int(self.pixels.sum())

    @property
    def evenness(self) -> float:
        """Share of pixels whose right neighbour has the same value: high in labels, low in soft edges."""
        return float(self.even.sum() / max(self.area, 1))

    def at_border(self, value: int) -> float:
        """Share of the pixels at the edge that have a value."""
        return float(self.border[self.values == value].sum() / max(int(self.border.sum()), 1))


@dataclass(frozen=True, eq=False)
class Surveyed:
    """What is remembered of a mask, in place of its pixels.

    Attributes:
        where: file of the mask.
        form: see `MaskImage`, as `plane`, `top`, `lossy` and `palette`.
        tally: tally of its values.
        alpha: tally of its opacity; None if all pixels are opaque.
        opaque: tally of the values of the pixels that are at least half opaque, where others are not.
    """

    where: str
    form: str
    plane: str
    top: int
    lossy: bool
    palette: Values | None
    tally: Tally
    alpha: Tally | None
    opaque: Tally | None

    @classmethod
    def of(cls, image: MaskImage, where: str) -> Surveyed:
        """Survey a mask."""
        alpha = opaque = None
        tally = Tally.of(image.values)
        if image.alpha is not None and (image.alpha != 255).any():
            alpha = Tally.of(image.alpha)
            visible = image.values[image.alpha >= 128]
            opaque = Tally.of(visible[None]) if len(visible) else None
        return cls(where, image.form, image.plane, image.top, image.lossy, image.palette, tally, alpha, opaque)

    @property
    def colours(self) -> Tally:
        """Tally of the colours, 0xRRGGBB."""
        if self.plane == "colour":
            return self.tally
        if self.palette is not None:
            palette = self.palette.astype(np.int64)
            return self.tally.mapped(lambda values: palette[values])
        # Levels of 16 bits that are ids have no colour of their own; only black and white matter here.
        return self.tally.mapped(lambda values: np.minimum(values * 255 // self.top, 255) * 0x010101)

    @property
    def levels(self) -> Tally | None:
        """Tally of the grey levels or ids; None if colours or a palette's indices say more."""
        if self.plane == "level":
            return self.tally
        if self.palette is None:
            return None
        colours = self.palette[self.tally.values].astype(np.int64)
        grey = (colours & 0xFF) * 0x010101 == colours
        # A palette whose colours look alike cannot be read by its colours.
        if not grey.all() or len(np.unique(colours)) < len(colours):
            return None
        palette = self.palette.astype(np.int64)
        return self.tally.mapped(lambda values: palette[values] & 0xFF)
