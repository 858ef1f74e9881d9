"""Where masks are stored: folders within folders, arrays and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import HEIGHT, WIDTH, write_folder, write_video

from adaptation.recording.footage.mask_files import Masks, open_masks
from adaptation.recording.footage.video import Frames, open_frames
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

COUNT = 8


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return open_frames(write_video(tmp_path / "clip.avi", COUNT))


def people(number: int, person: int = 0) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:40, 5 + number + 24 * person : 17 + number + 24 * person] = True
    return mask


def write(folder: Path, person: int = 0, names: Sequence[str] = ()) -> None:
    folder.mkdir(parents=True)
    for number in range(COUNT):
        name = names[number] if names else f"{number:05d}"
        cv2.imwrite(str(folder / f"{name}.png"), np.where(people(number, person), 255, 0).astype(np.uint8))


def same(masks: Masks, persons: int = 1) -> bool:
    """Whether masks are those of the first people in every frame, and told apart if they are several."""
    for number in range(COUNT):
        expected = [people(number, person) for person in range(persons)]
        if not np.array_equal(masks.mask(number), np.any(expected, 0)):
            return False
        if not np.array_equal(masks.people(number), expected):
            return False
    return masks.instances == (persons > 1)


def test_one_folder_in_folders(tmp_path: Path, frames: Frames) -> None:
    write(tmp_path / "out" / "Annotations" / "480p" / "anything")
    with kept_findings() as found:
        assert same(open_masks(tmp_path / "out", frames))
    assert found == ["masks: they are taken from the folder Annotations/480p/anything"]
    write(tmp_path / "out" / "Annotations" / "480p" / "other", 1)
    with pytest.raises(UserError, match=r"it holds no masks, but 2 folders \(anything, other\); give the one"):
        open_masks(tmp_path / "out", frames)
    write(tmp_path / "out" / "Annotations" / "480p" / "clip")
    assert same(open_masks(tmp_path / "out", frames))


def test_a_folder_per_person_and_per_frame(tmp_path: Path, frames: Frames) -> None:
    for person in (0, 1):
        write(tmp_path / "per_person" / f"{person + 1:03d}", person)
    with kept_findings() as found:
        masks = open_masks(tmp_path / "per_person", frames)
    assert same(masks, 2) and len(masks.files[0]) == 2
    assert any("001/00000.png and 002/00000.png of frame 0" in line for line in found)
    images = open_frames(write_folder(tmp_path / "images", [f"im{number}.png" for number in range(COUNT)]))
    for number in range(COUNT):
        for person in (0, 1):
            (tmp_path / "per_frame" / f"im{number}").mkdir(parents=True, exist_ok=True)
            mask = np.where(people(number, person), 255, 0).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "per_frame" / f"im{number}" / f"{person}.png"), mask)
    assert same(open_masks(tmp_path / "per_frame", images), 2)


def test_what_a_folder_holds_in_place_of_masks(tmp_path: Path, frames: Frames) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("a.gif", "b.gif", "instances.json", ".hidden.png"):
        (tmp_path / "masks" / name).write_bytes(b"{}")
    with pytest.raises(UserError, match=r"no PNG masks in this folder, nor JPEG.*it holds 2 \.gif, 1 \.json"):
        open_masks(tmp_path / "masks", frames)
    with pytest.raises(UserError, match=r"instances\.json: found a JSON file, expected a folder of masks, an npy"):
        open_masks(tmp_path / "masks" / "instances.json", frames)


@pytest.mark.parametrize("kind", ["bool", "ids", "fractions", "ids as fractions", "one channel", "layers"])
def test_an_array_of_masks(tmp_path: Path, frames: Frames, kind: str) -> None:
    array = np.stack([people(number) + 0 * people(number) for number in range(COUNT)]).astype(np.uint16)
    array += np.stack([2 * people(number, 1) * (number > 2) for number in range(COUNT)]).astype(np.uint16)
    expected = array > 0
    made = {
        "bool": expected,
        "ids": array.astype(np.int64),
        "fractions": np.where(expected, 0.97, 0.01).astype(np.float32),
        "ids as fractions": array.astype(np.float64),
        "one channel": array[:, None],
        "layers": np.stack([array == 1, array == 2], 1),
    }[kind]
    np.save(tmp_path / "masks.npy", made)
    np.savez_compressed(tmp_path / "masks.npz", boxes=np.zeros(3), masks=made)
    for name in ("masks.npy", "masks.npz"):
        with kept_findings() as found:
            masks = open_masks(tmp_path / name, frames)
        assert all(np.array_equal(masks.mask(number), mask) for number, mask in enumerate(expected))
        assert "masks: 8 masks of an array are taken as frames 0 to 7" in found and masks.files == {}


def test_a_file_with_a_layer_per_person(tmp_path: Path, frames: Frames) -> None:
    (tmp_path / "masks").mkdir()
    for number in range(COUNT):
        layers = [people(number, person) for person in (0, 1)][: number % 3]  # nobody in some frames
        np.save(tmp_path / "masks" / f"mask_{number:05d}.npy", np.reshape(layers, (-1, 1, HEIGHT, WIDTH)).astype(bool))
    masks = open_masks(tmp_path / "masks", frames)
    assert masks.mask(0) is None
    for number in (1, 2, 4, 5):
        assert np.array_equal(masks.mask(number), np.any([people(number, at) for at in range(number % 3)], 0))


def test_images_beside_masks_are_not_used(tmp_path: Path, frames: Frames) -> None:
    write(tmp_path / "masks")
    for number in range(COUNT):
        cv2.imwrite(str(tmp_path / "masks" / f"{number:05d}.jpg"), np.full((HEIGHT, WIDTH), 90, np.uint8))
    with kept_findings() as found:
        assert same(open_masks(tmp_path / "masks", frames))
    assert found == ["masks: PNG files are used, but not 8 others such as 00000.jpg"]


def test_arrays_that_do_not_fit(tmp_path: Path, frames: Frames) -> None:
    np.save(tmp_path / "few.npy", np.zeros((COUNT - 1, HEIGHT, WIDTH), bool))
    with pytest.raises(UserError, match=r"found an array \(7, 48, 64\) of bool, expected .* \(8, 48, 64\)"):
        open_masks(tmp_path / "few.npy", frames)
    np.save(tmp_path / "small.npy", np.zeros((COUNT, HEIGHT // 2, WIDTH // 2), bool))
    with pytest.raises(UserError, match=r"mask 0: the mask is 32x24, wanted 64x48.*0\.5 times"):
        open_masks(tmp_path / "small.npy", frames)
    np.savez(tmp_path / "named.npz", boxes=np.zeros(3), scores=np.zeros(3))
    with pytest.raises(UserError, match="found the arrays boxes, scores, expected one named masks"):
        open_masks(tmp_path / "named.npz", frames)


def write_mask_video(path: Path, count: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for number in range(count):
        writer.write(np.where(people(number), 255, 0).astype(np.uint8)[..., None].repeat(3, -1))
    writer.release()
    return path


def test_a_video_of_masks(tmp_path: Path, frames: Frames) -> None:
    with kept_findings() as found:
        masks = open_masks(write_mask_video(tmp_path / "masks.avi", COUNT), frames)
    for number in range(COUNT):
        mask = masks.mask(number)
        assert mask is not None and (mask ^ people(number)).sum() < 20  # JPEG's rounding of the outline
    assert any("values above 127 of 255 are a person" in line for line in found)
    with pytest.raises(UserError, match=r"few\.avi: found 5 frames, expected 8 as in .*clip\.avi"):
        open_masks(write_mask_video(tmp_path / "few.avi", 5), frames)


def test_a_truncated_jpeg_is_no_mask(tmp_path: Path, frames: Frames) -> None:
    (tmp_path / "masks").mkdir()
    for number in range(COUNT):
        data = cv2.imencode(".jpg", np.where(people(number), 255, 0).astype(np.uint8))[1].tobytes()
        (tmp_path / "masks" / f"{number}.jpg").write_bytes(data if number else data[: len(data) * 2 // 3])
    with pytest.raises(UserError, match=r"0\.jpg: the JPEG image is truncated"):
        open_masks(tmp_path / "masks", frames)
