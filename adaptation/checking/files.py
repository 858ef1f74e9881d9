"""Check files and folders other than recordings: networks, priors, poses, keypoints, bodies, crops, results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import nn

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL
from adaptation.checking.masks import check_masks
from adaptation.checking.recognise import Kind
from adaptation.checking.verdict import Use, Verdict
from adaptation.data.openpose import read_openpose, to_body_joints
from adaptation.data.pose_files import read_poses
from adaptation.data.samples import Samples
from adaptation.priors.latent import LatentPosePrior
from adaptation.recording.results import PersonResult
from adaptation.regressors.base import crop_rule
from adaptation.regressors.files import load_network
from adaptation.regressors.running import predict_in
from adaptation.support.errors import UserError, reason
from adaptation.support.files import MARKER

NETWORK_COMMANDS = ("adapt --model", "predict --model", "evaluate --model")


def check_network(name: str, size: int) -> Verdict:
    """Load a regressor and let it predict two crops.

    Args:
        name: file, "small", or ``package.module:function``.
        size: side of the crops that it is given, pixels.

    Raises:
        UserError: it cannot be loaded.
    """
    loaded = load_network(name)
    network = loaded.network
    size = rule.size if (rule := crop_rule(network)) is not None else size
    weights = sum(parameter.numel() for parameter in network.parameters())
    norms = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    facts = [
        ("network", type(getattr(network, "network", network)).__name__),
        ("weights", f"{weights / 1e6:.1f} million"),
        ("batch norms", f"{norms}" if norms else "none, so that --layers norms has nothing to adapt"),
    ]
    try:
        facts += _predicted(network, size)
    except Exception as error:  # a user's network may raise anything
        why = f"it fails on crops of {size} pixels: {reason(error)}"
        advice = ["give the size of its crops with --size, or wrap it (docs/your_model.md)"]
        return Verdict("regressor", facts, [Use(command, False, why) for command in NETWORK_COMMANDS], advice)
    return Verdict("regressor", facts, [Use(command, True) for command in NETWORK_COMMANDS])


def _predicted(network: nn.Module, size: int) -> list[tuple[str, str]]:
    """Predict two grey crops and return what came out.

    Raises:
        ValueError: the prediction is not one that can be used.
    """
    images = torch.full((2, 3, size, size), 0.5)
    with torch.no_grad():
        predict_in("float32", network, images)  # the first call prepares kernels
        started = time.perf_counter()
        found = predict_in("float32", network, images)
        seconds = (time.perf_counter() - started) / len(images)
    duration = ("time", f"{1e3 * seconds:.0f} ms for a crop of {size} pixels on {torch.get_num_threads()} CPU threads")
    if found.parameters is None and found.mesh is not None:
        return [("predicts", f"a mesh of {found.mesh.vertices.shape[1]:,} vertices without a body model"), duration]
    rotations = found.bodies.rotations
    if rotations.shape != (len(images), len(SMPL), 3, 3):
        raise ValueError(f"its rotations have shape {tuple(rotations.shape)}, expected (B, {len(SMPL)}, 3, 3)")
    apart = (rotations @ rotations.mT - torch.eye(3)).abs().max()
    if not apart < 1e-3:  # also for nan
        raise ValueError("its rotations are not rotation matrices")
    parts = [name for name in ("latent", "heatmaps") if getattr(found, name) is not None]
    return [
        (
            "predicts",
            f"{len(SMPL)} rotations, {found.bodies.betas.shape[1]} shape coefficients, a camera"
            + "".join(f", {part}" for part in parts),
        ),
        duration,
    ]


def check_prior(path: Path) -> Verdict:
    """Read a latent pose prior.

    Raises:
        UserError: it cannot be read.
    """
    prior = LatentPosePrior.load(path)
    facts = [("hidden units", f"{prior.hidden}")]
    return Verdict("latent pose prior", facts, [Use("fit --prior", True), Use("adapt --prior", True)])


def check_poses(path: Path) -> Verdict:
    """Read a file of poses.

    Raises:
        UserError: it cannot be read, or does not hold poses.
    """
    poses = read_poses(path)
    angles = torch.rad2deg(poses.norm(dim=-1))
    facts = [
        ("poses", f"{len(poses)} of {poses.shape[1]} joints, axis-angle"),
        (
            "angles",
            f"median {angles[:, 1:].median():.0f} degrees, at most {angles[:, 1:].max():.0f} (without the root)",
        ),
    ]
    return Verdict("poses", facts, [Use("prior --poses", True)])


def check_keypoints(folder: Path) -> Verdict:
    """Read a folder of OpenPose's JSON files.

    Raises:
        UserError: it cannot be read.
    """
    keypoints = read_openpose(folder)
    joints = to_body_joints(keypoints)
    somebody = (keypoints[..., 2] > 0).any(1)
    seen = joints[somebody][..., 2] > 0
    facts = [
        ("images", f"{len(keypoints)}, {int((~somebody).sum())} of them without a person"),
        ("layout", f"{keypoints.shape[1]} keypoints"),
        ("joints", f"{seen.sum(1).mean():.1f} of the body's {len(SMPL)} joints on average"),
    ]
    return Verdict("keypoints of OpenPose", facts, [Use("keypoints --from", True, "one file per crop is needed")])


def check_body(path: Path) -> Verdict:
    """Read a body model.

    Raises:
        UserError: it cannot be used.
    """
    body = Body.load(path)
    height = float(np.ptp(body(torch.zeros(1, len(SMPL), 3), torch.zeros(1, 10)).vertices[0, :, 1].numpy()))
    facts = [
        ("mesh", f"{body.vertex_count} vertices, {len(body.faces)} faces"),
        ("height", f"{height:.2f} m at rest with mean shape"),
        ("name in labels", body.name),
    ]
    commands = ("fit", "predict", "adapt", "evaluate", "pretrain", "keypoints")
    return Verdict("body model with SMPL's keys", facts, [Use(f"{command} --body", True) for command in commands])


def check_crops(folder: Path) -> Verdict:
    """Read a crop set.

    Raises:
        UserError: it cannot be read.
    """
    samples = Samples.load(folder)
    names = [field.name for field in fields(samples) if not field.name.startswith("has_")]
    arrays = [name for name in names if isinstance(getattr(samples, name), np.ndarray)]
    facts = [
        ("crops", f"{len(samples)} of {samples.size} pixels, {len(set(samples.sequences.tolist()))} sequences"),
        ("parts", ", ".join(arrays)),
        ("labels", f"of the body model {samples.body!r}" if samples.labelled else "none, or not for all crops"),
    ]
    masks = samples.masks is not None
    why = "" if samples.labelled else "it has no labels (pose, betas, camera)"
    uses = [
        Use("adapt (target)", masks, "" if masks else "it has no masks (masks.npy)"),
        *(
            Use(command, samples.labelled, why)
            for command in ("adapt --source", "adapt --test", "evaluate", "pretrain")
        ),
    ]
    return Verdict("crop set", facts, uses)


def check_person(path: Path) -> Verdict:
    """Read the bodies of one person, as `fit` and `predict` write them.

    Raises:
        UserError: it cannot be read.
    """
    person = PersonResult.load(path)
    facts = [
        ("bodies", f"{len(person)}, frames {person.frame.min()} to {person.frame.max()}"),
    ]
    if person.judged:
        facts.append(("IoU", f"median {np.median(person.iou_after):.2f} with the masks"))
    return Verdict(
        "bodies of one person, written by topo-adapt",
        facts,
        [Use("export", True, "with the folder that it is in"), Use("your own program", True, "see docs/adaptation.md")],
    )


def check_results(folder: Path) -> Verdict:
    """Read what a result folder says of itself.

    Raises:
        UserError: its settings cannot be read.
    """
    try:
        settings = json.loads((folder / MARKER).read_bytes())
        command = str(settings.get("command") or "not recorded")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / MARKER} cannot be read: {error}") from None
    pages = [page.relative_to(folder) for page in sorted(folder.rglob("*.html"))]
    facts = [
        ("command", command),
        ("people", f"{len(list(folder.glob('person_*.npz')))}"),
        ("reports", ", ".join(map(str, pages)) or "none"),
    ]
    weights = sorted(folder.glob("adapted.*"))
    uses = [Use(f"predict --model {weights[0]}", True), Use("export --format onnx", True)] if weights else []
    if sorted(folder.glob("person_*.npz")) or (folder / "bodies").is_dir():
        uses.append(Use("export", True, "to glTF, BVH, OBJ or AMASS's npz"))
    return Verdict("results of topo-adapt", facts, [*uses, Use("a browser", bool(pages), "open the reports")])


CHECKS: dict[Kind, Callable[[Path], Verdict]] = {
    "masks": check_masks,
    "prior": check_prior,
    "poses": check_poses,
    "keypoints": check_keypoints,
    "body": check_body,
    "crops": check_crops,
    "person": check_person,
    "results": check_results,
}
"""Checks that need nothing but the path."""
