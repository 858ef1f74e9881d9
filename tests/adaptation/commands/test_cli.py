from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import ENVIRONMENT, one_line, tree

from adaptation import cli
from adaptation.recording.footage.video import open_frames

QUICK = ("--frames", "20", "--steps", "2", "--size", "48", "--threads", "1", "--per-frame")
HERE = Path(__file__).parent  # not the source folder, which would hide the installed package

Refused = Callable[..., str]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "adaptation.cli", *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Runs the command in this process; it must fail with one line and change nothing."""

    def call(*arguments: object) -> str:
        before = tree(tmp_path)
        monkeypatch.setattr(sys, "argv", ["topo-adapt", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, error = capfd.readouterr()
        assert stop.value.code == 2 and out == ""
        assert tree(tmp_path) == before
        return one_line(error)

    return call


@pytest.fixture(scope="module")
def finished(
    recording_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One real run, into a folder whose name is awkward."""
    out = tmp_path_factory.mktemp("results") / "résultats of [a] run"
    return out, run("fit", recording_folder, "--out", out, "--frames", "18,25,18", *QUICK[2:])


def test_results_are_written(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = finished
    assert done.returncode == 0, done.stderr
    assert "2 people, 4 bodies" in done.stdout and str(out / "report.html") in done.stdout
    assert done.stderr == ""
    assert sorted(path.name for path in out.iterdir()) == [
        "overlays", "person_01.npz", "person_02.npz", "report.html", "settings.json",
    ]  # fmt: skip
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    shapes = {
        "frame": (), "box": (4,), "pose": (24, 3), "betas": (10,), "camera": (3,),
        "joints3d": (24, 3), "joints2d": (24, 2), "iou_before": (), "iou_after": (),
        "loss_before": (), "loss_after": (),
    }  # fmt: skip
    for number in (1, 2):
        with np.load(out / f"person_{number:02d}.npz", allow_pickle=False) as arrays:
            np.testing.assert_array_equal(arrays["frame"], [18, 25])
            for name, shape in shapes.items():
                assert arrays[name].shape == (2, *shape), name
                assert arrays[name].dtype == (np.int64 if name == "frame" else np.float32), name
                assert np.isfinite(arrays[name]).all(), name
            assert (arrays["box"][:, 2] == arrays["box"][:, 3]).all()
            assert ((arrays["iou_after"] > 0) & (arrays["iou_after"] <= 1)).all()


def test_overlays_and_report_open_without_a_network(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, _ = finished
    overlays = sorted((out / "overlays").iterdir())
    assert [path.name for path in overlays] == ["frame_000018.jpg", "frame_000025.jpg"]
    assert all(cv2.imread(str(path)).shape[0] >= 180 for path in overlays)
    html = (out / "report.html").read_text(encoding="utf-8")
    assert re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html) is None
    assert "url(http" not in html and "@import" not in html
    assert html.count("data:image/") >= 2 * 4  # input, mask and more of each person


def test_settings_tell_how_the_results_were_made(
    finished: tuple[Path, subprocess.CompletedProcess[str]], recording_folder: Path
) -> None:
    settings = json.loads((finished[0] / "settings.json").read_text())
    assert settings["options"]["frames"] == [18, 25]
    assert settings["options"]["fit"]["steps"] == 2
    assert "--steps 2" in settings["command"] and "torch" in settings["versions"]
    # What exports need: the size of the frames, the body model, and how the camera hangs.
    recording, frames = settings["recording"], open_frames(recording_folder)
    assert tuple(recording["size"]) == frames.size and recording["body"] == "free"
    assert set(recording) == {"size", "rate", "body", "focal", "centre", "down"}
    assert recording["focal"] is None  # fits of single frames do not ask how the camera hangs


def test_results_are_replaced_only_when_asked(
    recording_folder: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "settings.json").write_text("{}")
    (out / "person_09.npz").write_bytes(b"old")
    assert "--overwrite" in refused("fit", recording_folder, "--out", out, *QUICK)
    arguments = ["fit", str(recording_folder), "--out", str(out), *QUICK, "--overwrite"]
    monkeypatch.setattr(sys, "argv", ["topo-adapt", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert not (out / "person_09.npz").exists() and (out / "person_01.npz").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_fitting_with_a_latent_prior(
    recording_folder: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, file = tmp_path / "out", tmp_path / "prior.safetensors"
    file.write_bytes(b"not weights")
    arguments = ["fit", str(recording_folder), "--out", str(out), *QUICK, "--prior"]
    assert "is not a pose prior" in refused(*arguments, file)
    assert "no pose prior 'gauss'" in refused(*arguments, "gauss")
    monkeypatch.setattr(sys, "argv", ["topo-adapt", *arguments, "latent"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0 and (out / "person_01.npz").exists()
    assert json.loads((out / "settings.json").read_text())["options"]["fit"]["prior"] == "latent"


def test_failing_command_as_a_process(tmp_path: Path) -> None:
    done = run("fit", tmp_path / "no.avi", "--out", tmp_path / "new" / "out")
    assert done.returncode == 2 and done.stdout == ""
    assert "no such file" in one_line(done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.avi", b"Dear reader,\nthis is no video.\n", r"not a video \(text file\)"),
        ("empty.mp4", b"", r"not a video \(empty file\)"),
        ("cut.avi", b"RIFF\x00\x00\x00\x00AVI LIST", "not a video|no frame could be decoded"),
        ("image.png", cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes(), "single image"),
    ],
)
def test_bad_videos(tmp_path: Path, refused: Refused, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    line = refused("fit", tmp_path / name, "--out", tmp_path / "out")
    assert re.search(message, line) and name in line


def test_nobody_moves(tmp_path: Path, refused: Refused) -> None:
    random = np.random.default_rng(0)
    scene = random.integers(60, 190, (96, 128, 3))
    path = tmp_path / "still life.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (128, 96))
    for _ in range(15):
        noisy = scene + random.normal(0, 2, scene.shape)
        writer.write(np.clip(noisy, 0, 255).astype(np.uint8))
    writer.release()
    line = refused("fit", path, "--out", tmp_path / "out")
    assert "no moving person found" in line and path.name in line


def test_folder_without_images_and_with_one(recording_folder: Path, tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing here")
    assert "no images" in refused("fit", folder, "--out", tmp_path / "out")
    (folder / "1.png").write_bytes((recording_folder / "0020.png").read_bytes())
    assert "no moving person" in refused("fit", folder, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frames", "some"], "not a number or a range"),
        (["--frames", ""], "not a number or a range"),
        (["--frames", "20-10"], "runs backwards"),
        (["--frames", "20,40"], "frame 40 does not exist.* 40 frames, 0 to 39"),
        (["--frames", "0"], "no usable mask of a person in the frames asked for"),
        (["--every", "1000"], "no usable mask of a person in one frame in 1000"),
        (["--min-height", "170"], "no moving person.*170 px"),
        (["--loss", "b4"], "--loss must be one of b1, b2, b3, ours, got 'b4'"),
        (["--method", "magic"], "--method must be one of median, mog2, knn"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
        (["--device", "toaster"], "device must be cpu, cuda or cuda:N"),
        (["--body", "no/SMPL.pkl"], r"no such file: no/SMPL\.pkl"),
        (["--masks", "no/masks"], "no/masks: there is no such folder"),
        (["--per-frame", "--pitch", "12"], "--pitch.* no effect with --per-frame"),
        (["--per-frame", "--fps", "25"], "--fps.* no effect with --per-frame"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_bad_options(
    recording_folder: Path, tmp_path: Path, refused: Refused, options: list[str], message: str
) -> None:
    line = refused("fit", recording_folder, "--out", tmp_path / "a" / "b" / "out", *options)
    assert re.search(message, line), line


def test_bad_masks(recording_folder: Path, tmp_path: Path, refused: Refused) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    arguments = ("fit", recording_folder, "--out", tmp_path / "out", "--masks", masks)
    assert "no PNG masks" in refused(*arguments)
    mask = np.zeros((180, 240), np.uint8)
    cv2.imwrite(str(masks / "0000.png"), mask)
    assert "no person found in the masks" in refused(*arguments)
    cv2.imwrite(str(masks / "0007.png"), mask[:90])
    line = refused(*arguments)
    assert "0007.png" in line and "240x90, wanted 240x180" in line
    (masks / "0007.png").write_bytes(b"no image")
    assert "0007.png: not an image" in refused(*arguments)


def test_bad_body_files(recording_folder: Path, tmp_path: Path, refused: Refused) -> None:
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch '{marker}'",)

    path = tmp_path / "SMPL.pkl"
    arguments = ("fit", recording_folder, "--out", tmp_path / "out", "--body", path)
    path.write_bytes(b"\x80\x02 not a body")
    assert "is damaged or not a body model" in refused(*arguments)
    path.write_bytes(pickle.dumps({"v_template": Attack()}))
    assert "refused: loading it could run code" in refused(*arguments)
    np.savez(tmp_path / "body.npz", v_template=np.zeros((3, 3)))
    refused(*arguments[:-1], tmp_path / "body.npz")
    assert not marker.exists()


def test_out_that_cannot_be_used(recording_folder: Path, tmp_path: Path, refused: Refused) -> None:
    file, foreign = tmp_path / "file", tmp_path / "thesis"
    file.write_text("mine")
    foreign.mkdir()
    (foreign / "chapter1.tex").write_text("mine")
    (foreign / "overlays").mkdir()

    def into(out: Path, *more: str) -> str:
        return refused("fit", recording_folder, "--out", out, *QUICK, *more)

    assert "is a file" in into(file)
    assert "is not empty" in into(foreign)
    assert "does not hold results" in into(foreign, "--overwrite")
    assert "cannot write to" in into(file / "below")
    assert "too long" in into(tmp_path / ("x" * 300))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_out_in_a_folder_that_is_not_writable(recording_folder: Path, tmp_path: Path, refused: Refused) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "cannot write to" in refused("fit", recording_folder, "--out", tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("arguments", [["fitt"], ["fit"], ["fit", "x.avi", "--out", "o", "--no"]])
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adaptation.cli", *arguments],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "--help" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# Says when it fits; Ctrl-C works even where whoever started the tests ignores it.
INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from adaptation import cli
from adaptation.fitting.silhouette_fitter import SilhouetteFitter
fit = SilhouetteFitter.fit
def announced(*arguments, **named):
    print("fitting", flush=True)
    return fit(*arguments, **named)
SilhouetteFitter.fit = announced
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others")
def test_interruption_leaves_nothing(recording_folder: Path, tmp_path: Path) -> None:
    arguments = ["fit", str(recording_folder), "--out", str(tmp_path / "new" / "out"), *QUICK]
    arguments[arguments.index("--steps") + 1] = "1000000"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        env=ENVIRONMENT, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "fitting\n"
        assert list(tmp_path.rglob(".*"))
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert one_line(error) == "interrupted, nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_doctor_as_a_process(tmp_path: Path) -> None:
    (tmp_path / "SMPL_MALE.pkl").write_bytes(b"\x80\x02corrupt")
    command = [sys.executable, "-m", "adaptation.cli", "doctor"]
    environment = {**ENVIRONMENT, "SMPL_MODELS": str(tmp_path), "COLUMNS": "300"}
    done = subprocess.run(command, env=environment, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout and "free body" in done.stdout
    assert "SMPL_MALE.pkl" in done.stdout and "is damaged or not a body model" in done.stdout


def test_a_folder_with_spaces_accents_and_other_files(
    recording_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my vidéo 日本"
    folder.mkdir()
    for file in recording_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "notes.txt").write_text("hall")
    (folder / ".hidden.png").write_bytes(b"")
    assert open_frames(folder).count == 40
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["topo-adapt", "fit", folder.name, "--out", "o ü", *QUICK])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert len(list((tmp_path / "o ü").glob("person_*.npz"))) == 2
