"""Make the pictures of docs/operators.md: python tools/make_operator_pictures.py. Needs matplotlib."""

from __future__ import annotations

import argparse
import math
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from picture_style import BLUE, GREY, INK, LIGHT, PAPER, RED, STYLE
from PIL import Image
from torch import Tensor

import topokernels as tk
from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.poses import standing
from adaptation.bodies.renderer import exact_silhouette

matplotlib.use("Agg")

SIZE = 224
IN = LinearSegmentedColormap.from_list("in", [PAPER, "#bcd7f0", BLUE, "#0b2545"])
OUT = LinearSegmentedColormap.from_list("out", [PAPER, "#fcd9c2", RED, "#5c1a03"])
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "#9dc3e6", PAPER, "#f4ac86", RED])


def person(arms: tuple[float, float], spread: float, x: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw the mask (SIZE, SIZE) of the free body seen from the front.

    Args:
        arms: how far the arms on the left and right of the picture are raised above the horizontal, degrees.
        spread: angle of the legs to the vertical, degrees.
        x: horizontal shift of the body, metres.
        dtype: data type of the mask.
    """
    pose = standing(spread=spread, down=0.0)
    # Upright in camera axes, whose y points down: half a turn about x.
    pose[0] = torch.tensor([math.pi, 0.0, 0.0])
    # A body that faces the camera has its right arm, joint 17, on the left of the picture.
    for joint, raised in zip((17, 16), (-arms[0], arms[1]), strict=True):
        pose[joint, 2] = math.radians(raised)
    body, camera = Body.free(), WeakPerspective(torch.tensor([[0.9, x, 0.06]]))
    vertices = body(pose[None].float(), torch.zeros(1, 10)).vertices
    return exact_silhouette(vertices, body.faces, camera, SIZE)[0, 0].to(dtype)


def gradient(loss: Tensor, mask: Tensor) -> Tensor:
    """Return the gradient of a loss to a mask; the graph is kept."""
    return torch.autograd.grad(loss, mask, retain_graph=True)[0]


def panel(axes: Axes, image: Tensor | np.ndarray, title: str, **options: object) -> object:
    """Show one image without ticks."""
    shown = axes.imshow(np.asarray(image), interpolation="nearest", **options)  # type: ignore[arg-type]
    axes.set_title(title, loc="left", pad=5)
    axes.set_xticks([])
    axes.set_yticks([])
    return shown


def bar(figure: Figure, shown: object, axes: Axes, label: str, **options: object) -> None:
    """Add the colour bar of an image."""
    colours = figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03, **options)  # type: ignore[arg-type]
    colours.set_label(label, fontsize=8)
    colours.outline.set_visible(False)  # type: ignore[operator]
    colours.ax.tick_params(length=2, labelsize=8)


def outline(axes: Axes, mask: Tensor, colour: str = INK) -> None:
    """Draw the outline of a mask as a thin line."""
    axes.contour(mask.numpy(), [0.5], colors=colour, linewidths=0.7)


def over(base: Tensor, top: Tensor, colour: str) -> np.ndarray:
    """Return an RGB image of a mask in light grey with another one in colour over it."""
    image = np.ones((*base.shape, 3))
    image[base.numpy() > 0] = to_rgb(LIGHT)
    image[top.numpy() > 0] = to_rgb(colour)
    return image


def overview(mask: Tensor) -> Figure:
    """Draw a mask, both its distance maps and its skeleton."""
    figure = Figure(figsize=(11, 2.75), layout="constrained")
    axes = figure.subplots(1, 4)
    panel(axes[0], over(mask, mask, INK), "mask")
    for plot, image, title, colours in (
        (axes[1], tk.s2d(mask), "s2d(mask)", IN),
        (axes[2], tk.s2d(1 - mask), "s2d(1 - mask)", OUT),
    ):
        shown = panel(plot, image, title, cmap=colours)
        bar(figure, shown, plot, "pixels")
        outline(plot, mask)
    panel(axes[3], over(mask, tk.skeleton(mask), INK), "skeleton(mask)")
    return figure


def s2d_gradients(mask: Tensor) -> Figure:
    """Draw the gradient of the sum of the inward map in both modes, and its largest entry against the depth."""
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.1])
    box = (slice(45, 135), slice(60, 150))  # trunk and shoulders
    leaf = mask.clone().requires_grad_()
    for plot, mode, colours in zip(axes, ("subgradient", "literal"), (IN, OUT), strict=False):
        # float64, in which the literal gradient does not overflow.
        field = gradient(tk.s2d(leaf, backward=mode).sum(), leaf)  # type: ignore[arg-type]
        panel(plot, over(mask, 0 * mask, LIGHT)[box], f'gradient of s2d(mask).sum(), "{mode}"')
        shown = plot.imshow(np.ma.masked_less_equal(field[box], 0), cmap=colours, norm=LogNorm(0.3, field.max().item()))
        bar(figure, shown, plot, "logarithmic")

    depths = range(2, 64)
    plot = axes[2]
    for mode, colour in (("subgradient", BLUE), ("literal", RED)):
        plot.semilogy(depths, [largest_gradient(depth, mode) for depth in depths], color=colour, lw=2)
    limit = torch.finfo(torch.float32).max
    plot.axhline(limit, color=INK, lw=0.8, ls=(0, (4, 3)))
    plot.text(3, limit * 30, "largest float32", fontsize=8, va="bottom")
    plot.text(30, 1e20, "literal", color=RED, ha="right", weight="bold")
    plot.text(40, 1e5, "subgradient", color=BLUE, weight="bold")
    plot.set_title("its largest entry, on discs of growing depth", loc="left", pad=5)
    plot.set_xlabel("depth of the disc, pixels")
    plot.set_xlim(2, 63)
    plot.set_ylim(1e-1, 1e46)
    plot.spines[["top", "right"]].set_visible(False)
    plot.grid(axis="y", color=LIGHT, lw=0.8)
    return figure


def largest_gradient(depth: int, mode: str) -> float:
    """Return the largest gradient of the sum of the distance map of a disc, computed in float64."""
    # One pixel of background on each side.
    offset = torch.arange(-depth - 1, depth + 2, dtype=torch.float64)
    disc = (offset[:, None] ** 2 + offset**2 < depth**2).double().requires_grad_()
    return gradient(tk.s2d(disc, backward=mode).sum(), disc).abs().max().item()  # type: ignore[arg-type]


def d2t_gradients() -> Figure:
    """Draw a tapering bar enlarged: distances, ridge, and the gradient of d2t to the distances."""
    figure = Figure(figsize=(11, 2.0), layout="constrained")
    axes = figure.subplots(1, 4)
    mask = torch.zeros(9, 15, dtype=torch.float64)
    # Odd widths, whose ridges are one pixel wide.
    mask[1:8, 1:8] = 1
    mask[2:7, 8:11] = 1
    mask[3:6, 11:14] = 1
    distance = tk.s2d(mask).requires_grad_()
    ridge = tk.d2t(distance, mask).detach()
    panel(axes[0], distance.detach(), "distance D", cmap=IN, vmin=0, vmax=7)
    numbers(axes[0], distance.detach())
    panel(axes[1], over(mask, ridge, INK), "T = d2t(D, mask)")
    for plot, mode in zip(axes[2:], ("subgradient", "literal"), strict=True):
        field = gradient(tk.d2t(distance, mask, backward=mode).sum(), distance)  # type: ignore[arg-type]
        panel(plot, over(mask, 0 * mask, INK), f'gradient to D, "{mode}"')
        plot.imshow(np.ma.masked_inside(field, -1e-9, 1e-9), cmap=SIGNED, vmin=-5, vmax=5)
        numbers(plot, field)
    return figure


def numbers(axes: Axes, image: Tensor) -> None:
    """Write the values other than 0 into their pixels."""
    for (y, x), value in np.ndenumerate(image.numpy()):
        if abs(value) > 1e-9:
            axes.text(x, y, f"{value:.1f}".removesuffix(".0"), ha="center", va="center", fontsize=5.5)


def outline_gradient(figure: Figure, axes: Axes, field: Tensor, mask: Tensor, title: str) -> None:
    """Draw the gradient that a renderer gets: within 2 pixels of the outline, summed over 5 x 5 windows."""
    # One of the two maps is 0 everywhere, so the sum is the distance to the outline.
    near = (tk.s2d(mask) + tk.s2d(1 - mask)) <= 2
    summed = 25 * F.avg_pool2d((field * near)[None, None], 5, stride=1, padding=2)[0, 0]
    # A few large values would make all others pale.
    top = np.percentile(summed.abs()[near], 88)
    panel(axes, over(mask, 0 * mask, INK), title)
    shown = axes.imshow(np.ma.masked_array(summed, ~near), cmap=SIGNED, vmin=-top, vmax=top)
    bar(figure, shown, axes, "grow              retreat", extend="both", ticks=[0])


def chamfer(pred: Tensor, target: Tensor) -> Figure:
    """Draw both terms of the chamfer distance, and its gradient."""
    figure = Figure(figsize=(11, 2.75), layout="constrained")
    axes = figure.subplots(1, 4)
    both = np.ones((*pred.shape, 3))
    for member, colour in ((pred > target, RED), (target > pred, BLUE), ((pred > 0) & (target > 0), GREY)):
        both[member.numpy()] = to_rgb(colour)
    panel(axes[0], both, "pred and target")
    keys = [
        Patch(color=RED, label="pred only"),
        Patch(color=BLUE, label="target only"),
        Patch(color=GREY, label="both"),
    ]
    axes[0].legend(handles=keys, loc="upper left", fontsize=7, frameon=False, handlelength=1, borderaxespad=0.2)

    terms = (("pull: s2d(1 - pred) * target", pred, target, IN), ("push: s2d(1 - target) * pred", target, pred, OUT))
    for plot, (title, near, summed, colours) in zip(axes[1:3], terms, strict=True):
        panel(plot, over(near, 0 * near, INK), title)
        image = tk.s2d(1 - near) * summed
        shown = plot.imshow(np.ma.masked_equal(image.numpy(), 0), cmap=colours, vmin=0)
        bar(figure, shown, plot, "pixels")

    leaf = pred.clone().requires_grad_()
    field = gradient(tk.chamfer(leaf, target, pull_weight=3, reduction="sum"), leaf)
    outline_gradient(figure, axes[3], field, pred, "gradient at the outline, pull_weight=3")
    return figure


def topology_loss(pred: Tensor, target: Tensor) -> Figure:
    """Draw the two skeletons of topology_loss, and its gradient to the mask in both backward modes."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    image = over(pred, tk.skeleton(pred), RED)
    image[tk.skeleton(target).numpy() > 0] = to_rgb(BLUE)
    panel(axes[0], image, "skeletons of pred (red) and target (blue)")
    leaf = pred.clone().requires_grad_()
    fields = {}
    for mode in ("subgradient", "literal"):
        loss = tk.topology_loss(leaf, target, reduction="sum", backward=mode)  # type: ignore[arg-type]
        fields[mode] = gradient(loss, leaf)
    outline_gradient(figure, axes[1], fields["subgradient"], pred, 'gradient at the outline, "subgradient"')
    panel(axes[2], over(pred, 0 * pred, INK), 'size of the gradient, "literal"')
    size = np.ma.masked_less(fields["literal"].abs().numpy(), 1)
    shown = axes[2].imshow(size, cmap=OUT, norm=LogNorm(1, size.max()), alpha=0.9)
    bar(figure, shown, axes[2], "logarithmic")
    return figure


def main() -> None:
    """Draw every picture as docs/operators/NAME.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/operators"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pred, target = person((-35, 15), 8, 0.0), person((-55, 50), 14, 0.07)
    with matplotlib.rc_context(STYLE):
        pictures = {
            "overview": overview(pred),
            "s2d_gradients": s2d_gradients(pred),
            "d2t_gradients": d2t_gradients(),
            "chamfer": chamfer(pred, target),
            "topology_loss": topology_loss(pred, target),
        }
        for name, figure in pictures.items():
            drawn = BytesIO()
            figure.savefig(drawn, dpi=150, bbox_inches="tight", pad_inches=0.06)
            # A palette, which these pictures lose nothing by, makes the files smaller.
            Image.open(drawn).convert("RGB").quantize(256).save(args.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
