"""``topo-adapt poses``: convert motion capture and pose files to one pose file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import FileOut

if TYPE_CHECKING:
    from adaptation.data.motion.retarget import BodyMotion


def poses(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="BVH, AMC (with its ASF file), DeepMimic's clips, or poses: AMASS, 3DPW, SPIN's npz, npz, npy."
        ),
    ],
    out: FileOut,
    fps: Annotated[float, typer.Option("--fps", min=0.1, max=1000, help="Frames per second that are kept.")] = 15.0,
    skeleton: Annotated[
        Path | None, typer.Option("--skeleton", help="ASF file of the AMC files. Default: the one beside them.")
    ] = None,
    amc_fps: Annotated[
        float,
        typer.Option("--amc-fps", min=0.1, max=1000, help="Frames per second of AMC files, which do not state it."),
    ] = 120.0,
) -> None:
    """Convert motion capture and pose files to one pose file.

    Motion is retargeted to the body. `topo-adapt prior --poses` reads the result.
    """
    import numpy as np
    from rich.console import Console

    from adaptation.data.motion.reading import is_text, read_motion
    from adaptation.data.motion.retarget import retarget
    from adaptation.data.pose_files import FEWEST
    from adaptation.data.sets.clips import read_clips
    from adaptation.support.files import check_file, whole_file
    from adaptation.support.reading.findings import found

    # Before the reading, which an unwritable file would waste.
    check_file(out)
    console = Console(soft_wrap=True)
    parts: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []  # clip, poses, positions, times
    for file in files:
        if is_text(file):
            motion = read_motion(file, skeleton, amc_fps)
            taken = retarget(motion.at_rate(fps))
            parts.append((file.stem, taken.pose, taken.roots, taken.times))
            console.print(_described(taken, len(motion.times), len(motion.names)), markup=False, highlight=False)
        else:
            for clip in read_clips(file, fps):
                parts.append((clip.name, clip.pose, clip.roots, clip.times))
                console.print(f"{clip.name}: {len(clip.pose)} poses", markup=False, highlight=False)
    count = sum(len(pose) for _, pose, _, _ in parts)
    with whole_file(out) as stream:
        np.savez_compressed(
            stream,
            poses=np.concatenate([pose for _, pose, _, _ in parts]).reshape(count, -1),
            trans=np.concatenate([place for _, _, place, _ in parts]),
            time=np.concatenate([times for *_, times in parts]),
            clip=np.concatenate([np.full(len(pose), name) for name, pose, _, _ in parts]),
        )
    if count < FEWEST:
        found(f"{out}: {count} poses, fewer than the {FEWEST} that a prior is trained on")
    console.print(f"{out}: {count} poses of {len(parts)} clips", markup=False, highlight=False)


def _described(motion: BodyMotion, frames: int, joints: int) -> str:
    """Say what was read, what is missing, and how far the body's segments are from the file's."""
    missing = f"; at rest, since the file has none: {', '.join(motion.missing)}" if motion.missing else ""
    errors = ", ".join(f"{name} {angle:.1f}" for name, angle in motion.errors.items())
    return (
        f"{motion.source}: {len(motion.times)} of {frames} frames, {motion.times[-1]:.1f} s, {joints} joints{missing}; "
        f"mean angle to the file's bones in degrees: {errors}"
    )
