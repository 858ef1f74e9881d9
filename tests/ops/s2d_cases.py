"""The options of s2d, and masks that are awkward for it."""

from __future__ import annotations

import itertools

import numpy as np
from samples import blobs, soft
from torch import Tensor

OPTIONS = [
    {"iterations": iterations, "kernel_size": size, "black_border": border, "fill_holes": holes}
    for iterations, size, border, holes in itertools.product(
        (None, 0, 1, 3, 40), (3, 5, 7), (False, True), (False, True)
    )
]


def option_id(options: dict[str, object]) -> str:
    return "-".join(f"{name[0]}{value}" for name, value in options.items())


def holed_masks() -> Tensor:
    """Masks (6, 15, 18): blobs, and isolated holes inside, at edges and in corners."""
    masks = blobs(8, 6, 15, 18)
    masks[0] = 1
    masks[0, 7, 9] = masks[0, 0, 3] = masks[0, 14, 17] = masks[0, 5, 0] = 0
    masks[1] = 1
    masks[1, 4, 4] = masks[1, 4, 6] = masks[1, 9, 9] = masks[1, 10, 10] = 0
    masks[2] = 1
    return masks


def soft_masks() -> Tensor:
    """Masks (4, 15, 18): values close to 1, values in [0, 1], soft values with zeros between them, and a soft blob."""
    values = soft(9, 4, 15, 18)
    values[1] = soft(10, 15, 18, low=0.0, high=1.0)
    values[2, 3:5, 6:9] = 0
    values[3] *= blobs(11, 1, 15, 18)[0]
    return values


def awkward_masks() -> dict[str, np.ndarray]:
    def full(height: int, width: int) -> np.ndarray:
        return np.ones((height, width), dtype=bool)

    def without(mask: np.ndarray, *pixels: tuple[int, int]) -> np.ndarray:
        for y, x in pixels:
            mask[y, x] = False
        return mask

    rng = np.random.default_rng(0)
    return {
        "1x1 full": full(1, 1),
        "1x1 empty": ~full(1, 1),
        "one row": without(full(1, 300), (0, 7)),
        "one column": without(full(300, 1), (299, 0)),
        "one row full": full(1, 9),
        "two rows": without(full(2, 5), (1, 4)),
        "full": full(40, 30),
        "empty": ~full(40, 30),
        "frame": np.pad(~full(20, 31), 1, constant_values=True),
        "all borders touched": np.pad(full(20, 31), 1),
        "deeper than 255": without(full(600, 600), (599, 0)),
        "deep strip": without(full(700, 9), (0, 4)),
        "deep strip, lying": without(full(9, 700), (4, 699)),
        "deep row": without(full(1, 40_00), (0, 0)),
        "254": without(full(254, 254), (0, 0)),
        "255": without(full(255, 255), (0, 0)),
        "255 full": full(255, 255),
        "256": without(full(256, 256), (255, 255)),
        "257 x 3": without(full(257, 3), (256, 2)),
        "255 x 256": without(full(255, 256), (0, 255)),
        "vector tail": rng.random((33, 65)) < 0.9,
        "sparse background": rng.random((300, 280)) < 0.9999,
    }
