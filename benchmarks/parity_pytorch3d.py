"""Differences of m2s and rasterize from PyTorch3D, which must be installed.

    python benchmarks/parity_pytorch3d.py --out benchmarks/results

Both draw one walking person. PyTorch3D leaves out faces whose doubled area is at most 1e-8 in its normalised units
(1.25e-4 pixels squared at 224), m2s only those of 1e-8 pixels squared. Rows "all" draw every face, rows "large" only
those that PyTorch3D draws. "K" is the number of faces that PyTorch3D keeps per pixel.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from bodies import FULL, LOW, body_of, people
from common import command_line, machine, title
from torch import Tensor

from adaptation.bodies.camera import Camera, project
from adaptation.bodies.renderer import Renderer, make_renderer
from adaptation.bodies.renderer_pytorch3d import PyTorch3DRenderer


@dataclass(frozen=True)
class Parity:
    """Differences between the two renderers. Fractions refer to the pixels of the image unless stated otherwise."""

    faces: int
    drawn: str  # all or large
    size: int
    sigma: float
    faces_per_pixel: int
    coverage_largest: float
    coverage_mean: float
    coverage_beyond: float  # fraction that differs by more than 1e-3
    mask: float  # fraction that differs in coverage > 0.5
    silhouette: float  # fraction that differs in the exact silhouette
    gradient_cosine: float  # of the vertices' gradients, for random gradients of the coverage
    gradient_norm: float  # theirs over ours
    nearest: float  # fraction of the pixels hit in both with another nearest face
    depth: float  # largest difference in depth there, metres


@torch.no_grad()
def scene(faces: int, size: int, drawn: str) -> tuple[Tensor, Tensor, Camera]:
    """Return vertices (1, V, 3), faces (F, 3) and camera of one person; arguments as in `Parity`."""
    body, seen = body_of(faces), people(1, "cpu")
    vertices, triangles = body(seen.pose, seen.betas).vertices, body.faces
    if drawn == "large":
        a, b, c = (project(vertices, seen.camera, size)[0, triangles] * (2 / size)).unbind(1)
        doubled = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        triangles = triangles[doubled.abs() > 1.01e-8]  # clear of rounding
    return vertices, triangles, seen.camera


def parity(faces: int, size: int, sigma: float, faces_per_pixel: int, drawn: str) -> Parity:
    """Draw one picture with both renderers and compare coverage, masks, gradients and depth."""
    vertices, triangles, camera = scene(faces, size, drawn)
    renderers: tuple[Renderer, Renderer] = make_renderer(sigma=sigma), PyTorch3DRenderer(sigma, faces_per_pixel)
    weight = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))

    pictures, gradients = [], []
    for renderer in renderers:
        # Random weights test the gradient at all pixels at once.
        leaf = vertices.clone().requires_grad_()
        picture = renderer.coverage(leaf, triangles, camera, size)
        pictures.append(picture.detach())
        gradients.append(torch.autograd.grad(picture, leaf, weight)[0].double().flatten())
    difference = (pictures[0] - pictures[1]).abs()
    masks = [picture > 0.5 for picture in pictures]
    silhouettes = [renderer.silhouette(vertices, triangles, camera, size) for renderer in renderers]
    (index, _, depth), (index3d, _, depth3d) = (r.rasterize(vertices, triangles, camera, size) for r in renderers)
    both = (index >= 0) & (index3d >= 0)
    return Parity(
        faces=faces,
        drawn=drawn,
        size=size,
        sigma=sigma,
        faces_per_pixel=faces_per_pixel,
        coverage_largest=difference.max().item(),
        coverage_mean=difference.mean().item(),
        coverage_beyond=(difference > 1e-3).double().mean().item(),
        mask=(masks[0] != masks[1]).double().mean().item(),
        silhouette=(silhouettes[0] != silhouettes[1]).double().mean().item(),
        gradient_cosine=torch.cosine_similarity(gradients[0], gradients[1], dim=0).item(),
        gradient_norm=(gradients[1].norm() / gradients[0].norm()).item(),
        nearest=(index != index3d)[both].double().mean().item(),
        depth=(depth - depth3d)[both].abs().max().item(),
    )


def cases(full: bool) -> Iterator[tuple[int, int, float, int, str]]:
    """Yield the arguments of `parity`: faces, size, sigma, faces per pixel, and which faces are drawn."""
    for size, sigma in ((112, 0.1), (112, 1.25), (224, 0.1), (224, 1.25)):
        for drawn in ("large", "all"):
            yield LOW, size, sigma, 300, drawn
    yield LOW, 224, 1.25, 100, "all"
    if full:
        for drawn in ("large", "all"):
            yield FULL, 224, 0.1, 300, drawn
        yield FULL, 224, 1.25, 100, "all"


HEAD = (
    "| faces | drawn | px | sigma | K | largest | mean | > 1e-3 | mask | silhouette | cosine | norm | nearest "
    "| depth, m |"
)


def line(p: Parity) -> str:
    """Format one row of the table."""
    return (
        f"| {p.faces:,} | {p.drawn} | {p.size} | {p.sigma:g} | {p.faces_per_pixel} | {p.coverage_largest:.1e} "
        f"| {p.coverage_mean:.1e} | {p.coverage_beyond:.4%} | {p.mask:.4%} | {p.silhouette:.4%} "
        f"| {p.gradient_cosine:.6f} | {p.gradient_norm:.4f} | {p.nearest:.4%} | {p.depth:.1e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-full", action="store_true", help="leave out the body of 27,420 faces")
    parser.add_argument("--out", type=Path, help="output folder for pytorch3d_parity.json and .md")
    args = parser.parse_args()
    print(title("cpu"), HEAD, sep="\n")
    found = []
    for case in cases(not args.no_full):
        found.append(parity(*case))
        print(line(found[-1]), flush=True)
    if args.out:
        import pytorch3d

        meta = machine("cpu") | {"pytorch3d": pytorch3d.__version__, "command": command_line()}
        args.out.mkdir(parents=True, exist_ok=True)
        result = {"meta": meta, "parity": [asdict(entry) for entry in found]}
        (args.out / "pytorch3d_parity.json").write_text(json.dumps(result, indent=1) + "\n")
        rule = "|" + "---:|" * (HEAD.count("|") - 1)
        head = f"PyTorch3D {pytorch3d.__version__}, torch {meta['torch']}, commit {str(meta['commit'])[:10]}."
        table = "\n".join([head, "", HEAD, rule, *map(line, found)])
        (args.out / "pytorch3d_parity.md").write_text(table + "\n")


if __name__ == "__main__":
    main()
