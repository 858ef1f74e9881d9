"""``topo-adapt keypoints``: add 2D keypoints to crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import BodyFile, Crops, Seed
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from adaptation.data.samples import Floats, Samples


def keypoints(
    crops: Crops,
    openpose: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of OpenPose JSON files, one per crop, numbered in the order of the crops."),
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Make keypoints from the labels, with noise.")] = False,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Write the crops as PNG files to this folder, for a detector.")
    ] = None,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="With --simulate: standard deviation of the noise, pixels.")
    ] = 2.0,
    missing: Annotated[
        float,
        typer.Option("--missing", min=0, max=1, help="With --simulate: share of joints that are dropped, 0 to 1."),
    ] = 0.1,
    body: BodyFile = None,
    seed: Seed = 0,
) -> None:
    """Add 2D keypoints to crops.

    They come from a detector or are simulated from the labels.
    """
    import numpy as np
    import torch

    from adaptation.bodies.body import Body
    from adaptation.data.openpose import read_openpose, to_body_joints
    from adaptation.data.samples import Samples
    from adaptation.synthetic.keypoints import simulated_keypoints

    # Three ways in one command: each reads or writes the keypoints of the same set.
    if sum((openpose is not None, simulate, pictures is not None)) != 1:
        raise UserError("keypoints needs exactly one of --from FOLDER, --simulate and --pictures FOLDER")
    samples = Samples.load(crops)
    if pictures is not None:
        _write_pictures(samples, pictures)
    elif openpose is not None:
        # One kind of mask is enough to tell people apart; an empty one says nothing about anybody.
        unknown = np.broadcast_to(np.uint8(0), (len(samples), samples.size, samples.size))
        masks = unknown if samples.masks is None else samples.masks[:, 0]
        _keep(samples, crops, to_body_joints(read_openpose(openpose, masks)))
    else:
        model = Body.load(body) if body else Body.free()
        generator = torch.Generator().manual_seed(seed)
        _keep(samples, crops, simulated_keypoints(samples, model, noise, missing, generator))


def _write_pictures(samples: Samples, out: Path) -> None:
    """Write crops as numbered PNG files."""
    import cv2
    import numpy as np
    from rich.console import Console

    from adaptation.support.files import result_folder

    with result_folder(out, overwrite=False) as folder:
        for number, image in enumerate(samples.images):
            # Not cv2.imwrite, which reports no error when the disk is full.
            _, data = cv2.imencode(".png", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
            (folder / f"{number:06d}.png").write_bytes(data.tobytes())
    Console().print(f"{len(samples)} pictures written to {out}", highlight=False)


def _keep(samples: Samples, folder: Path, keypoints: Floats) -> None:
    """Store keypoints (N, J, 3) with the labels of a crop set, and print how many joints were found."""
    from dataclasses import replace

    from rich.console import Console

    from adaptation.bodies.joint_sets import OPENPOSE_JOINTS, SMPL

    replace(samples, keypoints=keypoints, joint_set=SMPL.name).save_labels(folder)
    # The other joints of the body are never found, and would lower the share.
    found = (keypoints[:, list(OPENPOSE_JOINTS), 2] > 0).mean()
    Console().print(f"{folder}: keypoints for {len(samples)} crops, {found:.0%} of the joints found", highlight=False)
