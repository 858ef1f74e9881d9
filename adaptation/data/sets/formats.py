"""The formats of data sets, by the names that the command line uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adaptation.data.sets.coco import read_coco
from adaptation.data.sets.human36m import read_human36m
from adaptation.data.sets.lsp import read_lsp, read_lspet
from adaptation.data.sets.mpi_inf_3dhp import read_3dhp
from adaptation.data.sets.mpii import read_mpii
from adaptation.data.sets.people import People
from adaptation.data.sets.spin import read_spin
from adaptation.data.sets.surreal import read_surreal
from adaptation.data.sets.threedpw import read_threedpw
from adaptation.data.sets.up3d import read_up3d
from adaptation.support.errors import UserError


@dataclass(frozen=True)
class Request:
    """Which part of a data set is read.

    Attributes:
        path: file or folder of the set.
        split: name of a split; None takes the format's default.
        every: frames of which one is kept; None takes the format's default.
        masks: folder of masks that are stored apart from the set.
    """

    path: Path
    split: str | None = None
    every: int | None = None
    masks: Path | None = None


@dataclass(frozen=True)
class Format:
    """A format and its reader; options without a default have no effect on it, and are refused."""

    read: Callable[[Request], People]
    path: str
    split: str | None = None
    every: int | None = None
    masks: bool = False


def _every(request: Request, usual: int) -> int:
    return usual if request.every is None else request.every


FORMATS: dict[str, Format] = {
    "spin": Format(
        lambda wanted: read_spin(wanted.path, wanted.masks), "npz file of SPIN, ProHMR or 4D-Humans", masks=True
    ),
    "3dpw": Format(
        lambda wanted: read_threedpw(wanted.path, wanted.split or "test"), "folder with sequenceFiles", "test"
    ),
    "h36m": Format(
        lambda wanted: read_human36m(wanted.path, _every(wanted, 5)), "folder of Moon et al.'s JSON files", every=5
    ),
    "3dhp": Format(
        lambda wanted: read_3dhp(
            wanted.path, wanted.split or "test", _every(wanted, 10 if wanted.split == "train" else 1)
        ),
        "folder of MPI-INF-3DHP",
        "test",
        every=10,
    ),
    "coco": Format(lambda wanted: read_coco(wanted.path), "person_keypoints_*.json"),
    "mpii": Format(lambda wanted: read_mpii(wanted.path), "mpii_human_pose_v1_u12_1.mat"),
    "lsp": Format(
        lambda wanted: read_lsp(wanted.path, wanted.split or "test", wanted.masks),
        "folder with joints.mat",
        "test",
        masks=True,
    ),
    "lspet": Format(lambda wanted: read_lspet(wanted.path), "folder with joints.mat"),
    "surreal": Format(
        lambda wanted: read_surreal(wanted.path, _every(wanted, 1)), "folder with *_info.mat files", every=1
    ),
    "up3d": Format(lambda wanted: read_up3d(wanted.path, wanted.split or "all"), "folder up-3d", "all"),
}
"""Readers by the name of the format."""


def read_people(name: str, request: Request) -> People:
    """Read a data set.

    Args:
        name: key of `FORMATS`.
        request: which part of it.

    Raises:
        UserError: the format is unknown, an option has no effect on it, or the set cannot be read.
    """
    if name not in FORMATS:
        more = "; poses of AMASS are read by `topo-adapt poses`" if name == "amass" else ""
        raise UserError(f"unknown format {name!r}; known are {', '.join(FORMATS)}{more}")
    chosen = FORMATS[name]
    for option, given, known in (
        ("--split", request.split, chosen.split is not None),
        ("--every", request.every, chosen.every is not None),
        ("--masks", request.masks, chosen.masks),
    ):
        if given is not None and not known:
            raise UserError(f"{option} has no effect on the format {name}; leave it out")
    if not request.path.exists():
        raise UserError(f"no such file or folder: {request.path}; expected: {chosen.path}")
    return chosen.read(request)
