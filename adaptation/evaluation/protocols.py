"""The published protocols: which crops and joints count, what is aligned, and the convention in words.

Sources: SPIN, ``eval.py`` and ``constants.py``, for Human3.6M, 3DPW, MPI-INF-3DHP and LSP; the evaluation of
MPI-INF-3DHP (``mpii_compute_3d_pck.m``, ``mpii_get_pck_auc_joint_groups.m``) for PCK and AUC; evalMPII for PCKh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adaptation.bodies.joint_sets import LSP, SPIN
from adaptation.support.errors import UserError

Measure = Literal["joints", "segmentation", "keypoints"]
_LIMBS = SPIN.joints[:12]
_FOURTEEN = (*_LIMBS, "neck", "head")
_SEVENTEEN = (*_FOURTEEN, "pelvis", "spine", "jaw")
_REGRESSED = "predicted joints are J_regressor_h36m times the vertices of the predicted mesh"
_ALIGNED = (
    "MPJPE with the pelvises aligned; PA-MPJPE after a similarity transform without reflection for each crop; means "
    "over joints and crops, mm"
)


@dataclass(frozen=True)
class Protocol:
    """A protocol.

    Attributes:
        name: name on the command line.
        measure: what is measured: 3D "joints", the "segmentation", or 2D "keypoints".
        text: the convention in words; printed and stored with every figure.
        joints: joints that count, by the names of the crop set's joint set.
        regressed: whether predicted joints are regressed from the mesh; otherwise they are SMPL's own.
        subjects, views: numbers of the subjects and cameras that count; empty for all.
        frames: frames of which one counts, from frame 0.
        pck: joints of PCK and AUC; empty if these are not reported.
    """

    name: str
    measure: Measure
    text: str
    joints: tuple[str, ...] = ()
    regressed: bool = False
    subjects: tuple[int, ...] = ()
    views: tuple[int, ...] = ()
    frames: int = 1
    pck: tuple[str, ...] = ()


_LISTED = (
    Protocol(
        "h36m-p1",
        "joints",
        "Human3.6M, protocol 1 of SPIN: subjects 9 and 11, all four cameras, every fifth frame; 14 joints of LSP "
        f"(Human3.6M's top of the head), {_REGRESSED}; {_ALIGNED}",
        _FOURTEEN,
        regressed=True,
        subjects=(9, 11),
        views=(54138969, 55011271, 58860488, 60457274),
        frames=5,
    ),
    Protocol(
        "h36m-p2",
        "joints",
        "Human3.6M, protocol 2 of SPIN and HMR: subjects 9 and 11, camera 60457274 alone, every fifth frame; 14 joints "
        f"of LSP (Human3.6M's top of the head), {_REGRESSED}; {_ALIGNED}",
        _FOURTEEN,
        regressed=True,
        subjects=(9, 11),
        views=(60457274,),
        frames=5,
    ),
    Protocol(
        "3dpw",
        "joints",
        "3DPW as in SPIN: every person in every frame of the set with a valid camera; 14 joints of LSP, true joints "
        f"regressed from the mesh of the male or female model, {_REGRESSED}, both in metres without any rescaling; "
        f"{_ALIGNED}",
        _FOURTEEN,
        regressed=True,
    ),
    Protocol(
        "3dhp",
        "joints",
        f"MPI-INF-3DHP: all people of the set; MPJPE over 17 joints, {_REGRESSED}; PCK is the share of errors below "
        "150 mm, AUC the mean of PCK at 0, 5, ..., 150 mm, both over 14 joints (without pelvis, spine and jaw), with "
        "the pelvises aligned and, as PA, after alignment over the 17; truth as in the set (univ_annot3 for its test "
        f"set); {_ALIGNED}",
        _SEVENTEEN,
        regressed=True,
        pck=_FOURTEEN,
    ),
    Protocol(
        "smpl14",
        "joints",
        "14 joints as in LSP of SMPL's own 24, with its head joint for the top of the head, so that no regressor is "
        f"needed; not comparable with published figures; {_ALIGNED}",
        LSP.joints,
    ),
    Protocol(
        "lsp",
        "segmentation",
        "LSP with the masks and parts of UPi-S1h, as in SPIN: accuracy and F1 over all pixels of all images in frame "
        "pixels, with what lies beside a crop as background; F1 is the mean over the classes, with the background; six "
        "parts (head, trunk, arms, legs) of the predicted mesh by its skinning weights",
    ),
    Protocol(
        "mpii",
        "keypoints",
        "PCKh@0.5 of the predicted body's joints, or of regressed ones with a regressor: joints within half a head "
        "of the annotation, among all annotated ones, visible or hidden; the head is 0.6 times the diagonal of MPII's "
        "rectangle, or, where the set has none, the line from the neck to its top",
        (*_LIMBS, "neck"),
    ),
)
PROTOCOLS: dict[str, Protocol] = {each.name: each for each in _LISTED}
"""All protocols, by name."""


def protocol_by_name(name: str) -> Protocol:
    """Return a protocol.

    Raises:
        UserError: the name is unknown.
    """
    if name not in PROTOCOLS:
        raise UserError(f"--protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]
