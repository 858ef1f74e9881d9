"""Runs every operator once, forward and backward, for compute-sanitizer and ncu, on small shapes or one large batch.

compute-sanitizer --tool racecheck python benchmarks/workload.py
ncu python benchmarks/workload.py --shapes 512x224
"""

from __future__ import annotations

import argparse

import torch
from inputs import figures
from torch import Tensor

from topokernels import (
    chamfer,
    connected_components,
    d2t,
    edt,
    fill_holes,
    largest,
    m2s,
    opening,
    rasterize,
    s2d,
    skeleton,
    thin,
    topology_loss,
)


def topology(mask: Tensor, backward: str) -> None:
    """Run every operator on masks."""
    leaf, target = mask.clone().requires_grad_(), mask.roll(3, dims=-1)
    distance = s2d(leaf, backward=backward)
    d2t(distance, leaf, backward=backward).sum().backward()
    skeleton(leaf, backward=backward).sum().backward()
    chamfer(leaf, target, backward=backward).backward()
    # With both maps given, the masked sum runs in place of the fused operator.
    chamfer(leaf, target, pred_distance=s2d(1 - mask), target_distance=s2d(1 - target)).backward()
    topology_loss(leaf, target, backward=backward).backward()
    edt(leaf, signed=True).sum().backward()
    edt(mask, black_border=True, sampling=(1.0, 2.0), return_indices=True)
    connected_components(mask, return_areas=True)
    largest(fill_holes(leaf)).sum().backward()
    for method in ("zhang-suen", "guo-hall"):
        thin(mask, method=method)
    for shape in ("disc", "square"):
        opening(mask, 3, shape=shape, black_border=True)
    # bool masks and soft masks have kernels of their own.
    s2d(mask != 0)
    s2d((0.9 * mask).requires_grad_()).sum().backward()


def rendering(count: int, size: int, device: str) -> None:
    """Run the renderers on overlapping triangles."""
    generator = torch.Generator().manual_seed(0)
    # Random triangles overlap, so that pixels have many faces.
    vertices = (torch.rand(count, 60, 3, generator=generator) * size).to(device)
    faces = torch.randint(0, 60, (100, 3), generator=generator).to(device)
    leaf = vertices[..., :2].clone().requires_grad_()
    m2s(leaf, faces, (size, size), sigma=1.25).sum().backward()
    rasterize(vertices, faces, (size, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shapes", nargs="+", default=["3x33", "2x65", "1x600"], help="batch size x image size")
    parser.add_argument("--modes", nargs="+", default=["subgradient", "literal"])
    args = parser.parse_args()
    for count, size in (map(int, shape.split("x")) for shape in args.shapes):
        for mode in args.modes:
            # Figures have shallow maps, their complements deep ones.
            for masks in (figures(count, size, args.device), 1 - figures(count, size, args.device)):
                topology(masks, mode)
        rendering(min(count, 64), size, args.device)
    if args.device == "cuda":
        # Errors of kernels only show at a synchronisation.
        torch.cuda.synchronize()
    print("done")


if __name__ == "__main__":
    main()
