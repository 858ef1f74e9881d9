"""HTML pages of the reports, each one self-contained file.

Pictures, styles and scripts are part of the page, which loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from adaptation.support.files import whole_file
from adaptation.support.pictures import AFTER, BACKDROP, BEFORE, Color, Image


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page as one HTML file. A write that fails leaves no partial file.

    Args:
        path: the file; its folder must exist.
        template: name of a file in ``templates``.
        values: variables of the template; all are escaped.

    Raises:
        UserError: the file cannot be written.
    """
    environment = Environment(
        # Escaped, since names of files may contain markup; strict, since a misspelt variable would print nothing.
        loader=PackageLoader("adaptation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(png=_png, jpeg=_jpeg)
    environment.globals.update(before=_css(BEFORE), after=_css(AFTER), backdrop=_css(BACKDROP), curve=curve, top=top)
    # Rendered completely before the file is opened, so that an error in a template writes nothing.
    html = environment.get_template(template).render(**values)
    with whole_file(path) as file:
        file.write(html.encode(errors="backslashreplace"))  # file names need not be UTF-8


@dataclass(frozen=True)
class Curve:
    """A line for SVG, in the units of its box.

    Attributes:
        paths: points of each run of consecutive frames, as "x,y x,y ...".
        dots: (x, y) of each frame, or empty with more than 60 frames.
    """

    paths: list[str]
    dots: list[tuple[float, float]]


def curve(frames: np.ndarray, values: np.ndarray, low: float, high: float, width: float, height: float) -> Curve:
    """Return the line of values over frames, in a box with y pointing down.

    Args:
        frames: (N,) ascending frame numbers or steps.
        values: (N,) values; those outside ``low`` to ``high`` are clipped.
        low: value at the lower edge of the box.
        high: value at the upper edge of the box.
        width: width of the box.
        height: height of the box.
    """
    # One frame has no span and is drawn in the middle.
    span = max(int(frames[-1] - frames[0]), 1)
    x = (frames - frames[0]) / span * width if len(frames) > 1 else np.full(1, width / 2)
    # SVG's y points down.
    y = height * (1 - np.clip((values - low) / max(high - low, 1e-9), 0, 1))
    # A tenth of a unit is finer than a pixel, and more digits would only enlarge the file.
    points = [(round(float(a), 1), round(float(b), 1)) for a, b in zip(x, y, strict=True)]
    # Break the line at a gap of the track; a line across it would suggest values that were never measured.
    step = np.diff(frames)
    usual = float(np.median(step)) if len(step) else 1.0
    runs = np.split(np.arange(len(frames)), np.flatnonzero(step > 3 * usual) + 1)
    paths = [" ".join(f"{points[i][0]},{points[i][1]}" for i in run.tolist()) for run in runs if len(run) > 1]
    return Curve(paths, points if len(points) <= 60 else [])


def top(*series: np.ndarray) -> float:
    """Return a round number not below any value, for the upper end of an axis."""
    highest = max(float(values.max()) for values in series)
    unit = 10.0 ** np.floor(np.log10(max(highest, 1e-3)))  # an all-zero series has no logarithm
    # The tolerance keeps a value such as 0.6 from being rounded up for its last bit.
    return float(unit * next(step for step in (1, 2, 4, 6, 8, 10) if step * unit >= highest * (1 - 1e-9)))


def _css(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _png(image: Image) -> str:
    # PNG is for masks and maps, whose flat areas compress well without the ringing of JPEG.
    return _embed(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _jpeg(image: Image) -> str:
    # Full chroma resolution keeps the edges of coloured bodies sharp.
    chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _embed(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 88, *chroma])


def _embed(image: Image, suffix: str, options: list[int]) -> str:
    """Return an image as a data URI."""
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    kind = "png" if suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
