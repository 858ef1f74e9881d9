"""Pictures of bodies, masks, distance maps and skeletons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptation.support import drawing as overlay
from adaptation.support import pictures
from topokernels import m2s, s2d


def sphere(rings: int = 12, sectors: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vertices and faces of a unit sphere, y down."""
    down = torch.linspace(0, torch.pi, rings + 1)[:, None]
    around = torch.arange(sectors)[None] * 2 * torch.pi / sectors
    vertices = torch.stack(
        torch.broadcast_tensors(down.sin() * around.cos(), -down.cos(), down.sin() * around.sin()),
        -1,
    ).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(rings), torch.arange(sectors), indexing="ij")
    a, b = i * sectors + j, i * sectors + (j + 1) % sectors
    faces = torch.cat([torch.stack([a, b, a + sectors], -1), torch.stack([b, b + sectors, a + sectors], -1)])
    return vertices, faces.reshape(-1, 3)


@pytest.fixture
def ball() -> tuple[torch.Tensor, torch.Tensor]:
    vertices, faces = sphere()
    return vertices * 20.13 + torch.tensor([31.37, 28.71, 5.0]), faces


BLACK = np.zeros((64, 72, 3), np.uint8)


def test_a_body_covers_exactly_its_silhouette(ball: tuple[torch.Tensor, torch.Tensor]) -> None:
    vertices, faces = ball
    drawn = overlay.draw_body(BLACK, vertices, faces, alpha=1.0, samples=1).any(-1)
    silhouette = m2s(vertices[None], faces, BLACK.shape[:2], sigma=1e-4)[0, 0].bool().numpy()
    assert silhouette.sum() > 1000
    np.testing.assert_array_equal(drawn, silhouette)


def test_supersampling_only_softens_the_outline(ball: tuple[torch.Tensor, torch.Tensor]) -> None:
    coarse, fine = (overlay.see(*ball, (64, 72), samples=n) for n in (1, 4))
    assert coarse is not None and fine is not None and coarse.box == fine.box
    coverage = fine.average(fine.visible.astype(np.float32))
    partial = (coverage > 0) & (coverage < 1)
    assert partial.any()
    np.testing.assert_array_equal((coverage == 1)[~partial], coarse.visible[~partial])


def test_the_near_side_is_seen(ball: tuple[torch.Tensor, torch.Tensor]) -> None:
    surface = overlay.see(*ball, (64, 72), samples=2)
    assert surface is not None
    assert surface.depth[surface.visible].max() < 5.5
    assert surface.depth.min() == pytest.approx(5 - 20.13, abs=0.6)
    assert np.isinf(surface.depth[~surface.visible]).all()
    assert (surface.normal[surface.visible][:, 2] < 0.3).all()


def test_interpolation_reproduces_positions(ball: tuple[torch.Tensor, torch.Tensor]) -> None:
    vertices, faces = ball
    surface = overlay.see(vertices, faces, (64, 72), samples=2)
    assert surface is not None
    x, y, _, _ = surface.box
    found = surface.interpolate(vertices.numpy())
    rows, columns = np.nonzero(surface.visible)
    np.testing.assert_allclose(found[rows, columns, 0], x + (columns + 0.5) / 2, atol=1e-3)
    np.testing.assert_allclose(found[rows, columns, 1], y + (rows + 0.5) / 2, atol=1e-3)
    np.testing.assert_allclose(found[rows, columns, 2], surface.depth[rows, columns], atol=1e-3)


def test_light_comes_from_above_whatever_the_winding(
    ball: tuple[torch.Tensor, torch.Tensor],
) -> None:
    vertices, faces = ball
    drawn = overlay.draw_body(BLACK, vertices, faces)
    assert drawn[16, 24].sum() > 1.5 * drawn[42, 40].sum() > 0
    np.testing.assert_array_equal(drawn, overlay.draw_body(BLACK, vertices, faces.flip(1)))


def test_opacity_and_places_outside_the_image(ball: tuple[torch.Tensor, torch.Tensor]) -> None:
    vertices, faces = ball
    grey = np.full((64, 72, 3), 90, np.uint8)
    np.testing.assert_array_equal(overlay.draw_body(grey, vertices, faces, alpha=0.0), grey)
    for shift in (-100.0, 100.0):
        np.testing.assert_array_equal(overlay.draw_body(grey, vertices + shift, faces), grey)
    whole = overlay.draw_body(np.full((128, 144, 3), 90, np.uint8), vertices + 30, faces)
    cut = overlay.draw_body(grey, vertices + 30, faces)
    np.testing.assert_array_equal(cut, whole[:64, :72])
    assert (cut != 90).any() and (grey == 90).all()


def test_pictures_of_mask_distance_and_skeleton() -> None:
    mask = np.zeros((20, 24), np.float32)
    mask[3:16, 5:20] = 1
    distance = s2d(torch.from_numpy(mask)).numpy()
    picture = pictures.picture_distance(distance)
    assert (picture[mask == 0] == pictures.BACKDROP).all()
    brightness = picture.astype(int).sum(-1)
    by_level = [brightness[distance == level].mean() for level in range(1, int(distance.max()) + 1)]
    assert by_level == sorted(by_level) and by_level[0] > 1.5 * sum(pictures.BACKDROP)
    skeleton = (distance == distance.max()).astype(np.float32)
    tones = pictures.picture_skeleton(skeleton, mask)
    assert len(np.unique(tones.reshape(-1, 3), axis=0)) == 3
    assert (pictures.picture_mask(mask).astype(int).sum(-1)[mask == 1] > 600).all()
    assert (pictures.picture_distance(np.zeros((4, 4), np.float32)) == pictures.BACKDROP).all()


def test_an_outline_lies_on_the_edge_of_the_mask() -> None:
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 10:20] = 1
    drawn = pictures.draw_outline(np.zeros((64, 64, 3), np.uint8), mask)
    rows, columns = np.nonzero(drawn[..., 0] > 128)
    assert rows.min() in (15, 16, 17) and rows.max() in (46, 47, 48)
    assert columns.min() in (19, 20, 21) and columns.max() in (38, 39, 40)
    assert not drawn[24:40, 26:34].any()
