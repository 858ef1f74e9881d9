"""Differentiable silhouette topology for PyTorch: distance maps, skeletons, chamfer, rendering.

Importing this package registers the operators as ``torch.ops.topo.*``; the functions below are
their typed, documented faces.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from topokernels._library import has_cuda  # isort: skip  first: it says what to do where nothing is compiled
from topokernels._build_info import build_info
from topokernels.chamfer import chamfer
from topokernels.d2t import d2t
from topokernels.m2s import m2s
from topokernels.rasterize import rasterize
from topokernels.s2d import s2d
from topokernels.skeleton import skeleton
from topokernels.topology_loss import topology_loss

try:
    __version__ = version("topokernels")
except PackageNotFoundError:
    __version__ = build_info()["version"]

__all__ = [
    "build_info",
    "chamfer",
    "d2t",
    "has_cuda",
    "m2s",
    "rasterize",
    "s2d",
    "skeleton",
    "topology_loss",
]
