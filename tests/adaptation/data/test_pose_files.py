"""Files of poses as people have them: every form is recognised by its values, converted or refused."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import fuzzing
import numpy as np
import pytest
import roma
import torch
from dataset_files import write_threedpw

from adaptation.bodies.body import Body
from adaptation.bodies.poses import sample_poses
from adaptation.bodies.rotations import matrix_to_rot6d
from adaptation.data.pose_files import read_poses
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

COUNT = 60
POSES = sample_poses(COUNT, torch.Generator().manual_seed(0))
MATRICES = roma.rotvec_to_rotmat(POSES.double())
FLAT = POSES.numpy().reshape(COUNT, 72)
BODY_MATRICES = MATRICES.numpy()[:, 1:]
FINGERS = np.full((COUNT, 99), 0.1, np.float32)


def six(layout: str) -> np.ndarray:
    return matrix_to_rot6d(MATRICES, layout).flatten(1).numpy()


ACCEPTED = {
    "SMPL": ({"poses": FLAT}, 24, None),
    "SPIN": ({"pose": FLAT.astype(np.float64), "imgname": np.array(["a"] * COUNT)}, 24, None),
    "joints": ({"pose": FLAT.reshape(COUNT, 24, 3)}, 24, None),
    "AMASS": ({"poses": np.concatenate([FLAT[:, :66], FINGERS[:, :90]], 1), "trans": FLAT[:, :3]}, 22, None),
    "SMPL-X": ({"poses": np.concatenate([FLAT[:, :66], FINGERS], 1)}, 22, None),
    "shared joints": ({"poses": FLAT[:, :66]}, 22, None),
    "root and body": ({"root_orient": FLAT[:, :3], "pose_body": FLAT[:, 3:66], "pose_hand": FINGERS}, 22, "are joined"),
    "smplx": ({"global_orient": FLAT[:, None, :3], "body_pose": FLAT[:, 3:]}, 24, "and body_pose are joined"),
    "4D-Humans": (
        {"global_orient": MATRICES.numpy()[:, :1], "body_pose": BODY_MATRICES}, 24, "body_pose holds rotation matrices"
    ),
    "root of one matrix": ({"global_orient": MATRICES.numpy()[:, 0], "body_pose": BODY_MATRICES}, 24, "matrices"),
    "no root": ({"body_pose": FLAT[:, 3:]}, 24, "without the rotation of the root, which is taken as zero"),
    "matrices": ({"poses": MATRICES.numpy()}, 24, "poses holds rotation matrices, which are converted"),
    "flat matrices": ({"pose": MATRICES.numpy().reshape(COUNT, 216)}, 24, "rotation matrices"),
    "interleaved": ({"pose": six("interleaved")}, 24, "pose holds six numbers, which are converted"),
    "concatenated": ({"pose": six("concatenated").reshape(COUNT, 24, 6)}, 24, "six numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_forms_and_keys(name: str, tmp_path: Path) -> None:
    arrays, joints, finding = ACCEPTED[name]
    np.savez(tmp_path / "poses.npz", **arrays)
    with kept_findings() as findings:
        poses = read_poses(tmp_path / "poses.npz")
    assert poses.shape == (COUNT, 24, 3) and poses.dtype == torch.float32
    first = 1 if name == "no root" else 0
    torch.testing.assert_close(
        roma.rotvec_to_rotmat(poses[:, first:joints].double()), MATRICES[:, first:joints], rtol=0, atol=1e-5
    )
    assert not poses[:, :first].any() and not poses[:, joints:].any()
    assert bool(findings) == bool(finding) and (not finding or any(finding in line for line in findings))


def test_other_files(tmp_path: Path) -> None:
    np.save(tmp_path / "poses.npy", FLAT)
    results = {"smpl_params_global": {"global_orient": POSES[:, 0], "body_pose": POSES[:, 1:22].flatten(1)}}
    torch.save({**results, "smpl_params_incam": results["smpl_params_global"]}, tmp_path / "results.pt")
    (tmp_path / "poses.pkl").write_bytes(pickle.dumps({"smpl_poses": FLAT, "smpl_scaling": np.ones(1)}))
    np.save(tmp_path / "dict.npy", {"poses": FLAT}, allow_pickle=True)
    with kept_findings() as findings:
        for path in sorted(tmp_path.iterdir()):
            torch.testing.assert_close(read_poses(path)[:, :22], POSES[:, :22])
    assert any("those at 'smpl_params_global' are taken" in line for line in findings)


def moved(scale: float) -> np.ndarray:
    """Joints of bodies of several shapes in metres times a scale, in front of a camera."""
    betas = torch.randn(COUNT, 10, generator=torch.Generator().manual_seed(1))
    return scale * (Body.free().joints(POSES, betas).numpy() + np.array([0.3, 0.1, 2.0], np.float32))


REFUSED = {
    "SMPL without its root": ({"poses": FLAT[:, 3:]}, r"shape \(60, 69\), which is not axis-angle of 22 or 24"),
    "quaternions": ({"poses": np.ones((COUNT, 24, 4))}, r"shape \(60, 24, 4\), which is not axis-angle"),
    "HMR's 85 numbers": ({"pose": np.ones((COUNT, 85))}, r"\(60, 85\), which is not axis-angle"),
    "degrees": ({"poses": np.degrees(FLAT)}, "they may be in degrees"),
    "more than a turn": ({"poses": FLAT + 4 * np.pi}, "expected at most 6.28"),
    "NaN": ({"poses": np.where(np.arange(72) == 5, np.nan, FLAT)}, "poses holds NaN or infinity"),
    "zeros": ({"poses": np.zeros((COUNT, 72))}, "all poses are zero"),
    "positions": ({"pose": moved(1)}, "look like positions of joints"),
    "positions in millimetres": ({"pose": moved(1000)}, "look like positions of joints"),
    "no rotation matrices": ({"poses": MATRICES.numpy() * 1.2}, "has the shape of rotation matrices, but is none"),
    "mirrored matrices": ({"poses": -MATRICES.numpy()}, "has the shape of rotation matrices, but is none"),
    "raw six numbers": ({"poses": six("interleaved") * 1.3}, "in neither layout two columns"),
    "few": ({"poses": FLAT[:39]}, "expected at least 40 poses"),
    "text": ({"poses": np.array([["a"] * 72] * COUNT)}, "poses is <U1 of shape"),
    "objects": ({"poses": np.array([None, {}])}, "poses is object"),
    "other keys": ({"joints": FLAT, "trans": FLAT[:, :3]}, r"got joints \(60, 72\), trans \(60, 3\)"),
    "root of other poses": ({"global_orient": FLAT[:50, :3], "body_pose": FLAT[:, 3:]}, "global_orient has 50 poses"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_plausible_is_refused(name: str, tmp_path: Path) -> None:
    arrays, message = REFUSED[name]
    np.savez(tmp_path / "poses.npz", **arrays)
    with pytest.raises(UserError, match=message) as caught:
        read_poses(tmp_path / "poses.npz")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_still_people_are_no_positions(tmp_path: Path) -> None:
    still = POSES[:1] + 0.02 * torch.randn(COUNT, 24, 3, generator=torch.Generator().manual_seed(2))
    np.save(tmp_path / "still.npy", still.numpy())
    torch.testing.assert_close(read_poses(tmp_path / "still.npy"), still)


def test_other_kinds_are_named_and_nothing_is_executed(tmp_path: Path) -> None:
    for content, message in (
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "found an HDF5 file, expected poses in an npz or npy"),
        (b"cos\nsystem\n(S'touch ran'\ntR.", "found a text file"),
        (b"\x80\x02cos\nsystem\n(S'touch ran'\ntR.", "holds objects of os.system, which are not loaded"),
        (b"\x80\x04\x95", "is damaged, or not a plain pickle"),
        (pickle.dumps({"poses": [FLAT, FLAT[:9]]}), "poses is not one array of numbers"),
        (pickle.dumps({"poses": [FLAT, FLAT]}), r"poses has shape \(2, 60, 72\)"),
    ):
        (tmp_path / "poses").write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_poses(tmp_path / "poses")


def read_and_check(path: Path) -> None:
    """Read poses; whatever is accepted is finite and of the documented shape."""
    poses = read_poses(path)
    assert poses.shape[1:] == (24, 3) and len(poses) >= 40 and torch.isfinite(poses).all()
    assert poses.norm(dim=2).max() <= 2 * np.pi + 1e-3


def test_damaged_files_end_in_one_line() -> None:
    good = []
    for arrays in (ACCEPTED["SMPL"][0], ACCEPTED["4D-Humans"][0]):
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        good.append(stream.getvalue())
    stream = io.BytesIO()
    np.save(stream, FLAT)
    good += [stream.getvalue(), pickle.dumps({"poses": FLAT}, protocol=4)]
    outcome = fuzzing.fuzz(read_and_check, good, ".npz", count=300)
    print(outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:5])
    assert outcome.counts["refused"] > 120 and outcome.counts["read"]


def test_poses_without_a_fit_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pose = sample_poses(50, torch.Generator().manual_seed(0)).numpy().reshape(50, 72)
    flags = np.arange(50) < 45
    np.savez(tmp_path / "spin.npz", pose=np.where(flags[:, None], pose, 100.0), has_smpl=flags.astype(np.int64))
    caplog.set_level("INFO", "adaptation.found")
    assert np.allclose(read_poses(tmp_path / "spin.npz").numpy().reshape(45, 72), pose[:45])
    assert "45 of 50 poses are fits (has_smpl); the others are left out" in caplog.text


def test_sequences_of_3dpw_are_sent_to_the_converter(tmp_path: Path) -> None:
    write_threedpw(tmp_path / "a.pkl")
    with pytest.raises(UserError, match="is a sequence of 3DPW; topo-adapt poses converts it"):
        read_poses(tmp_path / "a.pkl")
