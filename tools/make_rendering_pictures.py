"""Make the pictures of docs/rendering.md: python tools/make_rendering_pictures.py. Needs matplotlib.

The picture of the difference from PyTorch3D is only made if PyTorch3D is installed.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from picture_style import BLUE, INK, PAPER, RED, STYLE
from PIL import Image
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, fit_camera_to_bbox, project
from adaptation.bodies.poses import facing, walking
from adaptation.bodies.renderer import exact_silhouette, make_renderer
from adaptation.losses.settings import LossSettings
from adaptation.losses.silhouettes import SilhouetteTarget, silhouette_loss
from adaptation.support.errors import UserError
from topokernels.reference import straight_through

matplotlib.use("Agg")

COVERED = LinearSegmentedColormap.from_list("covered", [PAPER, "#bcd7f0", BLUE, "#0b2545"])
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "#9dc3e6", PAPER, "#f4ac86", RED])
ERROR = LinearSegmentedColormap.from_list("error", [PAPER, "#fcd9c2", RED, "#5c1a03"])

BODY = Body.free()
SHOWN = (22, 90)  # columns of 112 that hold the body
ARM = (56, 42, 24)  # a forearm and hand at 112 pixels: left, top, side


@torch.no_grad()
def walker(phase: float = 0.05) -> Tensor:
    """Return vertices (1, V, 3), metres, of a walking body at a phase in [0, 1)."""
    pose = walking(phase)[None]
    pose[:, 0] = facing(1.0, pitch=0.1)
    return BODY(pose, torch.zeros(1, 10)).vertices


# The box is in shares of the image (size 1), so one camera serves every resolution.
CAMERA = fit_camera_to_bbox(walker(), torch.tensor([[0.25, 0.04, 0.75, 0.96]]), 1)


def panel(axes: Axes, image: Tensor | np.ndarray, title: str, **options: object) -> object:
    """Show one image without ticks, in pixels with centres at +0.5."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    # Matplotlib places centres at whole numbers; the extent moves them to +0.5, where vertices are drawn.
    shown = axes.imshow(pixels, interpolation="nearest", extent=(0, width, height, 0), **options)  # type: ignore[arg-type]
    axes.set_title(title, loc="left", pad=5)
    axes.set_xlim(SHOWN[0] / 112 * width, SHOWN[1] / 112 * width)
    axes.set_xticks([])
    axes.set_yticks([])
    return shown


def bar(figure: Figure, shown: object, axes: object, label: str, **options: object) -> None:
    """Add the colour bar of an image."""
    colours = figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03, **options)  # type: ignore[arg-type]
    colours.set_label(label, fontsize=8)
    colours.outline.set_visible(False)  # type: ignore[operator]
    colours.ax.tick_params(length=2, labelsize=8)


def edges(axes: Axes, points: Tensor, colour: str = INK, width: float = 0.35) -> None:
    """Draw the triangles of a body with vertices (1, V, 2) in pixels."""
    axes.triplot(*points[0].T.numpy(), BODY.faces.numpy(), color=colour, linewidth=width)


def zoom(axes: Axes, box: tuple[int, int, int]) -> None:
    """Show only a square of the image: left, top and side in pixels."""
    left, top, side = box
    axes.set_xlim(left, left + side)
    axes.set_ylim(top + side, top)


def coverage() -> Figure:
    """Draw the effect of sigma on a whole body and on an arm."""
    size, vertices = 112, walker()
    points = project(vertices, CAMERA, size)
    exact = exact_silhouette(vertices, BODY.faces, CAMERA, size)[0, 0]
    images = [("exact silhouette", exact)]
    # The default of fits, PyTorch3D's default at 224 pixels, and one that is too soft.
    for sigma in (0.1, 1.25, 10.0):
        drawn = make_renderer(sigma=sigma).coverage(vertices, BODY.faces, CAMERA, size)[0, 0]
        images.append((f"coverage, sigma = {sigma:g} px²", drawn))
    figure = Figure(figsize=(9, 5.65), layout="constrained")
    axes = figure.subplots(2, 4, height_ratios=[1.65, 1])
    for column, (title, image) in enumerate(images):
        shown = panel(axes[0, column], image, title, cmap=COVERED, vmin=0, vmax=1)
        axes[0, column].add_patch(Rectangle(ARM[:2], ARM[2], ARM[2], fill=False, color=RED, linewidth=0.9))
        panel(axes[1, column], image, "", cmap=COVERED, vmin=0, vmax=1)
        zoom(axes[1, column], ARM)
        if column == 0:
            edges(axes[1, 0], points, "#9aa5b4")
        else:
            axes[1, column].contour(
                np.arange(size) + 0.5, np.arange(size) + 0.5, image, [0.5], colors=RED, linewidths=1.2
            )
        for side in axes[1, column].spines.values():
            side.set_color(RED)
    bar(figure, shown, axes, "coverage A; red line: A = 0.5")
    return figure


def gradient_field() -> Figure:
    """Draw where a target pulls the vertices, with a pixel loss and with distance maps."""
    size, target_vertices, vertices = 112, walker(phase=0.2), walker()
    target = SilhouetteTarget.of(exact_silhouette(target_vertices, BODY.faces, CAMERA, size), iterations=64)
    points = project(vertices, CAMERA, size)
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axes = figure.subplots(1, 3)
    base = np.ones((size, size, 3))
    mine = exact_silhouette(vertices, BODY.faces, CAMERA, size)[0, 0].numpy() > 0
    goal = target.mask[0, 0].numpy() > 0
    base[goal] = to_rgb("#bcd7f0")
    base[mine] = to_rgb("#f6d3bf")
    base[mine & goal] = to_rgb("#aab4c2")
    panel(axes[0], base, "body and target")
    axes[0].legend(
        handles=[Patch(color=c, label=n) for c, n in (("#f6d3bf", "body"), ("#bcd7f0", "target"), ("#aab4c2", "both"))],
        loc="upper left",
        frameon=False,
        fontsize=8,
    )
    for plot, name, title in (
        (axes[1], "b1", "pixel loss, -dL/dvertex"),
        (axes[2], "b2", "L_S by distance maps, -dL/dvertex"),
    ):
        leaf = vertices.clone().requires_grad_()
        soft = make_renderer(sigma=0.1).coverage(leaf, BODY.faces, CAMERA, size)
        # The reference in plain torch: m2s does the same in one operator.
        mask = straight_through(exact_silhouette(vertices, BODY.faces, CAMERA, size), soft)
        loss = silhouette_loss(mask, target, LossSettings(name=name)).sum()  # type: ignore[arg-type]
        pull = -torch.autograd.grad(loss, leaf)[0][0, :, :2].numpy()
        panel(plot, base, title)
        length = np.linalg.norm(pull, axis=1)
        # Arrows too short to see would only be dots.
        seen = length > 0.02 * length.max()
        plot.quiver(
            *points[0, seen].T.numpy(),
            *pull[seen].T,
            color=RED,
            angles="xy",
            scale_units="xy",
            # Both panels have arrows of up to about 9 pixels: directions are compared, not sizes.
            scale=np.percentile(length[seen], 97) / 9,
            width=0.004,
            headwidth=3.6,
        )
    return figure


def binarised() -> Figure:
    """Draw how much wider A > 0.5 is than the body, and how well gradients predict the effect of a motion."""
    size, vertices = 112, walker()
    exact = exact_silhouette(vertices, BODY.faces, CAMERA, size)[0, 0].bool()
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.7])
    for plot, sigma in zip(axes, (0.1, 1.25, 5.0), strict=False):
        cut = make_renderer(sigma=sigma).coverage(vertices, BODY.faces, CAMERA, size)[0, 0] > 0.5
        image = np.ones((size, size, 3))
        image[exact] = to_rgb(BLUE)
        image[cut & ~exact] = to_rgb(RED)
        extra = int((cut & ~exact).sum()) / int(exact.sum())
        panel(plot, image, f"A > 0.5, sigma = {sigma:g} px²\n{extra:.0%} too large")
    sigmas, plot = np.geomspace(0.03, 10, 13), axes[3]
    for name, colour, central in (("identity", BLUE, False), ("central difference", RED, True)):
        for pixels, inside, dash in (("gained", False, "-"), ("lost", True, "--")):
            values = [gradient_over_change(sigma, central, inside) for sigma in sigmas]
            plot.plot(sigmas, values, color=colour, linestyle=dash, label=f"{name}, pixels {pixels}", linewidth=1.8)
    plot.axhline(1, color=INK, linewidth=0.6, linestyle=":")
    plot.set_xscale("log")
    plot.set_ylim(0, None)
    plot.set_xlabel("sigma, px²")
    plot.set_title("gradient / true change when\nthe body grows or shrinks", loc="left", pad=5)
    plot.legend(frameon=False, fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 0.04))
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)
    return figure


def gradient_over_change(sigma: float, central: bool, inside: bool) -> float:
    """Return the ratio of the gradient to the central difference of an area by the camera's scale.

    Args:
        sigma: softness of the outline, pixels squared.
        central: whether the silhouette's own gradient is used, a central difference at the outline.
        inside: whether the area inside the outline is measured, or that outside.
    """
    size, vertices = 112, walker()
    now = exact_silhouette(vertices, BODY.faces, CAMERA, size)
    # Constant: only pixels of one side count, as when the body grows or shrinks.
    counted = now if inside else 1 - now

    def camera(scale: Tensor) -> WeakPerspective:
        return WeakPerspective(torch.cat([scale, CAMERA.parameters[0, 1:]])[None])

    def area(scale: Tensor) -> Tensor:
        return (counted * exact_silhouette(vertices, BODY.faces, camera(scale), size)).sum()

    scale, step = CAMERA.scale[0], 0.02 * CAMERA.scale[0]
    # Central, since the exact area grows in steps of whole pixels.
    change = (area(scale + step) - area(scale - step)) / (2 * step)
    leaf = scale.clone().requires_grad_()
    soft = make_renderer(sigma=sigma).coverage(vertices, BODY.faces, camera(leaf), size)
    drawn = straight_through(now, soft) if central else soft
    return (torch.autograd.grad((counted * drawn).sum(), leaf)[0] / change).item()


def difference() -> Figure:
    """Draw one body with m2s and with PyTorch3D, and the difference of the two."""
    # PyTorch3D's sigma is in squared normalised coordinates, in which the image is 2 wide.
    size, sigma = 224, 1e-4 * 112**2
    vertices = walker()
    with torch.no_grad():
        ours, theirs = (
            make_renderer(name, sigma=sigma).coverage(vertices, BODY.faces, CAMERA, size)[0, 0]
            for name in ("topokernels", "pytorch3d")
        )
    figure = Figure(figsize=(9, 4.1), layout="constrained")
    axes = figure.subplots(1, 3)
    panel(axes[0], ours, f"topokernels, sigma = {sigma:.2f} px²", cmap=COVERED, vmin=0, vmax=1)
    shown = panel(axes[1], theirs, "PyTorch3D, 100 faces/px", cmap=COVERED, vmin=0, vmax=1)
    bar(figure, shown, axes[1], "coverage")
    # Zero has no place on a logarithmic scale.
    apart = (ours - theirs).abs().clamp(min=1e-8)
    shown = panel(axes[2], apart, "difference", cmap=ERROR, norm=LogNorm(1e-8, 1))
    bar(figure, shown, axes[2], f"largest {apart.max():.0e}, mean {apart.mean():.0e}")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of at most 255 colours, which is enough for these pictures."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    image = Image.open(buffer).convert("RGB").quantize(255, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1024:.0f} kB")


def main() -> None:
    """Draw all pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/rendering"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    pictures = {"coverage": coverage, "gradient": gradient_field, "binarised": binarised, "pytorch3d": difference}
    with matplotlib.rc_context(STYLE):
        for name, draw in pictures.items():
            try:
                save(draw(), out / f"{name}.png")
            except UserError as error:
                print(f"left out: {name}: {error}")


if __name__ == "__main__":
    main()
