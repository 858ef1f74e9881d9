"""``topo-adapt export``: results as other programs read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptation.support.arguments import BodyFile, choice, command_line
from adaptation.support.errors import UserError

if TYPE_CHECKING:
    from adaptation.export.clip import World

FORMATS = ("glb", "bvh", "obj", "npz", "onnx")
# Options that only some formats have.
_OPTIONS = {"--frame": ("obj",), "--size": ("onnx",), "--person": FORMATS[:4], "--fps": FORMATS[:4]}
_OPTIONS |= {"--focal": FORMATS[:4], "--body": FORMATS[:4]}


def export(
    results: Annotated[
        str,
        typer.Argument(
            help="Folder written by fit, predict or adapt. For onnx: the folder of an adapt run, or a model."
        ),
    ],
    kind: Annotated[str, typer.Option("--format", help="glb, bvh, obj, npz (AMASS), or onnx (the regressor).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; for obj without --frame, a folder. Default: beside the results."),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option("--person", min=0, help="Number of the person. Default: the only one; in glb, all people."),
    ] = None,
    frame: Annotated[
        int | None, typer.Option("--frame", min=0, help="For obj: one frame. Default: a file per frame.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", min=0.1, max=1000, help="Frames per second. Default: those of the recording."),
    ] = None,
    focal: Annotated[
        float | None,
        typer.Option(
            "--focal", min=1, help="Focal length, pixels of the frame, which sets distances. Default: as estimated."
        ),
    ] = None,
    body: BodyFile = None,
    size: Annotated[
        int | None,
        typer.Option("--size", min=32, max=1024, help="For onnx: side of the regressor's crops, pixels. Default: 96."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export wrote.")] = False,
) -> None:
    """Convert the results of a recording for other programs.

    Writes people as animated glTF (glb), BVH, OBJ or AMASS's npz, or a regressor as ONNX.
    """
    choice("--format", kind, FORMATS)
    given = {"--frame": frame, "--size": size, "--person": person, "--fps": fps, "--focal": focal, "--body": body}
    for option, value in given.items():
        if value is not None and kind not in _OPTIONS[option]:
            raise UserError(f"{option} has no effect on --format {kind}; it is for {', '.join(_OPTIONS[option])}")
    if kind == "onnx":
        _export_network(results, out, size, overwrite)
        return

    from adaptation.bodies.body import Body
    from adaptation.export.folder import choose, read_folder
    from adaptation.export.placing import place
    from adaptation.support.reading.findings import found

    folder = Path(results)
    people, view = read_folder(folder)
    number = None if kind == "glb" and person is None and len(people) > 1 else choose(people, person, folder)
    # All people are placed, whoever is written: they show where the floor is.
    world = place(people, Body.load(body) if body else Body.free(), view, fps, focal)
    for note in world.notes:
        found(note)
    chosen = world if number is None else world.of(number)
    if not chosen.clips:
        raise UserError(f"no frame of person {number} can be placed: their cameras show bodies without a size")
    name = "people" if number is None else f"person_{number:02d}"
    if kind == "obj":
        _write_meshes(chosen, folder / name if out is None else out, frame, overwrite)
    else:
        _write(out or folder / f"{name}.{'amass.npz' if kind == 'npz' else kind}", _content(chosen, kind), overwrite)


def _content(world: World, kind: str) -> bytes:
    """Return the content of a file of a world, or of the only person in it."""
    import io

    import numpy as np

    from adaptation.export.amass import amass
    from adaptation.export.bvh import bvh
    from adaptation.export.glb import glb

    if kind == "glb":
        return glb(world)
    (clip,) = world.clips
    if kind == "bvh":
        return bvh(clip, world.body, world.rate).encode()
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **amass(clip, world.body, world.rate))
    return file.getvalue()


def _write_meshes(world: World, out: Path, frame: int | None, overwrite: bool) -> None:
    """Write the mesh of one frame to a file, or those of all frames to a folder."""
    import json

    from rich.console import Console

    from adaptation.export.obj import obj
    from adaptation.support.files import MARKER, result_folder

    (clip,) = world.clips
    if frame is not None:
        if frame not in clip.frame:
            first, last = clip.frame[0], clip.frame[-1]
            raise UserError(
                f"person {clip.number} has no body in frame {frame}; there are {len(clip)}, from {first} to {last}"
            )
        path = out if out.suffix == ".obj" else out.with_name(f"{out.name}_frame_{frame:06d}.obj")
        _write(path, obj(clip, world.body, clip.frame.tolist().index(frame)).encode(), overwrite)
        return
    with result_folder(out, overwrite=overwrite) as folder:
        for index, number in enumerate(clip.frame.tolist()):
            (folder / f"frame_{number:06d}.obj").write_text(obj(clip, world.body, index))
        (folder / MARKER).write_text(json.dumps({"command": command_line()}, indent=2) + "\n")
    Console(soft_wrap=True).print(f"{len(clip)} meshes: {out}", markup=False, highlight=False)


def _export_network(model: str, out: Path | None, size: int | None, overwrite: bool) -> None:
    """Write a regressor as ONNX, and compare the file with it where a program that runs it is installed."""
    from rich.console import Console

    from adaptation.adapting.presets import CROP_SIZE
    from adaptation.export.onnx_file import difference, onnx
    from adaptation.regressors.base import crop_rule
    from adaptation.regressors.files import load_network

    folder = Path(model)
    if folder.is_dir():
        weights = sorted(folder.glob("adapted.*"))
        if not weights:
            raise UserError(f"{folder} holds no adapted weights; expected the folder of an adapt run, or a model")
        # Not adapted.onnx, which would be taken for the run's weights afterwards.
        model, beside = str(weights[0]), folder / "regressor.onnx"
    else:
        beside = Path(model).with_suffix(".onnx")
    path = out or beside
    _check(path, overwrite)  # before the conversion, which takes seconds
    network = load_network(model).network
    rule = crop_rule(network)
    side = size or (CROP_SIZE if rule is None else rule.size)
    content = onnx(network, side)
    _write(path, content, overwrite)
    apart = difference(content, network, side)
    told = "not compared: onnxruntime is not installed" if apart is None else f"differs by at most {apart:.1e}"
    Console(soft_wrap=True).print(f"{side} x {side} pixels; {told}", markup=False, highlight=False)


def _write(path: Path, content: bytes, overwrite: bool) -> None:
    from rich.console import Console

    from adaptation.support.files import whole_file

    _check(path, overwrite)
    with whole_file(path) as file:
        file.write(content)
    Console(soft_wrap=True).print(f"{path}: {len(content) / 1e6:.2f} MB", markup=False, highlight=False)


def _check(path: Path, overwrite: bool) -> None:
    from adaptation.support.files import check_file

    check_file(path)
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already; choose another --out, or replace it with --overwrite")
