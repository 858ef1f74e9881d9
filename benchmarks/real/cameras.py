"""Calibrated cameras: projection, rays, and the calibration of the recording in the package pose2sim."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.support.reading.array_files import read_arrays

Floats = npt.NDArray[np.float64]
_KEYS = ("K", "distortion", "R", "t", "size", "names")


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera in OpenCV's convention: x = K (R X + t), with lens distortion.

    Attributes:
        name: name, such as "cam01".
        matrix: (3, 3) intrinsic matrix, pixels.
        distortion: (4,) k1, k2, p1, p2.
        rotation: (3, 3) from the world to the camera: x right, y down, z forward.
        translation: (3,) metres.
        size: width and height of the image, pixels.
    """

    name: str
    matrix: Floats
    distortion: Floats
    rotation: Floats
    translation: Floats
    size: tuple[int, int]

    @property
    def focal(self) -> float:
        """Mean focal length, pixels."""
        return float(self.matrix[0, 0] + self.matrix[1, 1]) / 2

    def project(self, points: Floats) -> Floats:
        """Project points (..., 3) of the world into the image, (..., 2) pixels."""
        rotation = cv2.Rodrigues(self.rotation)[0]
        flat = np.ascontiguousarray(points.reshape(-1, 1, 3), np.float64)
        pixels = cv2.projectPoints(flat, rotation, self.translation, self.matrix, self.distortion)[0]
        return np.asarray(pixels.reshape(*points.shape[:-1], 2), np.float64)

    def undistorted(self, pixels: Floats) -> Floats:
        """Return pixels (..., 2) as points of the plane at distance 1 in front of the camera."""
        flat = np.ascontiguousarray(pixels.reshape(-1, 1, 2), np.float64)
        plane = cv2.undistortPoints(flat, self.matrix, self.distortion)
        return np.asarray(plane.reshape(pixels.shape), np.float64)

    def seen(self, points: Floats) -> Floats:
        """Return points (..., 3) of the world in the camera's axes."""
        return points @ self.rotation.T + self.translation

    def scaled(self, factor: float) -> Camera:
        """Return the camera for images that are scaled by a factor."""
        width, height = (round(side * factor) for side in self.size)
        return replace(self, matrix=np.diag([factor, factor, 1.0]) @ self.matrix, size=(width, height))

    def moved(self, change: Floats) -> Camera:
        """Turn the camera by a rotation vector in its axes, and move its centre in the world: (6,) radians, metres."""
        rotation = np.asarray(cv2.Rodrigues(change[:3])[0] @ self.rotation, np.float64)
        centre = -self.rotation.T @ self.translation + change[3:]
        return replace(self, rotation=rotation, translation=-rotation @ centre)


def read_qualisys(content: bytes) -> list[Camera]:
    """Read a calibration in Qualisys' XML format (.qca.txt), as pose2sim brings it.

    Lengths are 1/64 pixel and millimetres. The rows of the stored matrix are the camera's axes with y up and z
    backwards.

    Raises:
        UserError: the file is not in this format.
    """
    try:
        return [_qualisys_camera(element) for element in ET.fromstring(content).iter("camera")]
    except (ET.ParseError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"the calibration is not in Qualisys' format ({error}); expected Calib.qca.txt") from None


def _qualisys_camera(element: ET.Element) -> Camera:
    parts = {
        name: found.attrib
        for name in ("transform", "intrinsic", "fov_video")
        if (found := element.find(name)) is not None
    }
    pose, lens, field = parts["transform"], parts["intrinsic"], parts["fov_video"]
    stored = np.array([[float(pose[f"r{row}{column}"]) for column in "123"] for row in "123"])
    centre = np.array([float(pose[axis]) for axis in "xyz"]) / 1000
    rotation = np.diag([1.0, -1.0, -1.0]) @ stored
    focal = [float(lens[f"focalLength{axis}"]) / 64 for axis in "UV"]
    middle = [float(lens[f"centerPoint{axis}"]) / 64 for axis in "UV"]
    kinds = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
    return Camera(
        name=element.attrib["serial"],
        matrix=np.array([[focal[0], 0, middle[0]], [0, focal[1], middle[1]], [0, 0, 1]]),
        distortion=np.array([float(lens[kind]) for kind in kinds]),
        rotation=rotation,
        translation=-rotation @ centre,
        size=(int(field["right"]) + 1, int(field["bottom"]) + 1),
    )


def letterboxed(camera: Camera, size: tuple[int, int]) -> Camera:
    """Return a camera for a video (width, height) into which its images were fitted, with equal borders."""
    scale = min(size[0] / camera.size[0], size[1] / camera.size[1])
    change = np.diag([scale, scale, 1.0])
    change[:2, 2] = (np.array(size) - scale * np.array(camera.size)) / 2
    return replace(camera, matrix=change @ camera.matrix, size=size)


def save_cameras(cameras: list[Camera], path: Path) -> None:
    """Write cameras to an npz file: K, distortion, R, t, size, names."""
    with whole_file(path) as file:
        np.savez(
            file,
            K=np.stack([each.matrix for each in cameras]),
            distortion=np.stack([each.distortion for each in cameras]),
            R=np.stack([each.rotation for each in cameras]),
            t=np.stack([each.translation for each in cameras]),
            size=np.array([each.size for each in cameras]),
            names=np.array([each.name for each in cameras]),
        )


def load_cameras(path: Path) -> list[Camera]:
    """Read a file that `save_cameras` wrote.

    Raises:
        UserError: it is missing, damaged, or lacks an array.
    """
    arrays = read_arrays(path, _KEYS)
    if missing := [key for key in _KEYS if key not in arrays]:
        raise UserError(f"{path} holds no cameras: it lacks {', '.join(missing)}; make it with the command prepare")
    return [
        Camera(str(name), matrix, lens, rotation, translation, (int(size[0]), int(size[1])))
        for matrix, lens, rotation, translation, size, name in zip(*(arrays[key] for key in _KEYS), strict=True)
    ]
