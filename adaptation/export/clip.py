"""The animation of one person, and of all people before one camera, in metres and seconds.

World axes are those of glTF: x right, y up, z towards the camera. The floor is at y = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import roma
import torch

from adaptation.bodies.body import Body
from adaptation.support.errors import UserError

Floats = npt.NDArray[np.float64]
MOST_FRAMES = 1_000_000
"""Most frames of formats that have one rate: eleven hours at 25 frames per second."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One person in N frames, with one shape.

    Attributes:
        number: number of the person's track.
        frame: (N,) ascending frame numbers, from 0.
        times: (N,) seconds since the recording's first frame.
        rotations: (N, J, 3, 3) rotation matrices in the axes of the parent joint; those of joint 0 are in world axes.
        roots: (N, 3) positions of joint 0, metres.
        betas: (K,) shape coefficients.
    """

    number: int
    frame: npt.NDArray[np.int64]
    times: Floats
    rotations: Floats
    roots: Floats
    betas: Floats

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def step(self) -> int:
        """The greatest number of frames in whose multiples all frames follow each other; 1 for a single frame."""
        return int(np.gcd.reduce(np.diff(self.frame))) if len(self) > 1 else 1

    def uniform(self) -> Clip:
        """Return the clip in equal steps, for formats that have one frame rate.

        Frames in between are interpolated: rotations along the shortest way, positions along a line.

        Raises:
            UserError: gaps are so long that there would be more than a million frames.
        """
        if (self.frame[-1] - self.frame[0]) // self.step > MOST_FRAMES:
            raise UserError(
                f"person {self.number}: frames {self.frame[0]} to {self.frame[-1]} in steps of {self.step} are more "
                f"than {MOST_FRAMES:,} for a format of one rate; export glb, which keeps gaps"
            )
        wanted = np.arange(self.frame[0], self.frame[-1] + 1, self.step)
        if len(wanted) == len(self):
            return self
        before = np.searchsorted(self.frame, wanted, side="right").clip(max=len(self) - 1) - 1
        share = (wanted - self.frame[before]) / (self.frame[before + 1] - self.frame[before])
        start, end = (torch.from_numpy(self.rotations[index]) for index in (before, before + 1))
        turn = roma.rotmat_to_rotvec(start.mT @ end) * torch.from_numpy(share)[:, None, None]
        return replace(
            self,
            frame=wanted,
            times=np.interp(wanted, self.frame, self.times),
            rotations=(start @ roma.rotvec_to_rotmat(turn)).numpy(),
            roots=self.roots[before] + share[:, None] * (self.roots[before + 1] - self.roots[before]),
        )

    @torch.no_grad()
    def posed(self, body: Body, index: Sequence[int]) -> tuple[Floats, Floats]:
        """Return vertices (M, V, 3) and joints (M, J, 3) of some frames in the world, metres.

        Args:
            body: body model of the clip, on the CPU, float32.
            index: positions of M frames in the clip.
        """
        chosen = list(index)
        pose = torch.from_numpy(self.rotations[chosen]).float()
        betas = torch.from_numpy(self.betas).float().expand(len(chosen), -1)
        posed = body(pose, betas)
        # The root turns in place, so its joint stays at the rest position.
        shift = torch.from_numpy(self.roots[chosen])[:, None] - posed.joints[:, :1].double()
        return (posed.vertices.double() + shift).numpy(), (posed.joints.double() + shift).numpy()

    def rest(self, body: Body) -> tuple[Floats, Floats]:
        """Return vertices (V, 3) and joints (J, 3) of the person in the rest pose, in the axes of the body."""
        betas = torch.from_numpy(self.betas).float()[None]
        with torch.no_grad():
            posed = body(betas.new_zeros(1, body.joint_count, 3), betas)
        return posed.vertices[0].double().numpy(), posed.joints[0].double().numpy()


@dataclass(frozen=True, eq=False)
class WorldCamera:
    """The recording's camera in the world.

    Attributes:
        position: (3,) metres.
        rotation: (3, 3) from camera axes (x right, y down, z forward) to world axes.
        focal: focal length in frame pixels.
        centre: principal point in frame pixels.
        size: width and height of the frames, pixels.
    """

    position: Floats
    rotation: Floats
    focal: float
    centre: tuple[float, float]
    size: tuple[int, int]

    def project(self, points: Floats) -> Floats:
        """Project points of the world (..., 3), metres, to frame pixels (..., 2)."""
        seen = (points - self.position) @ self.rotation
        pixels: Floats = self.focal * seen[..., :2] / seen[..., 2:] + self.centre
        return pixels


@dataclass(frozen=True, eq=False)
class World:
    """All people of a recording, on the floor before its camera.

    Attributes:
        clips: the people.
        camera: the recording's camera.
        rate: frames per second of the recording.
        body: body model of the people, on the CPU.
        notes: what was assumed or changed, one line each.
    """

    clips: Sequence[Clip]
    camera: WorldCamera
    rate: float
    body: Body
    notes: Sequence[str] = ()

    def of(self, number: int) -> World:
        """Return the same world with one person only."""
        return replace(self, clips=[clip for clip in self.clips if clip.number == number])
