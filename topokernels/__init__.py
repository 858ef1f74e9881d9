"""Differentiable silhouette topology for PyTorch: distance maps, skeletons, chamfer distances, rendering.

Importing this package registers the operators as ``torch.ops.topo.*``. The functions below are typed and documented
wrappers around them. Every name in ``__all__`` is public; modules that begin with an underscore are not.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from topokernels._library import has_cuda  # isort: skip  first: its error explains a package that is not compiled
from topokernels._build_info import build_info
from topokernels._reduction import Reduction
from topokernels._registration import BackwardMode
from topokernels.chamfer import chamfer
from topokernels.components import ComponentStats, Connectivity, component_stats, connected_components
from topokernels.d2t import d2t
from topokernels.edt import edt
from topokernels.m2s import m2s
from topokernels.mask_chamfer import mask_chamfer
from topokernels.measures import assd, boundary_iou, hausdorff, hd95, nsd
from topokernels.morphology import Shape, boundary_band, closing, dilate, erode, opening
from topokernels.rasterize import rasterize
from topokernels.s2d import s2d
from topokernels.selection import fill_holes, largest, remove_small
from topokernels.skeleton import skeleton
from topokernels.thinning import ThinMethod, thin
from topokernels.topology_loss import TargetTopology, target_topology, topology_loss

try:
    __version__ = version("topokernels")
except PackageNotFoundError:
    # A compiled source tree on the path has no installed metadata.
    __version__ = build_info()["version"]

__all__ = [
    "BackwardMode",  # type of the option `backward`: "subgradient" or "literal"
    "ComponentStats",  # what component_stats returns
    "Connectivity",  # type of the option `connectivity`: 8 or 4
    "Reduction",  # type of the option `reduction`: "none", "mean" or "sum"
    "Shape",  # type of the option `shape`: "disc" or "square"
    "TargetTopology",  # a target of topology_loss, prepared by target_topology
    "ThinMethod",  # type of the option `method` of thin: "zhang-suen" or "guo-hall"
    "assd",  # average symmetric surface distance of two masks
    "boundary_band",  # pixels near the outline of a mask
    "boundary_iou",  # IoU of the bands along two outlines
    "build_info",  # compiler, CUDA toolkit, architectures and SIMD levels of this build
    "chamfer",  # chamfer distance of two masks
    "closing",  # dilation, then erosion
    "component_stats",  # number, areas, boxes and centroids of labelled components
    "connected_components",  # labels of the connected components of a mask
    "d2t",  # distance map to topological skeleton
    "dilate",  # dilation of a mask by a disc or square
    "edt",  # exact Euclidean distance map of a mask
    "erode",  # erosion of a mask by a disc or square
    "fill_holes",  # a mask without its holes
    "has_cuda",  # whether the CUDA kernels are loaded
    "hausdorff",  # Hausdorff distance of the outlines of two masks, or a percentile of it
    "hd95",  # its 95th percentile
    "largest",  # the largest component of a mask
    "m2s",  # mesh to silhouette
    "mask_chamfer",  # the two terms of chamfer or topology_loss, for a target whose distance map is known
    "nsd",  # normalised surface distance (surface Dice) of two masks
    "opening",  # erosion, then dilation
    "rasterize",  # nearest face, barycentrics and depth of a mesh
    "remove_small",  # a mask without its small components
    "s2d",  # silhouette to distance map
    "skeleton",  # topological skeleton of a mask
    "target_topology",  # skeleton of a fixed target and its distance map
    "thin",  # thin, connected skeleton of a mask
    "topology_loss",  # chamfer distance of the skeletons of two masks
]
