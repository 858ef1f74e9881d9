"""What cannot be adapted, is refused in one line, and leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Command, adapting, one_line

from adaptation.data.samples import Samples


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--size", 48), "--size is for recordings; "),
        (("--every", 3), "--every is for recordings; "),
        (("--masks", "masks"), "--masks is for recordings; "),
        (("--fits", "fits"), "--fits is for recordings; "),
        (("--loss", "labels", "--teacher", "yes"), "--teacher yes changes nothing with --loss labels"),
        (("--loss", "a1", "--fits-every", 4), "--fits-every changes nothing with --loss a1"),
        (("--seed", -1), "--seed"),
    ],
)
def test_options_without_effect_are_refused(
    options: tuple[object, ...], text: str, command: Command, work: Path, tmp_path: Path
) -> None:
    code, _, errors = command(*adapting(work, tmp_path / "out"), *options)
    assert code == 2 and text in errors and not (tmp_path / "out").exists()


def test_sets_that_cannot_be_adapted_to(command: Command, work: Path, target: Samples, tmp_path: Path) -> None:
    def refused(bad: Path) -> str:
        arguments = adapting(work, tmp_path / "out")
        arguments[1] = bad
        code, output, errors = command(*arguments)
        assert code == 2 and output == "" and not (tmp_path / "out").exists()
        return one_line(errors)

    target.save(tmp_path / "a", {})
    (tmp_path / "a" / "masks.npy").unlink()
    assert "the target has no masks (masks.npy)" in refused(tmp_path / "a")
    replace(target, masks=np.zeros_like(target.masks)).save(tmp_path / "b", {})
    assert "no crop of the target has a mask to learn from" in refused(tmp_path / "b")
    replace(target, masks=255 * target.masks).save(tmp_path / "c", {})
    assert "masks must hold 0 and 1, got 255" in refused(tmp_path / "c")
    replace(target, images=target.images[:, :, :40]).save(tmp_path / "d", {})
    assert "images must have shape (24, 48, 48, 3), got (24, 48, 40, 3)" in refused(tmp_path / "d")
    replace(target, images=target.images / np.float32(255)).save(tmp_path / "e", {})
    assert "images must be uint8, got float32" in refused(tmp_path / "e")
    replace(target, betas=np.full_like(target.betas, np.nan)).save(tmp_path / "f", {})
    assert "betas has numbers that are not finite" in refused(tmp_path / "f")
    target.save(tmp_path / "g", {})
    (tmp_path / "g" / "labels.npz").write_bytes((tmp_path / "g" / "labels.npz").read_bytes()[:500])
    assert "not a crop set" in refused(tmp_path / "g")


def test_labels_are_missed_before_the_work_is_done(
    command: Command, work: Path, target: Samples, tmp_path: Path
) -> None:
    replace(target, pose=None, betas=None, camera=None).save(tmp_path / "bare", {})
    for option in ("--test", "--source"):
        code, _, errors = command(*adapting(work, tmp_path / "out"), option, tmp_path / "bare")
        assert code == 2 and "bare has no labels" in one_line(errors) and not (tmp_path / "out").exists()
    assert command("pretrain", tmp_path / "bare", "--out", tmp_path / "out", "--preset", "tiny")[0] == 2


def test_corrupt_weights_are_named(command: Command, work: Path, tmp_path: Path) -> None:
    model = work / "run" / "model.safetensors"
    for name, data in (("cut.safetensors", model.read_bytes()[:-100]), ("noise.pt", b"\x80\x02..."), ("empty.pt", b"")):
        (tmp_path / name).write_bytes(data)
        arguments = adapting(work, tmp_path / "out")
        arguments[3] = tmp_path / name
        code, _, errors = command(*arguments)
        assert code == 2 and (f"{name} is damaged" in (line := one_line(errors)) or f"{name}: found a" in line)
