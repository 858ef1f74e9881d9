"""One whole step of a fit, compared with the same step made of PyTorch3D and stacked convolutions, and its parts.

    python benchmarks/bench_fit_step.py
    python benchmarks/bench_fit_step.py --faces 2454 --sizes 112 --out benchmarks/results

A step consists of body, camera, silhouette, distance maps and skeletons, L_S + L_T with priors, backward and Adam. It
is the code of `topo-adapt fit`, without the terms of pixels and bones. What depends on the target only is computed
once. On CUDA the step is captured in a graph. Shapes are images x faces x height x width. Rows named "step" compare
with the step of PyTorch3D; rows of parts compare with the whole step, forward parts without their backward pass.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from bodies import FACES, FULL, LOW, SMPL_SIZED, body_of, people
from common import HEAD, Row, command_line, compare, show, title, write
from timing import Call
from torch import Tensor

from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.poses import perturb
from adaptation.bodies.renderer import Renderer, make_renderer
from adaptation.fitting.settings import FitSettings
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
from adaptation.fitting.variables import BodyVariables
from adaptation.losses.silhouettes import SilhouetteTarget, silhouette_loss
from adaptation.priors.gaussian import GaussianPosePrior
from adaptation.support.errors import UserError
from topokernels import reference

# Constant weights: a CUDA graph replays one step, with the weights that it was captured with.
SETTINGS = FitSettings(topology_start=0.5, prior_start=0.01, prior_end=0.01)
PEER = "PyTorch3D + stacked conv"


class Scene:
    """A fit before its next step.

    Args:
        fitter: body, prior, renderer and settings.
        count: number of images.
        size: side of the images, pixels.
    """

    def __init__(self, fitter: SilhouetteFitter, count: int, size: int) -> None:
        device = str(fitter.body.faces.device)
        truth = people(count, device)
        with torch.no_grad():
            masks = fitter.posed(truth, size).silhouette
        self.fitter, self.size = fitter, size
        self.target = fitter.target(masks)
        pose = perturb(truth.pose.cpu(), (10, 30), torch.Generator().manual_seed(1)).to(device)
        self.fit = fitter.fitter(self.target, BodyVariables(pose, truth.betas, truth.camera))
        self.stage = self.fit.stages[0]
        self.optimizer = self.fit.optimizer(self.stage)

    def objective(self) -> Tensor:
        """The sum over images that a step descends, a scalar."""
        return self.fit.objective(self.stage, 0).sum()

    def step(self) -> None:
        """Take one whole step."""
        self.optimizer.zero_grad()
        self.objective().backward()
        self.optimizer.step()


class StackedScene(Scene):
    """The same step with losses made of stacked convolutions, differentiated by autograd."""

    def objective(self) -> Tensor:
        """The sum over images that a step descends, a scalar."""
        posed, settings = self.fit.variables.posed(), self.fitter.settings
        loss = stacked_loss(posed.silhouette, self.target, settings)
        prior = settings.prior_end * self.fitter.prior.energy(posed.pose)
        return (loss + prior + settings.shape_weight * posed.bodies.betas.square().sum(1)).sum()


def stacked_loss(silhouette: Tensor, target: SilhouetteTarget, settings: FitSettings) -> Tensor:
    """L_S + L_T per image, (B,), as in `adaptation.losses.silhouettes` but without the gain on gradients."""
    iterations, weight_of_skeletons = settings.loss.iterations, settings.loss.topology_weight
    skeleton = reference.d2t(reference.s2d(silhouette, iterations=iterations), silhouette)
    fixed = target.topology
    total = torch.zeros_like(target.area)
    for mask, other, distance, weight in (
        (silhouette, target.mask, target.distance, 1 / target.area),
        (skeleton, fixed.skeleton, fixed.skeleton_distance, weight_of_skeletons / target.length),
    ):
        pull, push = reference.chamfer(mask, other, reference.s2d(1 - mask, iterations=iterations), distance)
        total = total + (pull + push).flatten() * weight
    return total


def parts(scene: Scene) -> dict[str, Call]:
    """The parts of a step, in their order."""
    renderer, faces, settings = scene.fitter.scene.renderer, scene.fitter.body.faces, scene.fitter.settings
    variables = scene.fit.variables
    with torch.no_grad():
        start = variables.posed()
        vertices, camera = start.output.vertices, start.bodies.camera.weak().parameters
    # Each part is measured with gradients to its own inputs alone.
    vertices, camera = vertices.requires_grad_(), camera.requires_grad_()

    def render() -> Tensor:
        return renderer.silhouette(vertices, faces, WeakPerspective(camera), scene.size)

    mask = render().detach().requires_grad_()
    whole = scene.objective()
    leaves = list(variables.leaves.values())
    return {
        "body": lambda: variables.posed().output,
        "render": render,
        "topology": lambda: silhouette_loss(mask, scene.target, settings.loss),
        "all backward": lambda: torch.autograd.grad(whole, leaves, retain_graph=True),
        "optimiser": scene.optimizer.step,
    }


def captured(scene: Scene) -> Call:
    """Capture the step in a CUDA graph."""
    # Warm-up on a side stream, as torch requires: lazily made state must not be part of the graph.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            scene.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Gradients must be None here, so that the capture allocates them from its own memory.
    scene.optimizer.zero_grad()
    with torch.cuda.graph(graph):
        scene.step()
    return graph.replay


def peer_renderer() -> Renderer | None:
    """Return the renderer of PyTorch3D with 100 faces per pixel, or None if it is not installed."""
    try:
        return make_renderer("pytorch3d")
    except UserError as error:
        print(f"left out: {PEER}: {error}")
        return None


def rows_of(faces: int, count: int, size: int, peer: Renderer | None, args: argparse.Namespace) -> Iterator[Row]:
    """Measure all comparisons of one body, batch and size."""
    body, prior = body_of(faces).to(args.device), GaussianPosePrior.default().to(args.device)
    shape = (count, faces, size, size)

    def row(part: str, baseline: str, call: Call, other: Call) -> Row:
        numbers = compare(call, other, args.device, args.seconds)
        direction = "backward" if part == "all backward" else "forward+backward" if part == "step" else "forward"
        iterations = scene.fitter.settings.loss.iterations
        return Row(part, direction, shape, iterations, "float32", args.device, baseline, *numbers, threads=args.threads)

    scene = Scene(SilhouetteFitter(body, prior, make_renderer(), SETTINGS), count, size)
    scene.step()
    for name, call in parts(scene).items():
        yield row(name, "the whole step", call, scene.step)
    step: Call = scene.step
    if args.device == "cuda":
        step = captured(scene)
        yield row("step", "without a graph", step, Scene(scene.fitter, count, size).step)
    if peer is not None and count <= args.peer_batch:
        yield row("step", PEER, step, StackedScene(SilhouetteFitter(body, prior, peer, SETTINGS), count, size).step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--faces", type=int, nargs="+", choices=FACES, default=[LOW, SMPL_SIZED, FULL])
    parser.add_argument("--batches", type=int, nargs="+", help="numbers of images; default 1 16 on the CPU, 16 on CUDA")
    parser.add_argument("--sizes", type=int, nargs="+", default=[112, 224])
    parser.add_argument(
        "--peer-batch", type=int, help="largest batch of a step with PyTorch3D; default 1 on the CPU, 16 on CUDA"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds that one comparison is measured for")
    parser.add_argument("--out", type=Path, help="folder for fit_step.json and fit_step.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.batches = args.batches or ([1, 16] if args.device == "cpu" else [16])
    args.peer_batch = args.peer_batch or (1 if args.device == "cpu" else 16)

    rows: list[Row] = []
    print(title(args.device))
    print(HEAD)
    peer = peer_renderer()
    for faces in args.faces:
        for size in args.sizes:
            for count in args.batches:
                for row in rows_of(faces, count, size, peer, args):
                    rows.append(row)
                    show(row)
            if args.out:
                write(args.out, "fit_step", rows, args.device, command_line())


if __name__ == "__main__":
    main()
