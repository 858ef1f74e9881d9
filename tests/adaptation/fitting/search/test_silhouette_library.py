from __future__ import annotations

import math

import numpy as np
import pytest
import roma
import torch
from scipy.ndimage import distance_transform_cdt

from adaptation.bodies.body import Body
from adaptation.bodies.camera import fit_camera_to_bbox
from adaptation.bodies.poses import sample_poses
from adaptation.bodies.renderer import exact_silhouette
from adaptation.fitting.search.silhouette_library import SIDE, SilhouetteLibrary, upright, views_of

SIZE = 96


@pytest.fixture(scope="module")
def library(free_body: Body) -> SilhouetteLibrary:
    generator = torch.Generator().manual_seed(0)
    return SilhouetteLibrary(free_body, views_of(sample_poses(300, generator), generator, (0.0, 30.0)))


def turned(pose: torch.Tensor, roll: float) -> torch.Tensor:
    """Turn bodies about the optical axis."""
    result, axis = pose.clone(), torch.zeros(len(pose), 3)
    axis[:, 2] = roll
    result[:, 0] = roma.rotvec_composition((axis, pose[:, 0]))
    return result


def seen(body: Body, pose: torch.Tensor, side: float = 70.0) -> torch.Tensor:
    """Draw bodies whose longer side is ``side`` pixels, off the centre."""
    vertices = body(pose, body.mean_shape(len(pose))).vertices
    extent = vertices[..., :2].amax(1) - vertices[..., :2].amin(1)
    half = side / 2 * extent / extent.amax(1, keepdim=True)
    centre = torch.tensor([SIZE / 2 + 4, SIZE / 2 - 3])
    bounds = torch.cat([centre - half, centre + half], dim=1)
    return exact_silhouette(vertices, body.faces, fit_camera_to_bbox(vertices, bounds, SIZE), SIZE)


@pytest.mark.parametrize("roll", [0.0, 0.4, -0.6])
def test_masks_find_the_bodies_that_cast_them(free_body: Body, library: SilhouetteLibrary, roll: float) -> None:
    chosen = torch.arange(0, 300, 25)
    masks = seen(free_body, turned(library.pose[chosen], roll))
    rolls = torch.tensor([[-0.6, 0.0, 0.4]]).repeat(len(chosen), 1)
    matches = library.match(masks, rolls, 5)
    assert matches.index.shape == matches.roll.shape == matches.distance.shape == (12, 5)
    assert (matches.distance.diff(dim=1) >= 0).all()
    # Masks at another resolution differ by a pixel here and there, so a near twin may come first.
    found = (matches.index == chosen[:, None]) & (matches.roll == roll)
    assert found.any(dim=1).float().mean() > 0.9 and found[:, 0].float().mean() > 0.7
    assert matches.distance[:, 0].max() < 1


def test_matches_are_turned_with_the_camera(free_body: Body, library: SilhouetteLibrary) -> None:
    chosen = torch.tensor([7, 130])
    matches = library.match(seen(free_body, turned(library.pose[chosen], 0.5)), torch.full((2, 1), 0.5), 1)
    joints = free_body.joints(library.poses(matches)[:, 0], free_body.mean_shape(2))
    upright_joints = free_body.joints(library.pose[matches.index[:, 0]], free_body.mean_shape(2))
    cosine, sine = math.cos(0.5), math.sin(0.5)
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    expected = (upright_joints - upright_joints[:, :1]) @ turn.T
    assert torch.allclose(joints - joints[:, :1], expected, atol=1e-5)


def test_distances_are_two_way_chamfer_distances(free_body: Body, library: SilhouetteLibrary) -> None:
    masks = seen(free_body, library.pose[:2])
    matches = library.match(masks, torch.zeros(2, 1), len(library))
    square = upright(masks, torch.zeros(2))[:, 0].bool().numpy()
    entries = upright(seen(free_body, library.pose[:40]), torch.zeros(40))[:, 0].bool().numpy()

    def away(mask: np.ndarray) -> np.ndarray:
        return np.minimum(distance_transform_cdt(~mask, "chessboard"), 8)

    for row in range(2):
        by_entry = dict(zip(matches.index[row].tolist(), matches.distance[row].tolist(), strict=True))
        expected = [away(square[row])[entry].mean() + away(entry)[square[row]].mean() for entry in entries]
        # The library drew its entries at its own size; these here were resampled.
        np.testing.assert_allclose([by_entry[number] for number in range(40)], expected, atol=0.6)


def test_masks_are_turned_upright_and_fill_the_square(free_body: Body, library: SilhouetteLibrary) -> None:
    pose = library.pose[:8]
    straight = upright(seen(free_body, pose), torch.zeros(8))
    assert straight.shape == (8, 1, SIDE, SIDE) and set(straight.unique().tolist()) == {0.0, 1.0}
    longer = torch.maximum(straight.amax(2).flatten(1).sum(1), straight.amax(3).flatten(1).sum(1))
    assert ((longer >= SIDE - 6) & (longer <= SIDE - 3)).all()
    rolled = seen(free_body, turned(pose, 0.7), side=55.0)

    def overlap(roll: float) -> torch.Tensor:
        masks = upright(rolled, torch.full((8,), roll))
        return (straight * masks).sum((1, 2, 3)) / torch.maximum(straight, masks).sum((1, 2, 3))

    assert overlap(0.7).min() > 0.75 and (overlap(0.7) > overlap(0.0) + 0.1).all()


def test_views_have_the_pitches_asked_for() -> None:
    poses = torch.zeros(200, 24, 3)
    views = views_of(poses, torch.Generator().manual_seed(3), (10.0, 25.0))
    up = roma.rotvec_to_rotmat(views[:, 0])[:, :, 1]
    pitch = torch.atan2(-up[:, 2], -up[:, 1]).rad2deg()
    assert 10 <= pitch.min() < 12 and 23 < pitch.max() <= 25.001
    assert up[:, 0].abs().max() < 1e-5  # no roll
    assert torch.equal(views[:, 1:], poses[:, 1:])
