from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

import adaptation
from adaptation.bodies.body import FLIP_PERMUTATION, JOINT_NAMES, PARENTS, Body, _levels, mirror_pose
from adaptation.bodies.smpl_file import SmplArrays, load_smpl
from adaptation.support.errors import UserError

LEFT = [i for i, name in enumerate(JOINT_NAMES) if name.startswith("left")]
BODIES = [False, True]
TREE = np.array([PARENTS, range(24)], np.int64)


def random_arrays(vertices: int = 60, posedirs: bool = True) -> SmplArrays:
    random = np.random.default_rng(0)
    weights, regressor = random.random((vertices, 24)) ** 4, random.random((24, vertices)) ** 4
    return SmplArrays(
        v_template=random.normal(size=(vertices, 3)),
        shapedirs=random.normal(size=(vertices, 3, 10)) * 0.05,
        posedirs=random.normal(size=(vertices, 3, 207)) * 0.02 if posedirs else None,
        J_regressor=regressor / regressor.sum(axis=1, keepdims=True),
        weights=weights / weights.sum(axis=1, keepdims=True),
        f=random.integers(0, vertices, (40, 3)),
    )


def random_parameters(batch: int = 6, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(batch, 24, 3, generator=generator, dtype=torch.float64)
    betas = torch.randn(batch, 10, generator=generator, dtype=torch.float64)
    return pose.to(dtype), betas.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", ["random", "random without posedirs", "free"])
def test_equals_smplx(which: str, dtype: torch.dtype) -> None:
    smplx = pytest.importorskip("smplx")
    from smplx.utils import Struct

    arrays = load_free() if which == "free" else random_arrays(posedirs=which == "random")
    count = len(arrays.v_template)
    struct = Struct(
        v_template=arrays.v_template,
        shapedirs=arrays.shapedirs,
        posedirs=np.zeros((count, 3, 207)) if arrays.posedirs is None else arrays.posedirs,
        J_regressor=arrays.J_regressor,
        weights=arrays.weights,
        kintree_table=np.array([PARENTS, range(24)]),
        f=arrays.f,
    )
    model = smplx.SMPL(
        model_path="",
        data_struct=struct,
        create_transl=False,
        batch_size=6,
        dtype=dtype,
        # smplx's own vertices for extra joints lie beyond small meshes.
        vertex_ids=dict.fromkeys(smplx.vertex_ids.vertex_ids["smplh"], 0),
    )
    pose, betas = random_parameters(dtype=dtype)
    expected = model(global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), betas=betas)
    got = Body(arrays).to(dtype)(pose, betas)
    # float32: coordinates of several metres have a spacing of 5e-7.
    tolerance = 1e-6 if dtype == torch.float64 or which == "free" else 5e-6
    torch.testing.assert_close(got.vertices, expected.vertices, rtol=0, atol=tolerance)
    torch.testing.assert_close(got.joints, expected.joints[:, :24], rtol=0, atol=tolerance)


def load_free(full: bool = False) -> SmplArrays:
    return load_smpl(free_file(full))


def free_file(full: bool = False) -> Path:
    return Path(adaptation.__file__).parent / "assets" / ("free_body_full.npz" if full else "free_body.npz")


def test_zero_pose_is_the_rest_body() -> None:
    arrays = random_arrays()
    out = Body(arrays).double()(torch.zeros(1, 24, 3).double(), torch.zeros(1, 10).double())
    torch.testing.assert_close(out.vertices[0], torch.tensor(arrays.v_template), rtol=0, atol=1e-6)


def test_root_rotation_is_rigid_and_about_the_pelvis() -> None:
    body = Body(random_arrays())
    pose, betas = random_parameters()
    turned = pose.clone()
    turned[:, 0] = torch.tensor([0.3, -2.0, 0.7])
    before, after = body(pose, betas), body(turned, betas)
    pelvis = before.joints[:, :1]
    torch.testing.assert_close(after.joints[:, :1], pelvis)
    change = roma.rotvec_to_rotmat(turned[:, 0]) @ roma.rotvec_to_rotmat(pose[:, 0]).mT
    for a, b in ((before.vertices, after.vertices), (before.joints, after.joints)):
        torch.testing.assert_close(b, (a - pelvis) @ change.mT + pelvis, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("posedirs", [False, True])
def test_gradients(posedirs: bool) -> None:
    body = Body(random_arrays(vertices=7, posedirs=posedirs)).double()
    pose, betas = random_parameters(2, torch.float64)
    pose[0, 3] = 0  # Rotations of zero must have a gradient too.
    pose.requires_grad_()
    betas.requires_grad_()

    def outputs(pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        out = body(pose, betas)
        return out.vertices, out.joints

    assert torch.autograd.gradcheck(outputs, (pose, betas))


def test_batch_elements_are_independent_and_any_batch_works() -> None:
    body = Body.free()
    pose, betas = random_parameters()
    together = body(pose, betas)
    alone = body(pose[3:4], betas[3:4])
    torch.testing.assert_close(together.vertices[3:4], alone.vertices, rtol=0, atol=1e-5)
    assert body(pose[:0], betas[:0]).vertices.shape == (0, 1229, 3)


@pytest.mark.parametrize("full", BODIES)
def test_free_body_is_a_tpose_in_smpl_axes(full: bool) -> None:
    body = Body.free(full)
    out = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    vertices, joint = out.vertices[0], dict(zip(JOINT_NAMES, out.joints[0], strict=True))
    assert vertices.shape == (13718 if full else 1229, 3)
    assert body.faces.dtype == torch.int64
    size = vertices.amax(dim=0) - vertices.amin(dim=0)
    assert 1.6 < size[1] < 1.9
    assert 1.6 < size[0] < 1.9
    assert joint["pelvis"].norm() < 0.005
    for name in ("shoulder", "elbow", "wrist", "hand"):
        # Arms straight out, left to +x, without drooping or reaching forward.
        offset = joint[f"left_{name}"] - joint["left_shoulder"]
        assert offset[1:].abs().max() < 0.01
        assert joint[f"left_{name}"][0] > 0 > joint[f"right_{name}"][0]
    assert joint["left_shoulder"][0] < joint["left_elbow"][0] < joint["left_wrist"][0] < joint["left_hand"][0]
    # Upright, toes to the front, feet slightly apart.
    heights = [joint[n][1] for n in ("left_foot", "left_ankle", "left_knee", "left_hip", "pelvis", "neck", "head")]
    assert heights == sorted(heights)
    assert joint["left_foot"][2] - joint["left_ankle"][2] > 0.1
    assert 0.15 < joint["left_ankle"][0] - joint["right_ankle"][0] < 0.4


@pytest.mark.parametrize("full", BODIES)
def test_free_body_faces_point_outwards(full: bool) -> None:
    body = Body.free(full)
    vertices = body(torch.zeros(1, 24, 3), torch.zeros(1, 10)).vertices[0]
    a, b, c = (vertices[body.faces[:, i]] for i in range(3))
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert 0.05 < volume < 0.1  # cubic metres
    # Consistent winding: no edge is run through twice in one direction.
    edges = torch.cat([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    assert len(edges.unique(dim=0)) == len(edges)


def test_free_body_joints_lie_inside_the_limbs() -> None:
    body = Body.free()
    out = body(torch.zeros(1, 24, 3), torch.zeros(1, 10))
    a, b, c = (out.vertices[0][body.faces[:, i]].double() for i in range(3))
    for name, joint in zip(JOINT_NAMES, out.joints[0].double(), strict=True):
        # The solid angle of a closed surface is 4 pi from inside and 0 from outside (van Oosterom,
        # Strackee 1983).
        x, y, z = a - joint, b - joint, c - joint
        lx, ly, lz = x.norm(dim=1), y.norm(dim=1), z.norm(dim=1)
        above = (x * torch.linalg.cross(y, z)).sum(dim=1)
        below = lx * ly * lz + (x * y).sum(1) * lz + (y * z).sum(1) * lx + (z * x).sum(1) * ly
        turns = 2 * torch.atan2(above, below).sum() / (4 * math.pi)
        assert turns > 0.9, name


def test_free_body_betas_are_standard_deviations() -> None:
    body = Body.free()
    betas = torch.cat([torch.eye(10), -torch.eye(10)]) * 2
    vertices = body(torch.zeros(20, 24, 3), betas).vertices
    heights = vertices[..., 1].amax(dim=1) - vertices[..., 1].amin(dim=1)
    # The first is height, about 10 cm each way per unit; no shape is degenerate.
    assert 0.3 < heights[0] - heights[10] < 0.5
    assert heights.min() > 1.55
    assert heights.max() < 2.1
    rest = body(torch.zeros(1, 24, 3), torch.zeros(1, 10)).vertices
    spread = (vertices - rest).square().sum(dim=(1, 2))[:10]
    assert (spread[:-1] >= spread[1:] * 0.999).all()


def test_mirrored_pose_gives_the_mirrored_body() -> None:
    body = Body.free()
    generator = torch.Generator().manual_seed(1)
    pose = 0.5 * torch.randn(3, 24, 3, generator=generator)
    betas = torch.randn(3, 10, generator=generator)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    out, mirrored = body(pose, betas), body(mirror_pose(pose), betas)
    expected = out.joints[:, list(FLIP_PERMUTATION)] * flip
    torch.testing.assert_close(mirrored.joints, expected, rtol=0, atol=1e-4)
    distance = torch.cdist(mirrored.vertices.double(), (out.vertices * flip).double()).amin(dim=2)
    assert distance.max() < 1e-4
    torch.testing.assert_close(mirror_pose(mirror_pose(pose)), pose)


def test_names_agree() -> None:
    for i, name in enumerate(JOINT_NAMES):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert JOINT_NAMES[FLIP_PERMUTATION[i]] == swapped
    assert Body.free().parents.tolist() == list(PARENTS)


@pytest.mark.parametrize(
    ("pose", "betas", "message"),
    [
        (torch.zeros(2, 72), torch.zeros(2, 10), r"got \(2, 72\) and \(2, 10\)"),
        (torch.zeros(2, 24, 3), torch.zeros(1, 10), r"got \(2, 24, 3\) and \(1, 10\)"),
        (torch.zeros(2, 24, 3).double(), torch.zeros(2, 10), "torch.float64"),
    ],
)
def test_wrong_arguments(pose: Tensor, betas: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Body.free()(pose, betas)


@pytest.mark.parametrize("full", BODIES)
def test_the_free_body_is_free_wherever_it_comes_from(full: bool, tmp_path: Path) -> None:
    assert Body.free(full).name == Body.load(free_file(full)).name == "free"
    (tmp_path / "copy.npz").write_bytes(free_file(full).read_bytes())
    assert Body.load(tmp_path / "copy.npz").name == "free"


def test_other_bodies_are_named_by_what_their_shape_coefficients_mean(tmp_path: Path) -> None:
    arrays = replace(
        random_arrays(),
        v_template=np.arange(180.0).reshape(60, 3) / 64,
        shapedirs=np.arange(1800.0).reshape(60, 3, 10) / 1024,
    )
    name = Body(arrays).name
    assert name == "smpl-179aef0a5aba"  # the same tomorrow and elsewhere
    np.savez(tmp_path / "body.npz", **{field: getattr(arrays, field) for field in vars(arrays)}, kintree_table=TREE)
    assert Body.load(tmp_path / "body.npz").name == name
    taller = replace(arrays, v_template=1.1 * arrays.v_template)
    other = replace(arrays, shapedirs=-arrays.shapedirs)
    assert len({name, Body(taller).name, Body(other).name, "free"}) == 4
    # Skinning changes how a body moves, not what its shape coefficients mean.
    assert Body(replace(arrays, weights=arrays.weights[:, ::-1])).name == name
    assert Body(arrays, "mine").name == "mine"


def test_a_body_says_how_many_joints_and_shapes_it_has() -> None:
    for body in (Body.free(), Body(random_arrays())):
        assert (body.joint_count, body.shape_count) == (24, 10)
        assert len(body.joint_set) == body.joint_count == len(body.tree)
        out = body(torch.zeros(2, body.joint_count, 3), body.mean_shape(2))
        assert out.joints.shape == (2, body.joint_count, 3) and out.vertices.shape == (2, body.vertex_count, 3)
    few = Body(replace(random_arrays(), shapedirs=random_arrays().shapedirs[..., :4]))
    assert few.shape_count == 4 and few.mean_shape(3).shape == (3, 4)
    with pytest.raises(UserError, match=r"betas \(B, 4\), got \(1, 24, 3\) and \(1, 10\)"):
        few(torch.zeros(1, 24, 3), torch.zeros(1, 10))


def test_levels_of_a_tree() -> None:
    assert _levels((-1, 0, 0, 1, 2, 2)) == [(0, 1), (1, 3), (3, 6)]
    levels = _levels(PARENTS)
    assert [first for first, _ in levels[1:]] == [last for _, last in levels[:-1]] and levels[-1][1] == 24
    for first, last in levels[1:]:
        assert not set(PARENTS[first:last]) & set(range(first, last))
    with pytest.raises(ValueError, match="ordered by their depth"):
        _levels((-1, 0, 1, 0))
