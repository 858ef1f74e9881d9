"""BVH, Biovision's format of motion capture: the skeleton in the rest pose, then the channels of each frame.

Source of the format: M. Meredith and S. Maddock, "Motion capture file formats explained", University of Sheffield,
2001. Lengths are centimetres, as most programs take them.
"""

from __future__ import annotations

import numpy as np
import roma
import torch

from adaptation.bodies.body import Body
from adaptation.export.clip import Clip, Floats

_UNIT = 100.0  # per metre
_CHANNELS = "Zrotation Xrotation Yrotation"  # the root's X, the second, stays far from a right angle in upright people


def bvh(clip: Clip, body: Body, rate: float) -> str:
    """Return a clip as the content of a BVH file. Frames that it lacks are interpolated.

    Args:
        clip: the person.
        body: body model of the clip, on the CPU.
        rate: frames per second of the recording.
    """
    even = clip.uniform()
    lines = ["HIERARCHY", *_hierarchy(clip, body)]
    # The root's offset is zero, since programs disagree on whether its position is added to it.
    lines += ["MOTION", f"Frames: {len(even)}", f"Frame Time: {clip.step / rate:.9g}"]
    angles = _angles(even.rotations)[:, _depth_first(body.tree)]
    numbers = np.concatenate([even.roots * _UNIT, angles.reshape(len(even), -1)], axis=1)
    lines += [" ".join(f"{number:.5f}" for number in row) for row in numbers]
    return "\n".join(lines) + "\n"


def _depth_first(tree: tuple[int, ...], joint: int = 0) -> list[int]:
    """Return the joints in the order in which the hierarchy lists them."""
    below = [_depth_first(tree, child) for child, parent in enumerate(tree) if parent == joint]
    return [joint, *(each for part in below for each in part)]


def _hierarchy(clip: Clip, body: Body) -> list[str]:
    vertices, joints = clip.rest(body)
    owner = body.skinning_weights.argmax(dim=1).numpy()
    lines: list[str] = []

    def add(joint: int, depth: int) -> None:
        indent, name = "\t" * depth, body.joint_set.joints[joint]
        parent = body.tree[joint]
        offset = joints[joint] - joints[parent] if parent >= 0 else np.zeros(3)
        channels = f"3 {_CHANNELS}" if parent >= 0 else f"6 Xposition Yposition Zposition {_CHANNELS}"
        lines.append(f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {name}")
        lines.extend([f"{indent}{{", f"{indent}\tOFFSET {_text(offset)}", f"{indent}\tCHANNELS {channels}"])
        children = [child for child, above in enumerate(body.tree) if above == joint]
        for child in children:
            add(child, depth + 1)
        if not children:
            # From the joint through the middle of what it moves, and as far again: about the tip.
            moved = vertices[owner == joint]
            tip = 2 * (moved.mean(axis=0) - joints[joint]) if len(moved) else (joints[joint] - joints[parent]) / 2
            lines.extend([f"{indent}\tEnd Site", f"{indent}\t{{", f"{indent}\t\tOFFSET {_text(tip)}", f"{indent}\t}}"])
        lines.append(f"{indent}}}")

    add(0, 0)
    return lines


def _text(offset: Floats) -> str:
    return " ".join(f"{number * _UNIT:.5f}" for number in offset)


def _angles(rotations: Floats) -> Floats:
    """Return angles (N, J, 3) about z, x and y, in this order, in degrees, without jumps by full turns."""
    angles = np.stack(
        [part.numpy() for part in roma.rotmat_to_euler("ZXY", torch.from_numpy(rotations), as_tuple=True)], axis=-1
    )
    unwrapped: Floats = np.rad2deg(np.unwrap(angles, axis=0))
    return unwrapped
