"""From crops to a common space: where bodies under weak perspective stand in metres.

A crop's camera (s, tx, ty) says how large a metre appears and where the body is, but not how far away it is. The focal
length f of the frame, in pixels, gives the distance: a crop whose box has the side w shows a metre in s w / 2 pixels,
so the body's depth is z = 2 f / (s w), as in SPIN and 4D-Humans. Weak perspective sees a crop along the ray through its
centre. In the axes of the frame's camera, the body is therefore turned by the smallest rotation from the optical axis
to that ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Perspective
from adaptation.bodies.rotations import rotvec_to_matrix
from adaptation.bodies.views import ray_rotations
from adaptation.export.clip import Clip, Floats, World, WorldCamera
from adaptation.recording.fits.over_time import USUAL_RATE
from adaptation.recording.results import PersonResult
from adaptation.recording.tilt.estimate import Focal
from adaptation.recording.view import RecordingView
from adaptation.support.errors import UserError

_SMALLEST_SCALE = 0.02  # half sides of the crop per metre: a person of 2 pixels in a crop of 100
_MOST = 1e4  # of a camera's numbers: a shift of kilometres, from a file that another program changed
_TOLERANCE = 0.01  # metres between stored joints and those of the body model, above which it is another model
_CLOSE = 0.005  # metres, or share of the size, by which a common shape may differ without a note
_SAME = 0.01  # share by which two cameras may differ to count as one
_AGREEING = 0.7  # length of the mean of upright directions, above which their mean says where up is
_FLOOR_BODIES = 200  # bodies of a person whose feet say where the floor is


@dataclass(frozen=True, eq=False)
class _Person:
    """One person in camera axes: as `Clip`, and the frames that could be placed."""

    result: PersonResult
    kept: list[int]
    rotations: Tensor
    roots: Tensor
    betas: Tensor


@torch.no_grad()
def place(
    people: Mapping[int, PersonResult],
    body: Body,
    view: RecordingView,
    rate: float | None = None,
    focal: float | None = None,
) -> World:
    """Place the people of a recording in its world.

    Args:
        people: results by the number of the track.
        body: body model of the results, on the CPU.
        view: frame size, rate and camera of the recording.
        rate: frames per second; None for the recording's own.
        focal: focal length in frame pixels; None for the recording's own.

    Raises:
        UserError: the results belong to another body model, or no frame of them can be placed.
    """
    notes: list[str] = []
    rate, focal = _rate(view, rate, notes), _focal(view, focal, notes)
    centre = view.centre or (view.size[0] / 2, view.size[1] / 2)
    seen = {}
    for number, result in people.items():
        _check_body(result, body, number)
        person = _in_camera(result, body, focal, centre)
        if len(person.kept) < len(result):
            notes.append(
                f"person {number}: {len(result) - len(person.kept)} of {len(result)} frames have cameras without a "
                "size and are left out"
            )
        if person.kept:
            seen[number] = person
    if not seen:
        raise UserError("no frame of the results can be placed: their cameras show bodies without a size")
    down = _down(view, [person.rotations[:, 0] for person in seen.values()], notes)
    axes = _world_axes(down)
    clips = [_clip(number, person, axes, rate) for number, person in seen.items()]
    notes += _shape_notes(list(seen.values()), body)
    floor = _floor(clips, body)
    clips = [Clip(c.number, c.frame, c.times, c.rotations, c.roots - floor, c.betas) for c in clips]
    camera = WorldCamera(-floor, axes, focal, centre, view.size)
    return World(clips, camera, rate, body, notes)


def _rate(view: RecordingView, rate: float | None, notes: list[str]) -> float:
    if rate or view.rate:
        return rate or view.rate
    notes.append(f"nothing says how fast the frames follow each other; assumed: {USUAL_RATE:.0f} per second")
    return USUAL_RATE


def _focal(view: RecordingView, focal: float | None, notes: list[str]) -> float:
    if focal or view.focal:
        return focal or view.focal or 0.0
    usual = Focal.guess(view.size).pixels
    notes.append(f"nothing says the focal length; assumed: {usual:.0f} pixels, a normal lens")
    return usual


def _check_body(result: PersonResult, body: Body, number: int) -> None:
    """Check that results belong to a body model, by the joints in them."""
    bodies = result.bodies(range(len(result)))
    if bodies.betas.shape[1] != body.shape_count:
        raise UserError(f"person {number} has {bodies.betas.shape[1]} shape coefficients, the body {body.shape_count}")
    apart = body.joints(bodies.rotations, bodies.betas) - torch.from_numpy(result.joints3d)
    median = apart.norm(dim=-1).median()
    if not median <= _TOLERANCE:  # also where huge numbers have become NaN
        raise UserError(
            f"the joints of person {number} are {1000 * median:.0f} mm from those of this body model; give the file of "
            "the body model of the results with --body"
        )


def _in_camera(result: PersonResult, body: Body, focal: float, centre: tuple[float, float]) -> _Person:
    """Place one person in the axes of the frame's camera."""
    sized = (result.camera[:, 0] >= _SMALLEST_SCALE) & (result.box[:, 2:] >= 1).all(axis=1)
    kept = np.flatnonzero(sized & (np.abs(result.camera) < _MOST).all(axis=1)).tolist()
    bodies, box = result.bodies(kept), torch.from_numpy(result.box[kept])
    if not kept:
        return _Person(result, kept, bodies.rotations, torch.zeros(0, 3), torch.zeros(body.shape_count))
    betas = bodies.betas.mean(dim=0)
    own, common = _rest(body, bodies.betas), _rest(body, betas[None])
    # A skin has one shape. Where shapes differ from frame to frame, the mean is placed so that it appears as large.
    larger = _extent(own) / _extent(common)
    pelvis = own[:, 0, :2]
    intrinsics = torch.tensor([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]).expand(len(kept), 3, 3)
    near = Perspective.of_crop(intrinsics, box, box.new_tensor([0.0, 0.0, 1.0]).expand(len(kept), 3))
    scale = bodies.camera.scale
    roots = near.moved(scale * larger, bodies.camera.offset + scale * pelvis).translation
    rotations = rotvec_to_matrix(torch.from_numpy(result.pose[kept]).double())
    places = (box[:, :2] + box[:, 2:] / 2).double() - torch.tensor(centre)
    turned = ray_rotations(places / focal) @ rotations[:, 0]
    placed = _before_frame(result, kept, focal, centre)
    rotations[:, 0] = torch.where(placed[:, None, None], rotations[:, 0], turned)
    if placed.any() and result.translation is not None:
        roots = torch.where(placed[:, None], torch.from_numpy(result.translation[kept]) + own[:, 0], roots)
    return _Person(result, kept, rotations, roots.double(), betas)


def _before_frame(result: PersonResult, kept: list[int], focal: float, centre: tuple[float, float]) -> Tensor:
    """Return which bodies were predicted before the frame's own camera, (N,) bool: they are placed already.

    Others are seen along the ray through their crop: under weak perspective, or in a pinhole camera of the crop alone.
    """
    if result.perspective is None or result.intrinsics is None:
        return torch.zeros(len(kept), dtype=torch.bool)
    matrix = torch.from_numpy(result.intrinsics[kept])
    same = (matrix[:, [0, 1], [0, 1]] / focal - 1).abs().amax(dim=1) < _SAME
    near = (matrix[:, :2, 2] - torch.tensor(centre)).abs().amax(dim=1) < _SAME * focal
    return (torch.from_numpy(result.perspective[kept]) > 0) & same & near


def _rest(body: Body, betas: Tensor) -> Tensor:
    return body.joints(betas.new_zeros(len(betas), body.joint_count, 3), betas)


def _extent(joints: Tensor) -> Tensor:
    """Size (N, 1) of skeletons (N, J, 3)."""
    return (joints - joints.mean(dim=1, keepdim=True)).flatten(1).norm(dim=1, keepdim=True)


def _down(view: RecordingView, orientations: list[Tensor], notes: list[str]) -> Floats:
    """Return the direction of gravity in camera axes."""
    if view.down is not None:
        return np.array(view.down)
    upright = torch.cat(orientations)[:, :, 1]  # the body's y axis, which points up in people who stand
    mean = upright.mean(dim=0)
    if mean.norm() < _AGREEING:
        notes.append("the camera's tilt is unknown, and people do not show it; the camera is taken as level")
        return np.array([0.0, 1.0, 0.0])
    notes.append(f"the camera's tilt is unknown; up is the mean of {len(upright)} bodies' own upright directions")
    return (-mean / mean.norm()).numpy()


def _world_axes(down: Floats) -> Floats:
    """Return the world's axes as rows (3, 3) in camera axes: level and right, up, level and towards the camera."""
    up = -down
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    # A camera that lies on its side has no level axis to its right; any level one will do.
    if np.linalg.norm(right) < 1e-3:
        right = np.array([0.0, 1.0, 0.0]) - up[1] * up
    right /= np.linalg.norm(right)
    return np.stack([right, up, np.cross(right, up)])


def _clip(number: int, person: _Person, axes: Floats, rate: float) -> Clip:
    # Ascending, and no frame twice, also in files that other programs changed.
    frame, order = np.unique(person.result.frame[person.kept], return_index=True)
    rotations = person.rotations.numpy()[order].copy()
    rotations[:, 0] = axes @ rotations[:, 0]
    return Clip(
        number=number,
        frame=frame,
        times=frame / rate,
        rotations=rotations,
        roots=person.roots.numpy()[order] @ axes.T,
        betas=person.betas.double().numpy(),
    )


def _shape_notes(people: list[_Person], body: Body) -> list[str]:
    """Say how far common shapes are from those of single frames, or nothing if all are close."""
    moved, larger, changed = [], 0.0, 0
    for person in people:
        own = _rest(body, torch.from_numpy(person.result.betas[person.kept]))
        common = _rest(body, person.betas[None])
        ratio = _extent(own) / _extent(common)
        scaled = (common - common[:, :1]) * ratio[..., None]
        apart = float((own - own[:, :1] - scaled).norm(dim=-1).mean())
        size = float((ratio - 1).abs().max())
        if apart > _CLOSE or size > _CLOSE:
            moved.append(apart)
            larger, changed = max(larger, size), changed + 1
    if not changed:
        return []
    who = "1 person" if changed == 1 else f"{changed} people"
    return [
        f"shapes differ from frame to frame in {who}; each gets their mean shape, moved so that it appears as large "
        f"(joints of the rest pose move by {1000 * np.mean(moved):.0f} mm on average, sizes change by up to "
        f"{100 * larger:.1f} %)"
    ]


def _floor(clips: list[Clip], body: Body) -> Floats:
    """Return the point of the floor below the camera, in world axes from the camera."""
    lowest = []
    for clip in clips:
        some = np.unique(np.linspace(0, len(clip) - 1, min(len(clip), _FLOOR_BODIES)).astype(int))
        lowest.append(clip.posed(body, some.tolist())[0][..., 1].min(axis=1))
    return np.array([0.0, np.median(np.concatenate(lowest)), 0.0])
