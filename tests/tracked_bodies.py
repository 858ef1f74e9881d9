"""People over time whose bodies are known: masks and sequences for tests of fits over time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.poses import facing, walking
from adaptation.bodies.renderer import exact_silhouette
from adaptation.fitting.tracks.sequence import Sequence
from adaptation.fitting.variables import BodyVariables

SIZE = 96
PITCH = 0.2  # radians, of the camera


@dataclass(frozen=True)
class Walk:
    """A person who walks past the camera.

    Attributes:
        bodies: the truth.
        masks: (B, 1, SIZE, SIZE) of 0 and 1.
        sequence: what a fit knows.
    """

    bodies: BodyVariables
    masks: torch.Tensor
    sequence: Sequence


def walk(body: Body, count: int, rate: float = 8.0, yaw: float = 0.9) -> Walk:
    """Let somebody walk for ``count`` frames, one step cycle a second."""
    time = torch.arange(count) / rate
    pose = walking(time % 1)
    pose[:, 0] = facing(torch.tensor(yaw), pitch=PITCH)
    betas = torch.zeros(count, 10)
    camera = WeakPerspective(torch.tensor([[0.95, 0.0, 0.15]]).repeat(count, 1))
    with torch.no_grad():
        vertices = body(pose, betas).vertices
    box = torch.tensor([[0.0, 50.0, 192.0, 192.0]]).repeat(count, 1)
    box[:, 0] = 100 * time
    up = -torch.tensor([[0.0, 1.0, 0.0]]).repeat(count, 1)
    up[:, 1:] = torch.tensor([-1.0, -PITCH]) / (1 + PITCH**2) ** 0.5
    sequence = Sequence(
        person=torch.zeros(count, dtype=torch.int64),
        time=time,
        box=box,
        up=up,
        spread=torch.full((count,), 0.25),
        travel=torch.zeros(count, 2),
    )
    return Walk(BodyVariables(pose, betas, camera), exact_silhouette(vertices, body.faces, camera, SIZE), sequence)
