"""`topo-adapt smplify` on recordings and crops, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Command
from openpose_files import write

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import OPENPOSE_LAYOUTS
from adaptation.data.samples import Samples
from adaptation.recording.results import PersonResult
from adaptation.synthetic.hall import SyntheticClip
from adaptation.synthetic.keypoints import simulated_keypoints

QUICK = ["--preset", "tiny", "--steps", "3"]


def body_25(joints: np.ndarray) -> dict[str, list[float]]:
    """One person of OpenPose's file, from places (24, 2) in pixels."""
    from adaptation.bodies.joint_sets import SMPL

    numbers = np.zeros((25, 3))
    for name, place in OPENPOSE_LAYOUTS[25].items():
        numbers[place] = *(joints[SMPL.joints.index(name)] - 0.5), 0.9
    return {"pose_keypoints_2d": numbers.ravel().tolist()}


@pytest.fixture(scope="module")
def openpose(recording: SyntheticClip, free_body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenPose's files of the recording of two people."""
    contents = []
    for number in recording.frame:
        seen = [joints for joints in recording.joints2d[:, number] if _inside(joints, recording)]
        contents.append({"people": [body_25(joints) for joints in seen]})
    return write(tmp_path_factory.mktemp("openpose") / "json", *contents)


def _inside(joints: np.ndarray, recording: SyntheticClip) -> bool:
    height, width = recording.background.shape[:2]
    return bool(((joints > 0) & (joints < [width, height])).all())


@pytest.fixture(scope="module")
def crops(target: Samples, free_body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve crops with keypoints."""
    import torch

    few = target.take(slice(0, 12))
    keypoints = simulated_keypoints(few, free_body, 0.5, 0.0, torch.Generator().manual_seed(0))
    keypoints[3] = 0  # nobody was found
    folder = tmp_path_factory.mktemp("crops")
    replace(few, keypoints=keypoints).save(folder, {})
    return folder


def test_people_of_a_recording(recording_folder: Path, openpose: Path, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["smplify", recording_folder, "--keypoints", openpose, "--frames", "17-19", "--out", out, *QUICK]
    code, output, errors = command(*arguments)
    assert code == 0, errors
    assert "3 frames" in output and "IoU" not in output
    files = sorted(out.glob("person_*.npz"))
    assert len(files) == 2
    people = [PersonResult.load(file) for file in files]
    assert all(not person.judged for person in people)
    assert {int(frame) for person in people for frame in person.frame} == {17, 18, 19}
    report = (out / "report.html").read_text()
    # Nothing is said of an agreement with masks that do not exist.
    assert "SMPLify" in report and "There are no masks" in report and ">nan" not in report
    assert "IoU before" not in report and "IoU <b>" not in report
    assert json.loads((out / "settings.json").read_text())["options"]["smplify"]["prior"] == "mixture"
    # Other commands read them.
    assert command("export", out, "--format", "npz", "--person", 1, "--fps", 5, "--out", tmp_path / "a.npz")[0] == 0
    code, output, _ = command("check", out)
    assert code == 0


def test_masks_beside_keypoints(recording_folder: Path, openpose: Path, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["smplify", recording_folder, "--keypoints", openpose, "--silhouettes", "--frames", "18"]
    code, output, errors = command(*arguments, "--out", out, *QUICK, "--focal", 300)
    assert code == 0, errors
    assert "IoU" in output
    for file in out.glob("person_*.npz"):
        person = PersonResult.load(file)
        assert person.judged and (person.iou_after > 0.2).all()


def test_crops_are_fitted_and_evaluated(crops: Path, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, output, errors = command("smplify", crops, "--out", out, *QUICK)
    assert code == 0, errors
    assert "11 bodies" in output and "fewer than 4" in (out / "report.html").read_text()
    code, output, errors = command("evaluate", "--model", out, crops)
    assert code == 0 and "MPJPE" in output, errors
    # Results of a recording are no bodies of these crops.
    settings = json.loads((out / "settings.json").read_text())
    settings["recording"]["size"] = [640, 480]
    (out / "settings.json").write_text(json.dumps(settings))
    code, _, errors = command("evaluate", "--model", out, crops)
    assert code == 2 and "holds no bodies of these crops" in errors
    code, _, errors = command("evaluate", "--model", out, crops, "--mirror")
    assert code == 2 and "--mirror are for regressors" in errors


def refused(command: Command, *arguments: object) -> str:
    code, _, errors = command("smplify", *arguments)
    assert code == 2 and len(errors.strip().splitlines()) == 1, errors
    return errors


def test_misuse(recording_folder: Path, openpose: Path, crops: Path, command: Command, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "out"]
    few = write(tmp_path / "few", {"people": []})
    nobody = write(tmp_path / "nobody", *[{"people": []}] * 40)
    unsure = json.loads((openpose / "018_keypoints.json").read_text())
    for person in unsure["people"]:
        person["pose_keypoints_2d"][12:] = [0.0] * 63
    sparse = write(tmp_path / "sparse", *[unsure] * 40)
    bad = write(tmp_path / "bad", *["not json"] * 40)
    gmm = tmp_path / "gmm_08.pkl"
    gmm.write_bytes(b"\x80\x02}q\x00.")
    cases = [
        ([recording_folder], "whose keypoints are needed: --keypoints"),
        ([tmp_path / "none", "--keypoints", openpose], "there is no such file or folder"),
        ([recording_folder, "--keypoints", few], "1 JSON files for 40 frames; expected one per frame"),
        ([recording_folder, "--keypoints", nobody], "none of the 40 JSON files contains a person"),
        ([recording_folder, "--keypoints", sparse], "nobody with at least 4 keypoints"),
        ([recording_folder, "--keypoints", bad], "is not readable JSON"),
        ([recording_folder, "--keypoints", openpose, "--frames", "99"], "99"),
        ([recording_folder, "--keypoints", openpose, "--preset", "huge"], "--preset must be one of tiny, small, paper"),
        ([recording_folder, "--keypoints", openpose, "--prior", gmm], "expected a pickled dict of the arrays"),
        ([recording_folder, "--keypoints", openpose, "--prior", "nice"], "no pose prior 'nice'"),
        ([recording_folder, "--keypoints", crops], "does not say where in a recording its keypoints are"),
        ([crops, "--keypoints", openpose], "is a folder of crops; add keypoints with"),
        ([crops, "--masks", openpose], "choose them with --mask-kind"),
        ([crops, "--frames", "1"], "are for recordings"),
        ([crops, "--mask-kind", "red"], "--mask-kind must be one of"),
    ]
    for arguments, message in cases:
        assert message in refused(command, *QUICK, *arguments, *out), arguments
        assert not (tmp_path / "out").exists()


def test_crops_without_keypoints_or_masks(target: Samples, crops: Path, command: Command, tmp_path: Path) -> None:
    target.take(slice(0, 2)).save(tmp_path / "plain", {})
    assert "`topo-adapt keypoints` adds them" in refused(command, tmp_path / "plain", "--out", tmp_path / "out")
    replace(Samples.load(crops), masks=None).save(tmp_path / "maskless", {})
    arguments = [tmp_path / "maskless", "--silhouettes", "--out", tmp_path / "out"]
    assert "has no masks" in refused(command, *arguments)


def test_a_mixture_is_trained_and_used(crops: Path, command: Command, tmp_path: Path) -> None:
    from adaptation.data.pose_library import real_poses

    np.savez(tmp_path / "poses.npz", pose=real_poses().numpy())
    prior = tmp_path / "mixture.safetensors"
    code, output, errors = command("prior", "--kind", "mixture", "--poses", tmp_path / "poses.npz", "--out", prior)
    assert code == 0 and "8 Gaussians" in output, errors
    code, _, errors = command("smplify", crops, "--prior", prior, "--out", tmp_path / "out", *QUICK)
    assert code == 0, errors
