"""Choose distinct poses from motion capture, for the library of poses that comes with the package.

    git clone https://github.com/cyun9601/CMU-MOCAP-Data
    python tools/make_real_poses.py CMU-MOCAP-Data/data/CMU/asfamc/subjects --out adaptation/assets/real_poses.npz

Frames are retargeted to the body and turned to face +z. Then the frame is added, again and again, that is farthest
from those that were chosen (farthest-point sampling): the distance of two poses is the mean distance of their joints
with the pelvis fixed, or that to the mirror image, whichever is smaller. Files are read in the order of their names, so
the result is always the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body, mirror_pose
from adaptation.bodies.poses import standing
from adaptation.data.motion.reading import read_motion
from adaptation.data.motion.retarget import retarget
from adaptation.data.pose_library import without_heading


def main() -> None:
    """Read the options and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of AMC files, each beside its ASF file")
    parser.add_argument("--out", type=Path, required=True, help="npz file to write")
    parser.add_argument("--count", type=int, default=500, help="number of poses")
    parser.add_argument("--fps", type=float, default=15, help="frames per second that are considered")
    options = parser.parse_args()
    poses, clips = [], []
    for file in sorted(options.folder.rglob("*.amc")):
        body_motion = retarget(read_motion(file).at_rate(options.fps))
        poses.append(torch.from_numpy(body_motion.pose))
        clips += [file.stem] * len(body_motion.pose)
    # Rounded first, so that the chosen poses are those that are written.
    every = without_heading(torch.cat(poses)).half().float()
    chosen, distance = distinct(every, options.count)
    np.savez_compressed(
        options.out, pose=every[chosen].half().numpy(), clip=np.array([clips[number] for number in chosen], "U5")
    )
    print(f"{len(chosen)} of {len(every)} poses; the closest two are {1000 * distance:.0f} mm apart")


@torch.no_grad()
def distinct(poses: Tensor, count: int) -> tuple[list[int], float]:
    """Choose poses by farthest-point sampling, the first being the one that is farthest from a standing pose.

    Returns:
        Indices of the chosen poses, and the distance of the last one from the others, metres.
    """
    body = Body.free()
    joints = [body.joints(each, body.mean_shape(len(each))) for each in (poses, mirror_pose(poses), standing()[None])]
    own, mirrored, start = joints
    away = torch.full((len(poses),), torch.inf)
    chosen: list[int] = []
    last = start
    distance = 0.0
    for _ in range(min(count, len(poses))):
        near = torch.minimum((own - last).norm(dim=2).mean(1), (mirrored - last).norm(dim=2).mean(1))
        # Distances from the standing pose only decide which pose is the first.
        away = torch.minimum(away, near)
        best = int(away.argmax())
        distance = float(away[best])
        chosen.append(best)
        last = own[best : best + 1]
    return chosen, distance


if __name__ == "__main__":
    main()
