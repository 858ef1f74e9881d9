from __future__ import annotations

import torch
from torch import Tensor

from adaptation.bodies.camera import Perspective, WeakPerspective, crop_to_frame
from adaptation.bodies.views import Margins, Placement, View, in_frame, intrinsics_of_field


def view() -> View:
    intrinsics = torch.tensor([[[1000.0, 0, 600], [0, 1000, 380], [0, 0, 1]]] * 2)
    return View.of(
        torch.tensor([[100.0, 50, 300, 300], [700, 200, 180, 180]]), torch.tensor([[1280.0, 720]] * 2), intrinsics
    )


CAMERA = WeakPerspective(torch.tensor([[0.8, 0.05, -0.1], [1.1, -0.1, 0.02]]))


def points(scale: float = 0.4) -> Tensor:
    return scale * torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))


def test_cliffs_formula_and_back() -> None:
    seen = in_frame(CAMERA, view())
    s, tx, ty = CAMERA.parameters.unbind(1)
    x, y, side = *view().centre.unbind(1), view().side
    expected = [tx + 2 * (x - 600) / (side * s), ty + 2 * (y - 380) / (side * s), 2 * 1000 / (side * s)]
    torch.testing.assert_close(seen.translation, torch.stack(expected, dim=1))
    torch.testing.assert_close(seen.weak().parameters, CAMERA.parameters)
    flat = points() * torch.tensor([1.0, 1.0, 0.0])  # at the depth of the origin both cameras agree
    torch.testing.assert_close(seen.project(flat, 224), CAMERA.project(flat, 224), atol=1e-3, rtol=0)


def test_perspective_placements_project_to_the_same_pixels() -> None:
    seen = in_frame(CAMERA, view())
    place = Placement.of(seen, view())
    torch.testing.assert_close(place.intrinsics, view().intrinsics)
    expected = crop_to_frame(seen.project(points(), 224), view().box, 224)
    torch.testing.assert_close(place.project(points()), expected, atol=1e-3, rtol=0)


def test_weak_placements_see_crops_along_their_rays() -> None:
    place = Placement.of(CAMERA, view())
    small = points(0.01)  # of which perspective changes little
    expected = crop_to_frame(CAMERA.project(small, 224), view().box, 224)
    assert (place.project(small) - expected).abs().max() < 0.2
    # What is in the middle of a crop is seen along the ray to it: the optical axis is turned there.
    middle = view().centre - torch.tensor([600.0, 380.0])
    axis = place.rotation[:, :, 2]
    torch.testing.assert_close(axis[:, :2] / axis[:, 2:], middle / 1000, atol=1e-5, rtol=0)
    behind = Placement.of(WeakPerspective(torch.tensor([[-1.0, 0.0, 0.0]] * 2)), view())
    assert torch.isfinite(behind.translation).all() and (behind.translation[:, 2] > 0).all()


def test_crops_are_pictures_of_their_own() -> None:
    matrix = view().in_crop(96)
    seen = points() + torch.tensor([0.0, 0.0, 6.0])
    pixels = (seen @ matrix.mT)[..., :2] / seen[..., 2:]
    camera = Perspective.of_crop(view().intrinsics, view().box, torch.tensor([[0.0, 0.0, 6.0]] * 2))
    torch.testing.assert_close(pixels, camera.project(points(), 96), atol=1e-3, rtol=0)


def test_guesses() -> None:
    guess = View.of(view().box, view().frame_size)
    torch.testing.assert_close(guess.focal, torch.full((2, 2), (1280.0**2 + 720**2) ** 0.5))
    assert guess.intrinsics[0, :2, 2].tolist() == [640, 360]
    torch.testing.assert_close(intrinsics_of_field(view().frame_size, 90.0)[:, 1, 1], torch.tensor([360.0, 360.0]))
    whole = View.whole(2, 96)
    assert whole.box.tolist() == [[0, 0, 96, 96]] * 2 and whole.frame_size.tolist() == [[96, 96]] * 2


def test_mirrored_views_see_mirrored_bodies() -> None:
    seen, mirrored = in_frame(CAMERA, view()), in_frame(CAMERA.mirrored(), view().mirrored())
    torch.testing.assert_close(mirrored.translation, seen.mirrored().translation)
    torch.testing.assert_close(mirrored.centre, seen.mirrored().centre)
    back = view().mirrored().mirrored()
    torch.testing.assert_close(back.box, view().box)


def test_margins_hide_what_a_network_cuts_off() -> None:
    window = Margins(left=32 / 256, right=32 / 256).window(256)
    assert window[:, 32:-32].all() and not window[:, :32].any() and not window[:, -32:].any()
    rows = Margins(top=0.5).window(48)
    assert not rows[:24].any() and rows[24:].all()
