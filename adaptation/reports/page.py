"""Pages of the reports: self-contained HTML files.

All pictures are embedded, styles are inline, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from adaptation.support.drawing import AFTER, BACKDROP, BEFORE, Color, Image
from adaptation.support.files import whole_file


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page as one HTML file, which is complete or not there at all.

    Args:
        path: path of the file; its folder must exist.
        template: name of a file in ``templates``.
        values: variables of the template; all are escaped.
    """
    environment = Environment(
        loader=PackageLoader("adaptation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(png=_png, jpeg=_jpeg)
    environment.globals.update(before=_css(BEFORE), after=_css(AFTER), backdrop=_css(BACKDROP), curve=curve, top=top)
    html = environment.get_template(template).render(**values)
    with whole_file(path) as file:
        # File names that are not UTF-8 hold surrogates, which cannot be encoded.
        file.write(html.encode(errors="backslashreplace"))


@dataclass(frozen=True)
class Curve:
    """A polyline for SVG.

    Attributes:
        paths: points of each run of consecutive frames, as SVG writes them.
        dots: a point per frame; empty if there are many.
    """

    paths: list[str]
    dots: list[tuple[float, float]]


def curve(frames: np.ndarray, values: np.ndarray, low: float, high: float, width: float, height: float) -> Curve:
    """Return the curve of values over frames in a box of width x height, y down; values run from low to high."""
    span = max(int(frames[-1] - frames[0]), 1)
    x = (frames - frames[0]) / span * width if len(frames) > 1 else np.full(1, width / 2)
    y = height * (1 - np.clip((values - low) / max(high - low, 1e-9), 0, 1))
    points = [(round(float(a), 1), round(float(b), 1)) for a, b in zip(x, y, strict=True)]
    # A gap in the track is not bridged by a line.
    step = np.diff(frames)
    usual = float(np.median(step)) if len(step) else 1.0  # one frame in `every` is regular, not a gap
    runs = np.split(np.arange(len(frames)), np.flatnonzero(step > 3 * usual) + 1)
    paths = [" ".join(f"{points[i][0]},{points[i][1]}" for i in run.tolist()) for run in runs if len(run) > 1]
    return Curve(paths, points if len(points) <= 60 else [])


def top(*series: np.ndarray) -> float:
    """Return a round number that is no less than any of the values."""
    highest = max(float(values.max()) for values in series)
    unit = 10.0 ** np.floor(np.log10(max(highest, 1e-3)))
    return float(unit * next(step for step in (1, 2, 4, 6, 8, 10) if step * unit >= highest * (1 - 1e-9)))


def _css(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _png(image: Image) -> str:
    return _embed(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _jpeg(image: Image) -> str:
    chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _embed(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 88, *chroma])


def _embed(image: Image, suffix: str, options: list[int]) -> str:
    """An image as a data URI."""
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    kind = "png" if suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
