"""Changes of light between a frame and the background: a gain and an offset per channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptation.support.image_files import Image

Floats = npt.NDArray[np.float32]


def fit_light(reference: Floats, frame: Image) -> tuple[Floats, Floats]:
    """Fit the gain and offset per channel that turn the light of a reference into that of a frame.

    Least squares on a grid of about 5,000 pixels, repeated without the outliers (people, and values
    clipped to black or white).

    Args:
        reference: (H, W, 3) float32 RGB, 0 to 255.
        frame: (H, W, 3) uint8 RGB.

    Returns:
        Gain and offset, each (3,), with frame = gain * reference + offset on the background; 1 and
        0 for a channel without enough contrast to fit.
    """
    # A grid suffices for two unknowns per channel, and its cost does not grow with the frame.
    step = max(1, int((frame.shape[0] * frame.shape[1] / 5000) ** 0.5))
    x = reference[step // 2 :: step, step // 2 :: step].reshape(-1, 3).astype(np.float64)
    y = frame[step // 2 :: step, step // 2 :: step].reshape(-1, 3).astype(np.float64)
    gain, offset = np.ones(3, np.float32), np.zeros(3, np.float32)
    for channel in range(3):
        xs, ys = x[:, channel], y[:, channel]
        # Clipped values do not follow the line.
        usable = (xs > 2) & (xs < 253) & (ys > 2) & (ys < 253)
        xs, ys = xs[usable], ys[usable]
        # A flat channel determines no slope.
        if len(xs) < 20 or xs.std() < 1:
            continue
        # The ratio of the medians is a start that outliers cannot pull far.
        a, b = float(np.median(ys) / np.median(xs)), 0.0
        for _ in range(5):
            residual = np.abs(ys - a * xs - b)
            # Residuals of up to 2.5 grey levels are always inliers, or a perfect fit would reject quantisation.
            near = residual <= 2.5 * max(1.4826 * float(np.median(residual)), 1.0)
            u, v = xs[near], ys[near]
            variance = u.var()
            # The inliers may be flat although all pixels were not; the last good fit is kept.
            if variance < 1:
                break
            a = float(np.mean((u - u.mean()) * (v - v.mean())) / variance)
            b = float(v.mean() - a * u.mean())
        if 0.2 < a < 5:  # beyond, the fit has followed something else than light
            gain[channel], offset[channel] = a, b
    return gain, offset


def level_light(reference: Floats, frame: Image) -> Image:
    """Return a frame (H, W, 3) uint8 as it would appear in the light of a reference, see `fit_light`."""
    gain, offset = fit_light(reference, frame)
    # The half rounds, since the conversion to uint8 cuts off.
    return np.asarray(np.clip((frame - offset) / gain + 0.5, 0, 255), np.uint8)
