"""``topo-adapt keypoints``: add 2D keypoints to crops, or cut crops with keypoints out of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.adapting.presets import CROP_SIZE
from adaptation.recording.options import FitOptions
from adaptation.support.arguments import BodyFile, MaskFolder, Models, Overwrite, Seed, choice, command_line
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from adaptation.data.samples import Floats, Samples
    from adaptation.detectors.blazepose import BlazePose


def keypoints(
    crops: Annotated[
        Path,
        typer.Argument(help="Folder of crops, as written by `topo-adapt domain`; with --detector also a recording."),
    ],
    openpose: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of OpenPose JSON files, one per crop, numbered in the order of the crops."),
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Make keypoints from the labels, with noise.")] = False,
    detector: Annotated[
        str | None, typer.Option("--detector", help="mediapipe: detect keypoints with MediaPipe's networks (--models).")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Write the crops as PNG files to this folder, for a detector.")
    ] = None,
    models: Models = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="For a recording: folder for the crops; must be new or empty.")
    ] = None,
    masks: MaskFolder = None,
    every: Annotated[
        int, typer.Option("--every", min=1, help="For a recording: use one frame in this many.")
    ] = FitOptions.every,
    size: Annotated[
        int, typer.Option("--size", min=32, max=1024, help="For a recording: side of the crops, pixels.")
    ] = CROP_SIZE,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="With --simulate: standard deviation of the noise, pixels.")
    ] = 2.0,
    missing: Annotated[
        float,
        typer.Option("--missing", min=0, max=1, help="With --simulate: share of joints that are dropped, 0 to 1."),
    ] = 0.1,
    body: BodyFile = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Add 2D keypoints to crops.

    They come from a detector or are simulated from the labels. With --detector, the crops may also be cut out of a
    recording.
    """
    import numpy as np
    import torch

    from adaptation.bodies.body import Body
    from adaptation.data.openpose import read_openpose, to_body_joints
    from adaptation.data.samples import Samples, is_crop_set
    from adaptation.synthetic.keypoints import simulated_keypoints

    # Four ways in one command: each reads or writes the keypoints of the same set.
    if sum((openpose is not None, simulate, pictures is not None, detector is not None)) != 1:
        raise UserError(
            "keypoints needs exactly one of --from FOLDER, --simulate, --detector mediapipe and --pictures FOLDER"
        )
    network = _detector(detector, models)
    if network is not None and not is_crop_set(crops):
        if out is None:
            raise UserError(f"{crops} is a recording (not a folder of crops), whose crops need a folder: --out FOLDER")
        _cut_recording(crops, network, FitOptions(every=every, size=size), masks, out, overwrite=overwrite)
        return
    if out is not None or masks is not None:
        raise UserError(f"--out and --masks are for recordings; keypoints of {crops} are stored beside its crops")
    samples = Samples.load(crops)
    # One kind of mask is enough to tell people apart; an empty one says nothing about anybody.
    unknown = np.broadcast_to(np.uint8(0), (len(samples), samples.size, samples.size))
    people = unknown if samples.masks is None else samples.masks[:, 0]
    if pictures is not None:
        _write_pictures(samples, pictures)
    elif openpose is not None:
        _keep(samples, crops, to_body_joints(read_openpose(openpose, people)))
    elif network is not None:
        from adaptation.detectors.joints import keypoints_of_crops

        _keep(samples, crops, keypoints_of_crops(network, samples.images, people))
    else:
        model = Body.load(body) if body else Body.free()
        generator = torch.Generator().manual_seed(seed)
        _keep(samples, crops, simulated_keypoints(samples, model, noise, missing, generator))


def _detector(name: str | None, models: Path | None) -> BlazePose | None:
    """Return the detector that was asked for.

    Raises:
        UserError: its networks are not given or cannot be used, or networks are given without a detector.
    """
    from adaptation.detectors.blazepose import BlazePose
    from adaptation.detectors.model_packages import NPM, PIP, open_models

    if name is None:
        if models is not None:
            raise UserError("--models is for --detector mediapipe, which is not given; add it, or leave --models out")
        return None
    choice("--detector", name, ("mediapipe",))
    if models is None:
        raise UserError(f"--detector mediapipe needs its networks: {NPM} (or {PIP}), then --models with the file")
    return BlazePose(open_models(models))


def _cut_recording(
    recording: Path, detector: BlazePose, options: FitOptions, masks: Path | None, out: Path, *, overwrite: bool
) -> None:
    """Write the crops of a recording with keypoints as a crop set."""
    import json
    from dataclasses import replace

    from rich.console import Console

    from adaptation.recording.footage.segmented_masks import open_given
    from adaptation.recording.footage.video import open_frames
    from adaptation.recording.found_people import find_crops
    from adaptation.recording.keypoints import samples_with_keypoints
    from adaptation.support.files import MARKER, result_folder
    from adaptation.support.progress import Progress
    from adaptation.synthetic.settings import MARGIN

    with result_folder(out, overwrite=overwrite) as folder:
        frames = open_frames(recording)
        # The margin of the crops that regressors here are trained on.
        found = find_crops(frames, replace(options, margin=MARGIN), Progress(), open_given(masks, None, frames))
        crops = [crop for person in found.crops for crop in person]
        with Progress().task("Detecting joints", len(crops)) as update:
            samples = samples_with_keypoints(frames, crops, detector, MARGIN, update.by)
        made = {"recording": str(recording), "every": options.every, "size": options.size, "detector": detector.variant}
        samples.save(folder, made)
        (folder / MARKER).write_text(json.dumps({**made, "command": command_line()}, indent=2) + "\n")
    assert samples.keypoints is not None
    _say(Console(), out, samples.keypoints)


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

    from adaptation.bodies.joint_sets import SMPL

    replace(samples, keypoints=keypoints, joint_set=SMPL.name).save_labels(folder)
    _say(Console(), folder, keypoints)


def _say(console: Console, folder: Path, keypoints: Floats) -> None:
    """Print for how many crops there are keypoints, and how many joints were found."""
    from adaptation.bodies.joint_sets import OPENPOSE_JOINTS

    # The other joints of the body are never found, and would lower the share.
    sure = keypoints[:, list(OPENPOSE_JOINTS), 2] > 0
    nobody = f"; nobody was found in {count}" if (count := int((~sure.any(1)).sum())) else ""
    line = f"{folder}: keypoints for {len(keypoints)} crops, {sure.mean():.0%} of the joints found{nobody}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
