"""Options and arguments shared by several commands of ``topo-adapt``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from adaptation.support.errors import UserError

Name = TypeVar("Name", bound=str)

Background = Annotated[
    Path | None,
    typer.Option(
        "--background",
        help="Picture of the empty scene from the same camera (image, folder or video), for people who stay in place.",
    ),
]
BodyFile = Annotated[
    Path | None,
    typer.Option("--body", help="File of an SMPL body model, .pkl or .npz. Default: the free body that is included."),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="Calibration that says how the camera hangs: OpenCV's YAML, XML or JSON, COLMAP's text files, or "
        "Qualisys' .qca.txt. Default: estimated from the recording.",
    ),
]
CameraName = Annotated[
    str | None, typer.Option("--camera", help="Name of the camera in --calibration, if it has several.")
]
FieldOfView = Annotated[
    float | None, typer.Option("--fov", help="Vertical field of view of a recording's camera, degrees.")
]
FocalLength = Annotated[
    float | None,
    typer.Option(
        "--focal", help="Focal length of a recording's camera, pixels of the frame. Default: the frame's diagonal."
    ),
]
LensFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="Calibration that states the focal length: OpenCV's YAML, XML or JSON, COLMAP's cameras.txt, or Qualisys' "
        ".qca.txt.",
    ),
]
Crops = Annotated[Path, typer.Argument(help="Folder of crops, as written by `topo-adapt domain`.")]
CropSize = Annotated[
    int, typer.Option("--size", min=32, max=1024, help="Side of the crops that the regressor expects, pixels.")
]
Device = Annotated[str, typer.Option("--device", help="Device: cpu, cuda or cuda:N.")]
Every = Annotated[int, typer.Option("--every", min=1, help="Use one frame in this many of a recording.")]
FileOut = Annotated[Path, typer.Option("--out", help="File to write.")]
FramesPerSecond = Annotated[
    float | None,
    typer.Option("--fps", min=0.1, max=1000, help="Frames per second. Default: those of the file; 25 for images."),
]
Loss = Annotated[
    str,
    typer.Option(
        "--loss", help="Silhouette loss: b1 (pixels), b2 (L_S), b3 (L_S, skeleton pixels) or ours (L_S, L_T, bones)."
    ),
]
MaskFolder = Annotated[
    Path | None,
    typer.Option(
        "--masks", help="Masks to use instead of background subtraction: a folder of images, npz, or a video."
    ),
]
MasksFrom = Annotated[
    str | None,
    typer.Option(
        "--masks-from",
        help="segmenter: masks by MediaPipe's networks (--models) instead of background subtraction, for people who "
        "stand still and are at least 0.3 times as high as the frame's longer side.",
    ),
]
Mirror = Annotated[
    bool,
    typer.Option("--mirror", help="Average the predictions for each crop and its mirror image; takes twice the time."),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="Regressor: weights with SPIN's keys (.safetensors, .pt), package.module:function (your own; @FILE after "
        "it loads adapted weights), or small (the one that is included).",
    ),
]
Models = Annotated[
    Path | None,
    typer.Option(
        "--models", help="MediaPipe's networks: wheel of mediapipe, .tgz of @mediapipe/pose, or a folder with both."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results; must be new or empty.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run in --out.")]
Pitch = Annotated[
    float | None,
    typer.Option(
        "--pitch",
        min=-90,
        max=90,
        help="Degrees by which the camera looks down. Default: estimated from the recording.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="float32, or bfloat16, which takes half the time on processors that support it."),
]
PresetOption = Annotated[
    str, typer.Option("--preset", help="Sizes and settings: tiny (seconds), small (two CPU cores) or paper (GPU).")
]
Prior = Annotated[
    str,
    typer.Option(
        "--prior", help="Pose prior: gaussian, motion, mixture, latent, or a file written by `topo-adapt prior`."
    ),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        help="LOW,HIGH: levels of a 16-bit recording that become 0 and 255. Default: from samples of the recording.",
    ),
]
Recording = Annotated[Path, typer.Argument(help="Recording of a static camera: video file or folder of frames.")]
Renderer = Annotated[str, typer.Option("--renderer", help="Renderer: topokernels, or pytorch3d if it is installed.")]
Roll = Annotated[
    float | None,
    typer.Option(
        "--roll",
        min=-180,
        max=180,
        help="Degrees by which upright people lean clockwise in the image. Default: estimated from the recording.",
    ),
]
RunOut = Annotated[Path, typer.Option("--out", help="Folder of the run; a stopped run in it is resumed.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of all random numbers.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Optimisation steps of a fit.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads. Default: all.")]
Up = Annotated[
    str | None,
    typer.Option("--up", help="Axis of the world of --calibration that points up: x, y, z, -x, -y or -z."),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Number of processes that render synthetic crops.")]


def choice(option: str, value: str, allowed: tuple[Name, ...]) -> Name:
    """Return the value of an option, narrowed to the type of the allowed names.

    Args:
        option: name of the option, for the error message.
        value: value that the user gave.
        allowed: allowed values.

    Raises:
        UserError: the value is not allowed.
    """
    for name in allowed:
        if value == name:
            return name
    raise UserError(f"{option} must be one of {', '.join(allowed)}, got {value!r}")


def check_source(
    masks: Path | None, background: Path | None, masks_from: str | None = None, models: Path | None = None
) -> None:
    """Refuse options that replace each other, and check those that need each other.

    Args:
        masks: value of --masks.
        background: value of --background.
        masks_from: value of --masks-from.
        models: value of --models.

    Raises:
        UserError: masks are given twice, or beside a background; or one of --masks-from and --models is missing.
    """
    if masks and background:
        raise UserError("--background is for background subtraction, which --masks replaces; give one of them")
    if masks_from is None:
        if models is not None:
            raise UserError("--models is for --masks-from segmenter, which is not given; add it, or leave --models out")
        return
    choice("--masks-from", masks_from, ("segmenter",))
    if masks or background:
        other = "--masks" if masks else "--background"
        raise UserError(f"--masks-from segmenter and {other} replace each other; give one of them")
    if models is None:
        raise UserError(
            "--masks-from segmenter needs MediaPipe's networks: pip download --no-deps mediapipe==0.10.21, then "
            "--models with the wheel"
        )


def command_line() -> str:
    """Return the command line of this process, quoted for a shell, to be stored and shown with the results."""
    return shlex.join(["topo-adapt", *sys.argv[1:]])
