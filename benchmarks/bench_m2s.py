"""m2s compared with PyTorch3D if it is installed, with hard rasterisation, and with m2s on one thread.

    python benchmarks/bench_m2s.py
    python benchmarks/bench_m2s.py --faces 2454 --out benchmarks/results

Shapes are images x faces x height x width. Sigma is PyTorch3D's default of 1e-4 in squared normalised coordinates,
1.25 pixels squared at 224 pixels. PyTorch3D keeps 100 faces per pixel and drops the others. The baseline "rasterize" is
our own operator, which finds the nearest face only and has no gradient. Memory is the peak of forward and backward
together.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from bodies import FACES, FULL, LOW, SMPL_SIZED, meshes
from common import HEAD, Memory, Row, command_line, compare, show, show_memory, title, write
from timing import Call, compare_kernels, peak_bytes
from torch import Tensor

from topokernels import m2s, rasterize

FACES_PER_PIXEL = 100
PEER = f"PyTorch3D, {FACES_PER_PIXEL} faces/px"

Draw = Callable[[Tensor], Tensor]


def ours(faces: Tensor, size: int) -> Draw:
    """A renderer from vertices in pixels (B, V, 3) to coverage (B, 1, size, size)."""
    return lambda vertices: m2s(vertices, faces, size, sigma=softness(size), binary=False)


def softness(size: int) -> float:
    """PyTorch3D's default sigma, in pixels squared."""
    return 1e-4 * (size / 2) ** 2


def pytorch3d(faces: Tensor, size: int) -> Draw | None:
    """The same renderer made with PyTorch3D, or None if that is not installed."""
    try:
        from pytorch3d.renderer import BlendParams, FoVOrthographicCameras, MeshRasterizer, SoftSilhouetteShader
        from pytorch3d.renderer import RasterizationSettings as Settings
        from pytorch3d.structures import Meshes
    except ImportError:
        return None
    settings = Settings(
        image_size=size,
        blur_radius=math.log(1 / 1e-4 - 1) * 1e-4,
        faces_per_pixel=FACES_PER_PIXEL,
        perspective_correct=False,
        max_faces_per_bin=len(faces),
    )
    rasterizer = MeshRasterizer(FoVOrthographicCameras(device=faces.device), settings)
    shader = SoftSilhouetteShader(BlendParams(sigma=1e-4))

    def draw(vertices: Tensor) -> Tensor:
        points = torch.cat([1 - vertices[..., :2] * (2 / size), vertices[..., 2:]], dim=2)
        mesh = Meshes(points, faces.expand(len(points), -1, -1))
        return shader(rasterizer(mesh), mesh)[..., 3].unsqueeze(1)

    return draw


def passes(draw: Draw, vertices: Tensor) -> dict[str, Call]:
    """Forward, backward, and both."""
    leaf = vertices.clone().requires_grad_()
    graph: list[Tensor] = []  # built when it is needed, since PyTorch3D takes seconds

    def forward() -> Tensor:
        with torch.no_grad():
            return draw(vertices)

    def backward() -> tuple[Tensor, ...]:
        if not graph:
            picture = draw(leaf)
            graph.extend([picture, torch.ones_like(picture)])
        return torch.autograd.grad(graph[0], leaf, graph[1], retain_graph=True)

    def both() -> tuple[Tensor, ...]:
        picture = draw(leaf)
        return torch.autograd.grad(picture, leaf, torch.ones_like(picture))

    return {"forward": forward, "backward": backward, "forward+backward": both}


def rows_of(faces: int, count: int, size: int, args: argparse.Namespace) -> Iterator[Row]:
    """All comparisons of one batch of meshes."""
    vertices, triangles = meshes(faces, count, size, args.device)
    calls, shape = passes(ours(triangles, size), vertices), (count, faces, size, size)

    def row(direction: str, baseline: str, call: Call, other: Call, threads: int = args.threads) -> Row:
        numbers = compare(call, other, args.device, args.seconds)
        return Row("m2s", direction, shape, 0, "float32", args.device, baseline, *numbers, threads=threads)

    def hard() -> object:
        return rasterize(vertices, triangles, size)

    for direction, call in calls.items():
        yield row(direction, "rasterize", call, hard)
    if args.device == "cuda":
        for direction in ("forward", "forward+backward"):
            numbers = compare_kernels(calls[direction], hard, args.seconds)
            yield Row("m2s", direction, shape, 0, "float32", args.device, "rasterize", *numbers, clock="kernel")
    if args.device == "cpu" and args.threads == 1 and (os.cpu_count() or 1) > 1:
        both = calls["forward+backward"]
        yield row("forward+backward", "1 thread", on_threads(2, both), on_threads(1, both), threads=2)
    peer = pytorch3d(triangles, size)
    # On the CPU, PyTorch3D takes seconds for one image, and its time grows with the batch.
    if peer is not None and (args.device == "cuda" or count == 1):
        theirs = passes(peer, vertices)
        for direction in ("forward", "backward"):
            yield row(direction, PEER, calls[direction], theirs[direction])


def on_threads(threads: int, call: Call) -> Call:
    """The call with ``threads`` threads of torch, one thread afterwards."""

    def threaded() -> object:
        torch.set_num_threads(threads)
        try:
            return call()
        finally:
            torch.set_num_threads(1)

    return threaded


def memory_of(faces: int, count: int, size: int, device: str) -> Iterator[Memory]:
    """Peak memory of forward and backward, each renderer in a process of its own."""
    for name in ("ours", PEER):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            entry = pool.apply(_measure_memory, (name, faces, count, size, device))
        if entry is not None:
            yield entry


def _measure_memory(name: str, faces: int, count: int, size: int, device: str) -> Memory | None:
    torch.set_num_threads(1)
    vertices, triangles = meshes(faces, count, size, device)
    maker = ours if name == "ours" else pytorch3d
    draw, small = maker(triangles, size), maker(triangles[:1], 8)
    if draw is None or small is None:
        return None
    passes(small, vertices)["forward+backward"]()  # loads and allocates what is needed once
    resident = vertices.nbytes + triangles.nbytes
    call = passes(draw, vertices)["forward+backward"]
    peak = peak_bytes(call, resident) if device == "cuda" else _peak_resident(call) + resident
    picture = 4 * count * size * size
    return Memory("m2s", (count, faces, size, size), name, peak, resident + vertices.nbytes + 2 * picture)


def _peak_resident(call: Call) -> int:
    """Largest growth of the resident memory of this process during a call, in bytes (Linux)."""

    def field(name: str) -> int:
        match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(match[1]) * 1024 if match else 0

    ctypes.CDLL(None).malloc_trim(0)  # otherwise the call could reuse memory that was freed before
    before = field("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    call()
    return field("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--faces", type=int, nargs="+", choices=FACES)
    parser.add_argument("--batches", type=int, nargs="+", help="batch sizes; default: 1 16 on the CPU, 1 64 on CUDA")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1, help="number of CPU threads of torch")
    parser.add_argument("--seconds", type=float, default=0.5, help="duration of one comparison in seconds")
    parser.add_argument("--out", type=Path, help="output folder for m2s.json and m2s.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.faces = args.faces or ([LOW, FULL] if args.device == "cpu" else [LOW, SMPL_SIZED, FULL])
    args.batches = args.batches or ([1, 16] if args.device == "cpu" else [1, 64])

    rows: list[Row] = []
    memories: list[Memory] = []
    print(title(args.device))
    print(HEAD)
    for faces in args.faces:
        for count in args.batches:
            for row in rows_of(faces, count, args.size, args):
                rows.append(row)
                show(row)
            if args.device == "cuda" or sys.platform == "linux":
                for entry in memory_of(faces, count, args.size, args.device):
                    memories.append(entry)
                    show_memory(entry)
            if args.out:
                write(args.out, "m2s", rows, args.device, command_line(), memories)


if __name__ == "__main__":
    main()
