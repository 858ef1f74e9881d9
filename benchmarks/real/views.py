"""Judge bodies of one camera against a triangulated skeleton, and against the masks of the other cameras.

Results are weak-perspective: a body lies along the ray through its place in the image, at the distance at which its
size in metres gives its size in pixels. There it is placed, and drawn into every camera in perspective.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from cv2 import Rodrigues

import topokernels
from adaptation.bodies.body import Body
from adaptation.evaluation.metrics import similarity_align
from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError
from adaptation.support.image_files import Mask, list_images, read_grey
from adaptation.support.reading.array_files import read_arrays
from real.cameras import Camera, load_cameras
from real.skeleton import HIPS, OF_SMPL, facing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ViewScores:
    """Figures of one body, or their means.

    Attributes:
        pa: PA-MPJPE of the 12 limb joints, mm.
        mpjpe: the same with hips aligned in the camera's axes, mm.
        error2d: mean distance of the joints in the image, % of the height of the mask.
        pck: joints within 10 % of that height, %.
        own: IoU with the mask in the body's own camera, %.
        other: mean IoU in the other cameras, the body placed by its own size in metres, %.
        shape: the same after hips and size are corrected: pose and shape alone, %.
        front: 100 if the body faces the right half space, otherwise 0.
    """

    pa: float
    mpjpe: float
    error2d: float
    pck: float
    own: float
    other: float
    shape: float
    front: float

    @classmethod
    def mean(cls, scores: Sequence[ViewScores]) -> ViewScores:
        """Return the means of all figures."""
        return cls(*(float(np.mean([getattr(each, f.name) for each in scores])) for f in fields(cls)))


HEADER = "".join(f"{name:>9s}" for name in ("PA", "MPJPE", "2D", "PCK@10", "own", "other", "shape", "front"))
"""Titles of the columns of `line`."""


def line(scores: ViewScores) -> str:
    """Return the figures as columns."""
    return "".join(f"{getattr(scores, field.name):9.1f}" for field in fields(scores))


class Reference:
    """Cameras, skeleton and masks that the command prepare wrote, or others in the same layout."""

    def __init__(self, folder: Path) -> None:
        """Read cameras and skeleton.

        Raises:
            UserError: a file is missing or damaged.
        """
        self.folder = folder
        self.cameras = load_cameras(folder / "cameras.npz")
        arrays = read_arrays(folder / "joints3d.npz", ("joints3d", "frame_valid"))
        self.joints: Floats = arrays["joints3d"].astype(np.float64)
        self.valid: npt.NDArray[np.bool_] = arrays["frame_valid"]
        self._files = {each.name: list_images(folder / each.name / "masks") for each in self.cameras}

    def frame(self, camera: Camera, number: int) -> int:
        """Return the frame of the video that is image ``number`` of a camera's folder.

        Raises:
            UserError: there is no such image.
        """
        files = self._files[camera.name]
        if not 0 <= number < len(files):
            raise UserError(f"{self.folder}: {camera.name} has {len(files)} masks, the results have frame {number}")
        return int(files[number].stem)

    def mask(self, camera: Camera, frame: int) -> Mask:
        """Return the mask (H, W) of a frame of the video."""
        return np.asarray(read_grey(self.folder / camera.name / "masks" / f"{frame:03d}.png") > 127)


def judge_camera(results: Sequence[PersonResult], reference: Reference, name: str, body: Body) -> list[ViewScores]:
    """Return the figures of all bodies of a camera in frames whose skeleton is valid.

    Args:
        results: people of the camera's images, whose frames count the images.
        reference: what they are compared with.
        name: the camera's name.
        body: body model of the results.
    """
    camera = next(each for each in reference.cameras if each.name == name)
    scores = []
    for person in results:
        for index, number in enumerate(person.frame.tolist()):
            frame = reference.frame(camera, number)
            if reference.valid[frame]:
                scores.append(_judge(person, index, reference, camera, frame, body))
    return scores


def judge_cameras(folder: Path, reference: Reference, body: Body) -> Iterator[tuple[str, list[ViewScores]]]:
    """Yield each camera's name and figures, for results in subfolders that are named as cameras.

    Raises:
        UserError: no subfolder is named as a camera of the reference.
    """
    names = [each.name for each in reference.cameras if (folder / each.name).is_dir()]
    if not names:
        known = ", ".join(each.name for each in reference.cameras)
        raise UserError(f"{folder}: found no results in subfolders named {known}")
    for name in names:
        people = [PersonResult.load(file) for file in sorted((folder / name).rglob("person_*.npz"))]
        yield name, judge_camera(people, reference, name, body)


def _judge(
    person: PersonResult, index: int, reference: Reference, camera: Camera, frame: int, body: Body
) -> ViewScores:
    world = reference.joints[frame]
    truth = camera.seen(world)
    joints = person.joints3d[index, OF_SMPL].astype(np.float64)
    mask = reference.mask(camera, frame)
    rows = np.flatnonzero(mask.any(1))
    away = np.linalg.norm(person.joints2d[index, OF_SMPL] - camera.project(world), axis=1) / (rows[-1] + 1 - rows[0])
    aligned = similarity_align(torch.from_numpy(joints)[None], torch.from_numpy(truth)[None])[0].numpy()
    placed = _Placed.of(person, index, camera)
    pose, betas = (torch.from_numpy(part[index : index + 1]).float() for part in (person.pose, person.betas))
    with torch.no_grad():
        vertices = body(pose, betas).vertices[0].double().numpy()

    def drawn(view: Camera, hips: Floats, scale: float) -> float:
        points = camera_to_world(camera, (vertices - placed.anchor) @ placed.turn.T * scale + hips)
        return _iou(silhouette(view, points, body), reference.mask(view, frame))

    others = [each for each in reference.cameras if each.name != camera.name]
    turned = joints @ turn_to(crop_ray(person, index, camera)).T
    hips = truth[HIPS].mean(0)
    right_size = float(np.linalg.norm(hips) / np.linalg.norm(placed.hips))
    return ViewScores(
        pa=1000 * float(np.linalg.norm(aligned - truth, axis=1).mean()),
        mpjpe=1000 * float(np.linalg.norm(joints - placed.anchor - truth + hips, axis=1).mean()),
        error2d=100 * float(away.mean()),
        pck=100 * float((away < 0.1).mean()),
        own=100 * drawn(camera, placed.hips, 1),
        other=100 * float(np.mean([drawn(each, placed.hips, 1) for each in others])),
        shape=100 * float(np.mean([drawn(each, hips, right_size) for each in others])),
        front=100 * float(facing(turned, by_hips=True) @ facing(truth, by_hips=True) > 0),
    )


@dataclass(frozen=True, eq=False)
class _Placed:
    """Where a body is in the camera's axes: middle of the hips in its own axes and in the camera's, and its turn."""

    anchor: Floats
    hips: Floats
    turn: Floats

    @classmethod
    def of(cls, person: PersonResult, index: int, camera: Camera) -> _Placed:
        joints = person.joints3d[index, OF_SMPL].astype(np.float64)
        anchor = joints[HIPS].mean(0)
        left, top, side, _ = (float(value) for value in person.box[index])
        scale, *shift = (float(value) for value in person.camera[index])
        pixel = np.array([left, top]) + (scale * (anchor[:2] + shift) + 1) * side / 2
        ray = np.append(camera.undistorted(pixel), 1.0)
        # Off the axis by an angle a, images are larger by 1 / cos a across and by 1 / cos² a outwards: their mean.
        distance = camera.focal * np.linalg.norm(ray) ** 1.5 / (scale * side / 2)
        return cls(anchor, ray * distance / np.linalg.norm(ray), turn_to(ray))


def crop_ray(person: PersonResult, index: int, camera: Camera) -> Floats:
    """Return the ray (3,) through the middle of a body's crop, whose axes the body has."""
    left, top, side, _ = (float(value) for value in person.box[index])
    return np.append(camera.undistorted(np.array([left + side / 2, top + side / 2])), 1.0)


def turn_to(ray: Floats) -> Floats:
    """Return the smallest rotation (3, 3) that takes the optical axis to a ray (3,)."""
    ray = ray / np.linalg.norm(ray)
    axis = np.cross([0.0, 0.0, 1.0], ray)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3)
    return np.asarray(Rodrigues(axis / sine * np.arctan2(sine, ray[2]))[0], np.float64)


def camera_to_world(camera: Camera, points: Floats) -> Floats:
    """Return points (..., 3) in a camera's axes as points of the world."""
    return (points - camera.translation) @ camera.rotation


def silhouette(camera: Camera, vertices: Floats, body: Body) -> Mask:
    """Draw a body, (V, 3) in the world, into a camera: (H, W) bool."""
    width, height = camera.size
    # Vertices behind a camera would land anywhere.
    pixels = np.clip(camera.project(vertices), -1e5, 1e5)
    screen = np.concatenate([pixels, camera.seen(vertices)[:, 2:]], axis=1)
    index, *_ = topokernels.rasterize(torch.from_numpy(screen).float()[None], body.faces.int(), (height, width))
    return np.asarray((index[0] >= 0).numpy())


def _iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))
