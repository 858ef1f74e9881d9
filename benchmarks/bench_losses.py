"""Which silhouette loss recovers pose? Fits from wrong starts, B1, B2, B3 and ours side by side.

Bodies of the synthetic clip, and bodies in sampled poses, are rendered to masks of 112 px; fits start from poses
whose limbs are off by 20 to 40 degrees, from the mean shape and from a wrong camera. Masks are exact, or dilated
by one pixel (clothing, background subtraction). Every loss fits the same pairs in the same run.

    python benchmarks/bench_losses.py --out benchmarks/results

writes losses.json and losses.md. The row "recording" is what `topo-adapt fit` runs: ours with a pixel term and
weaker priors. `--prior latent` fits with another pose prior.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptation.body import Body
from adaptation.camera import fit_camera_to_bbox
from adaptation.fitting import BodyParameters, FitSettings, Fitter
from adaptation.losses import LOSS_NAMES, LossSettings
from adaptation.metrics import mpjpe, pa_mpjpe, silhouette_iou
from adaptation.poses import facing, perturb, sample_poses
from adaptation.prior import pose_prior
from adaptation.programs import recording_settings
from adaptation.renderer import exact_silhouette, make_renderer
from adaptation.synthetic import render_clip

SIZE = 112


@dataclass(frozen=True)
class Row:
    """One cell of the table: means over the pairs, millimetres; spread is the standard error of the mean."""

    bodies: str
    masks: str
    loss: str
    pairs: int
    mpjpe: float
    pa_mpjpe: float
    pa_spread: float
    pa_median: float
    pa_fall: float  # per cent below the start's mean
    iou: float  # with the mask that was fitted
    seconds: float


def bodies_of_clip(count: int) -> BodyParameters:
    """Truth of the synthetic clip, frames in which people are in view, evenly spread."""
    clip = render_clip()
    seen = np.argwhere(clip.full.any(axis=(2, 3)))
    people, frames = seen[np.linspace(0, len(seen) - 1, count).round().astype(int)].T
    pose = torch.from_numpy(clip.pose[people, frames]).float()
    return BodyParameters(pose, torch.from_numpy(clip.betas[people]).float(), torch.ones(count, 3))


def bodies_sampled(count: int, generator: torch.Generator) -> BodyParameters:
    """Poses of every kind, seen from all directions, bodies of all builds."""
    pose = sample_poses(count, generator)
    pose[:, 0] = facing((torch.rand(count, generator=generator) * 2 - 1) * torch.pi, pitch=0.15)
    betas = torch.randn(count, 10, generator=generator).clamp(-2, 2)
    return BodyParameters(pose, betas, torch.ones(count, 3))


def framed(body: Body, truth: BodyParameters) -> BodyParameters:
    """The same bodies with cameras that show them from head to foot."""
    vertices = body(truth.pose, truth.betas).vertices
    box = torch.tensor([0.1, 0.1, 0.9, 0.9]) * SIZE
    camera = fit_camera_to_bbox(vertices, box.expand(len(truth), 4), SIZE)
    # Boxes are square and people are not: the longer side decides.
    extent = (vertices[..., :2].amax(1) - vertices[..., :2].amin(1)).amax(1, keepdim=True)
    scale = 1.6 / extent
    return BodyParameters(truth.pose, truth.betas, torch.cat([scale, camera[:, 1:]], dim=1))


def wrong_starts(truth: BodyParameters, degrees: tuple[float, float], generator: torch.Generator) -> BodyParameters:
    """Wrong pose and orientation, mean shape, a camera off by about 4 % and 3 pixels."""
    count = len(truth)
    pose = perturb(truth.pose, degrees, generator)
    pose[:, 0] = pose[:, 0] + torch.randn(count, 3, generator=generator) * 0.1
    noise = torch.randn(count, 3, generator=generator)
    scale = truth.camera[:, :1] * (1 + 0.04 * noise[:, :1])
    shift = truth.camera[:, 1:] + noise[:, 1:] * 3 * (2 / SIZE) / scale
    return BodyParameters(pose, torch.zeros(count, 10), torch.cat([scale, shift], dim=1))


def settings_of(loss: str, steps: int) -> FitSettings:
    """One recipe for all; B1's prior is weaker since its gradient is (fitting from the same prior is worse for it)."""
    if loss == "recording":
        return recording_settings("ours", steps)
    weak = {"prior_start": 0.02, "prior_end": 0.0005} if loss == "b1" else {}
    return FitSettings(loss=LossSettings(name=loss), steps=steps, **weak)  # type: ignore[arg-type]


def masks_of(silhouette: Tensor, kind: str) -> Tensor:
    """Exact masks, or masks one pixel too wide or too narrow."""
    if kind == "dilated":
        return F.max_pool2d(silhouette, 3, stride=1, padding=1)
    if kind == "eroded":
        return -F.max_pool2d(-silhouette, 3, stride=1, padding=1)
    return silhouette


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="fits per cell")
    parser.add_argument("--steps", type=int, default=150, help="steps of a fit")
    parser.add_argument("--degrees", type=float, nargs=2, default=(20.0, 40.0), help="error of the starts")
    parser.add_argument("--bodies", nargs="+", default=["clip", "sampled"], choices=["clip", "sampled"])
    parser.add_argument("--masks", nargs="+", default=["exact", "dilated"], choices=["exact", "dilated", "eroded"])
    parser.add_argument("--losses", nargs="+", default=[*LOSS_NAMES, "recording"])
    parser.add_argument("--prior", default="gaussian", help="of poses: gaussian, latent, or a file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for losses.json and losses.md")
    args = parser.parse_args()

    body, prior, renderer = Body.free(), pose_prior(args.prior), make_renderer()
    rows = []
    for bodies in args.bodies:
        generator = torch.Generator().manual_seed(args.seed)
        truth = framed(body, bodies_of_clip(args.pairs) if bodies == "clip" else bodies_sampled(args.pairs, generator))
        start = wrong_starts(truth, tuple(args.degrees), generator)
        with torch.no_grad():
            true = body(truth.pose, truth.betas)
            first = body(start.pose, start.betas)
        silhouette = exact_silhouette(true.vertices, body.faces, truth.camera, SIZE)
        began = pa_mpjpe(first.joints, true.joints)
        for masks in args.masks:
            mask = masks_of(silhouette, masks)
            before = exact_silhouette(first.vertices, body.faces, start.camera, SIZE)
            rows.append(cell(bodies, masks, "start", first.joints, true.joints, began, before, mask, 0.0))
            print_row(rows[-1])
            for loss in args.losses:
                clock = time.perf_counter()
                fitter = Fitter(body, prior, renderer, settings_of(loss, args.steps))
                fitted = fitter.fit(fitter.target(mask), start)
                seconds = time.perf_counter() - clock
                with torch.no_grad():
                    joints = body(fitted.pose, fitted.betas).joints
                after = fitter.silhouette(fitted, SIZE)
                rows.append(cell(bodies, masks, loss, joints, true.joints, began, after, mask, seconds))
                print_row(rows[-1])
    if args.out:
        write(args.out, rows, args)


def cell(
    bodies: str,
    masks: str,
    loss: str,
    joints: Tensor,
    true: Tensor,
    began: Tensor,
    drawn: Tensor,
    mask: Tensor,
    s: float,
) -> Row:
    """Means of one cell."""
    pa = pa_mpjpe(joints, true)
    return Row(
        bodies=bodies,
        masks=masks,
        loss=loss,
        pairs=len(pa),
        mpjpe=mpjpe(joints, true).mean().item(),
        pa_mpjpe=pa.mean().item(),
        pa_spread=(pa.std() / len(pa) ** 0.5).item(),
        pa_median=pa.median().item(),
        pa_fall=100 * (1 - pa.mean() / began.mean()).item(),
        iou=silhouette_iou(drawn, mask).mean().item(),
        seconds=s,
    )


HEAD = f"{'bodies':8} {'masks':8} {'loss':8} {'MPJPE':>6} {'PA':>6} {'+-':>4} {'median':>6} {'fall %':>6} {'IoU':>6}"


def print_row(row: Row) -> None:
    """One line."""
    if row.loss == "start":
        print("\n" + HEAD)
    print(
        f"{row.bodies:8} {row.masks:8} {row.loss:8} {row.mpjpe:6.1f} {row.pa_mpjpe:6.1f} {row.pa_spread:4.1f} "
        f"{row.pa_median:6.1f} {row.pa_fall:6.1f} {row.iou:6.3f}",
        flush=True,
    )


def write(folder: Path, rows: list[Row], args: argparse.Namespace) -> None:
    """JSON, and the table made from it."""
    folder.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here, check=False)
    meta = {
        "commit": commit.stdout.strip(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "arguments": {key: str(value) for key, value in vars(args).items() if key != "out"},
    }
    (folder / "losses.json").write_text(
        json.dumps({"meta": meta, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    )
    lines = [
        f"{args.pairs} pairs per cell, {args.steps} steps, starts {args.degrees[0]:.0f} to {args.degrees[1]:.0f} "
        "degrees off, 112 px. Millimetres, 14 joints; PA with the standard error of its mean; fall: of the mean PA "
        "below the start's. `python benchmarks/bench_losses.py --out benchmarks/results` makes this table.",
        "",
        "| bodies | masks | loss | MPJPE | PA-MPJPE | median PA | fall | IoU |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.bodies} | {r.masks} | {r.loss} | {r.mpjpe:.1f} | {r.pa_mpjpe:.1f} ± {r.pa_spread:.1f} "
        f"| {r.pa_median:.1f} | {r.pa_fall:.0f} % | {r.iou:.3f} |"
        for r in rows
    ]
    (folder / "losses.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
