"""Report of ``topo-adapt doctor``: versions, compiled operators, devices, renderers and body models."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

import topokernels
from adaptation.bodies.body import Body
from adaptation.bodies.renderer import BACKENDS, make_renderer
from adaptation.reports.gpu_architectures import kernel_text
from adaptation.support.errors import UserError
from adaptation.support.versions import opencv_warning, versions


def body_files() -> Iterator[tuple[str, str]]:
    """Yield name and description of each body model, or the error of one that cannot be used."""
    free = Body.free()
    yield "free body (shipped, CC0)", _describe(free)
    folder = os.environ.get("SMPL_MODELS")
    if not folder:
        yield "SMPL", "not checked: set SMPL_MODELS to the folder of the licensed model files"
        return
    files = [file for file in sorted(Path(folder).rglob("*")) if file.suffix in (".pkl", ".npz")]
    if not files:
        yield folder, "no .pkl or .npz file" if Path(folder).is_dir() else "no such folder"
    for file in files:
        try:
            yield str(file), _describe(Body.load(file))
        except UserError as error:
            # An unusable file is a finding, not a failure of the report.
            yield str(file), str(error)


def _describe(body: Body) -> str:
    """Return the size of a body model, and the name by which labels refer to it."""
    return f"{body.vertex_count} vertices, {len(body.faces)} faces, called {body.name!r} in labels"


def renderers() -> Iterator[tuple[str, str]]:
    """Yield name and state of each renderer: "ready", or the reason why it cannot be used."""
    for name in BACKENDS:
        try:
            make_renderer(name)
            yield name, "ready"
        except UserError as error:
            yield name, str(error)


def cuda_text(build: Mapping[str, Any]) -> str:
    """Describe the CUDA kernels of a build, or why there are none.

    Args:
        build: what `topokernels.build_info` returns.
    """
    if build["cuda_toolkit"] is None:
        # Builds of earlier versions do not know why.
        return f"no: {build.get('cuda_missing', 'nvcc was not found, or TOPO_CUDA=OFF')}"
    return f"toolkit {build['cuda_toolkit']}, sm {', '.join(build['cuda_architectures'])}"


def devices(architectures: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name and description of each device.

    Args:
        architectures: what the CUDA kernels were compiled for; empty if there are none.
    """
    yield "cpu", f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    count = torch.cuda.device_count()  # 0 in a torch without CUDA, where other calls would raise
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        kernels = kernel_text((properties.major, properties.minor), architectures) if architectures else "no kernels"
        yield f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {kernels}"
    if count == 0:
        yield "cuda", "none found" if torch.version.cuda else "this PyTorch was built without CUDA"


def examine(console: Console) -> None:
    """Print the report.

    Args:
        console: console to print to.
    """
    build = topokernels.build_info()
    found = versions()
    warning = opencv_warning(found)
    _print(console, "Versions", [*found, ("cv2", cv2.__version__ + (f"; {warning}" if warning else ""))])
    _print(
        console,
        "Operators",
        [
            ("compiled with", build["compiler"]),
            ("SIMD levels compiled", ", ".join(build["simd_levels"])),
            ("CUDA kernels compiled", cuda_text(build)),
            ("CUDA kernels loaded", "yes" if topokernels.has_cuda() else "no"),
        ],
    )
    _print(console, "Devices", list(devices(build["cuda_architectures"])))
    _print(console, "Renderers", list(renderers()))
    _print(console, "Bodies", list(body_files()))


def _print(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # Text, since a path may contain what Rich would take for markup
    console.print(table)
    console.print()
