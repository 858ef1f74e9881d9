"""Compares the operators from masks to labels and masks with SciPy, OpenCV and scikit-image on awkward masks.

    python benchmarks/parity_masks.py --out benchmarks/results

Every operator gets --masks masks, of every dtype and layout in turn: noise of all densities, blobs with holes, single
rows, columns and pixels, empty and full ones, with sides from 1 to 70 pixels. All results must be equal, pixel by
pixel; labels of OpenCV up to their order. Libraries that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import command_line, machine
from peers import module

import topokernels as tk

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "ops"))
from samples import MASK_DTYPES, mask_batches

PER_BATCH = 10
EIGHT, FOUR = np.ones((3, 3), bool), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
STRUCTURES = {8: EIGHT, 4: FOUR}
Check = Callable[[torch.Tensor, np.ndarray, int], list[bool]]


def each(result: torch.Tensor, masks: np.ndarray, theirs: Callable[[np.ndarray], np.ndarray]) -> list[bool]:
    """Whether our result equals another library's, for each mask."""
    ours = result.float().numpy()
    return [np.array_equal(mine, theirs(mask)) for mine, mask in zip(ours, masks, strict=True)]


def same_components(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two label images are equal up to the order of the labels."""
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def kept_by_size(mask: np.ndarray, structure: np.ndarray, keep: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The mask without the components whose sizes `keep` refuses; by SciPy's labels."""
    labels, found = module("scipy.ndimage").label(mask, structure)
    sizes = np.bincount(labels.ravel(), minlength=found + 1)
    return mask & keep(sizes)[labels]


def element(radius: float, shape: str) -> np.ndarray:
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.ones_like(y, bool) if shape == "square" else y * y + x * x <= radius * radius


def component_checks() -> dict[str, Check]:
    checks: dict[str, Check] = {}
    if ndimage := module("scipy.ndimage"):
        for connectivity, structure in STRUCTURES.items():
            checks[f"connected_components {connectivity}, SciPy label"] = (
                lambda m, a, i, c=connectivity, s=structure: each(
                    tk.connected_components(m, connectivity=c), a, lambda mask: ndimage.label(mask, s)[0]
                )
            )
            checks[f"fill_holes {connectivity}, SciPy"] = lambda m, a, i, c=connectivity: each(
                tk.fill_holes(m, connectivity=c), a, lambda mask: ndimage.binary_fill_holes(mask, STRUCTURES[12 - c])
            )
            checks[f"remove_small {connectivity}, SciPy label"] = lambda m, a, i, c=connectivity, s=structure: each(
                tk.remove_small(m, i % 20, connectivity=c),
                a,
                lambda mask: kept_by_size(mask, s, lambda sizes: sizes >= i % 20),
            )
            checks[f"largest {connectivity}, SciPy label"] = lambda m, a, i, c=connectivity, s=structure: each(
                tk.largest(m, connectivity=c),
                a,
                lambda mask: kept_by_size(
                    mask, s, lambda sizes: np.arange(len(sizes)) == np.append(sizes[1:], 0).argmax() + 1
                ),
            )
    if cv2 := module("cv2"):

        def opencv(masks: torch.Tensor, arrays: np.ndarray, i: int, connectivity: int) -> list[bool]:
            labels, areas = tk.connected_components(masks, connectivity=connectivity, return_areas=True)
            result = []
            for ours, area, mask in zip(labels.numpy(), areas.numpy(), arrays, strict=True):
                _, theirs, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
                result.append(same_components(ours, theirs) and np.array_equal(area, stats[theirs, 4] * mask))
            return result

        for connectivity in STRUCTURES:
            checks[f"labels and areas {connectivity}, OpenCV"] = lambda m, a, i, c=connectivity: opencv(m, a, i, c)
    return checks


def shape_checks() -> dict[str, Check]:
    checks: dict[str, Check] = {}
    if morphology := module("skimage.morphology"):
        checks["thin zhang-suen, scikit-image"] = lambda m, a, i: each(
            tk.thin(m), a, lambda mask: morphology.skeletonize(mask, method="zhang")
        )
        checks["thin guo-hall, scikit-image"] = lambda m, a, i: each(tk.thin(m, method="guo-hall"), a, morphology.thin)
    if ndimage := module("scipy.ndimage"):
        radii = (0, 1, 1.5, 2, 2.9, 4, 7)
        ours = {"dilation": tk.dilate, "erosion": tk.erode, "opening": tk.opening, "closing": tk.closing}
        for name, function in ours.items():
            theirs = getattr(ndimage, f"binary_{name}")
            border = {} if name == "dilation" else {"black_border": True}
            for shape in ("disc", "square"):
                checks[f"{name} by a {shape}, SciPy"] = lambda m, a, i, f=function, t=theirs, s=shape, b=border: each(
                    f(m, radii[i % 7], shape=s, **b), a, lambda mask: t(mask, element(radii[i % 7], s))
                )
    return checks


def layout_of(masks: torch.Tensor, i: int) -> torch.Tensor:
    """The same masks, contiguous, transposed in memory, with gaps, or as a part of a larger tensor."""
    wide = torch.cat([masks, masks], -1)
    return (masks, masks.mT.contiguous().mT, masks.repeat_interleave(2, -1)[..., ::2], wide[..., : masks.shape[-1]])[
        i % 4
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=10_000, help="masks per operator")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="output folder for masks_parity.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    checks, seen, wrong = component_checks() | shape_checks(), Counter[str](), Counter[str]()
    for i, arrays in enumerate(mask_batches(args.seed, -(-args.masks // PER_BATCH), PER_BATCH, largest=70)):
        masks = layout_of(torch.from_numpy(arrays).to(MASK_DTYPES[i % len(MASK_DTYPES)]), i // len(MASK_DTYPES))
        for name, check in checks.items():
            equal = check(masks, arrays, i)
            seen[name] += len(equal)
            wrong[name] += len(equal) - sum(equal)
    for name, count in seen.items():
        print(f"{name:40} {count:7,} masks, {wrong[name]:5,} differ")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        rows = [{"check": name, "masks": count, "different": wrong[name]} for name, count in seen.items()]
        result = {"meta": machine("cpu") | {"command": command_line()}, "rows": rows}
        (args.out / "masks_parity.json").write_text(json.dumps(result, indent=1) + "\n")
    if wrong.total():
        sys.exit("failed: some results differ")


if __name__ == "__main__":
    main()
