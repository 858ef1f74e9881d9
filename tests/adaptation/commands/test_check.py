"""`topo-adapt check` prints a verdict, writes a picture, and its exit code says whether the input is usable."""

import cv2
from command_line import one_line

from adaptation.synthetic.hall import ClipSettings, render_clip, write_clip


def test_a_recording(command, tmp_path, monkeypatch):
    write_clip(render_clip(ClipSettings(width=240, height=180, frames=40, rate=5.0)), tmp_path / "[hall] 1")
    monkeypatch.chdir(tmp_path)
    code, output, errors = command("check", tmp_path / "[hall] 1" / "frames")
    assert code == 0, errors
    assert "[hall] 1/frames: recording: folder of images" in output and "can be used: about" in output
    assert "picture: frames.check.jpg" in output
    assert cv2.imread(str(tmp_path / "frames.check.jpg")).shape[1] == 1440
    assert command("check", "[hall] 1/frames", "--picture", "seen.jpg")[0] == 0
    assert (tmp_path / "seen.jpg").exists()


def test_what_cannot_be_used_ends_with_code_2(command, source, tmp_path):
    type(source)(source.images).save(tmp_path / "bare", {})  # neither masks nor labels
    code, output, _ = command("check", tmp_path / "bare")
    assert code == 2 and "cannot be used: it has no masks (masks.npy)" in output


def test_unknown_inputs_end_in_one_line(command, tmp_path):
    code, _, errors = command("check", tmp_path / "missing")
    assert code == 2 and "no such file" in one_line(errors)
    code, _, errors = command("check", tmp_path, "--as", "video")
    assert code == 2 and one_line(errors).startswith("--as must be one of recording, masks, crops, ")


def test_shipped_weights(command):
    code, output, _ = command("check", "small")
    assert code == 0 and "small: regressor" in output and "adapt --model" in output
