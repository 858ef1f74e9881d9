from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, project
from adaptation.recording.crops import Crop
from adaptation.recording.detections import MaskQuality
from adaptation.recording.results import PersonResult
from adaptation.recording.view import RecordingView
from adaptation.reports import page
from adaptation.reports.fits import Heading, Report, ReportTable, build_report, choose_frame, write_report
from adaptation.reports.viewer import MOST_PEOPLE, build_viewer
from adaptation.support.errors import UserError
from topokernels import m2s

SIZE = 48
NASTY = '<script>alert("x")</script> & <b>"'


def person(body: Body, track: int, frames: list[int], seed: int = 0) -> tuple[PersonResult, list[Crop]]:
    """Somebody upright in slightly changing poses, with the masks of the fitted bodies."""
    rng = np.random.default_rng(seed)
    count = len(frames)
    pose = rng.normal(0, 0.1, (count, 24, 3)).astype(np.float32)
    pose[:, 0] = [np.pi, 0, 0]
    betas = np.zeros((count, 10), np.float32)
    camera = np.tile(np.array([0.9, 0.0, 0.0], np.float32), (count, 1))
    with torch.no_grad():
        posed = body(torch.from_numpy(pose), torch.from_numpy(betas))
        pixels = project(posed.vertices, WeakPerspective(torch.from_numpy(camera)), SIZE)
        masks = m2s(pixels, body.faces, SIZE, sigma=0.01)[:, 0].numpy()
    box = np.tile(np.array([10, 20, 96, 96], np.float32), (count, 1))
    result = PersonResult(
        frame=np.array(frames), box=box, pose=pose, betas=betas, camera=camera,
        joints3d=posed.joints.numpy(), joints2d=np.zeros((count, 24, 2), np.float32),
        iou_before=rng.uniform(0.4, 0.6, count).astype(np.float32),
        iou_after=np.linspace(0.8, 0.95, count, dtype=np.float32),
        loss_before=rng.uniform(4, 9, count).astype(np.float32),
        loss_after=rng.uniform(0, 1, count).astype(np.float32),
        start_pose=pose * np.float32(0.9), start_betas=betas, start_camera=camera,
    )  # fmt: skip
    quality = MaskQuality(False, 1.0, 1, False, True, NASTY)
    image = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    crops = [
        Crop(track, frame, (10.0, 20.0, 96.0, 96.0), image, mask, quality)
        for frame, mask in zip(frames, masks, strict=True)
    ]
    return result, crops


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.free()


@pytest.fixture(scope="module")
def report(body: Body) -> Report:
    table = ReportTable("Errors", ("", NASTY), [("Person 1", NASTY)], NASTY)
    built = build_report(
        Heading(title=NASTY, source=NASTY, command=NASTY, tables=[table], notes=[NASTY]),
        body,
        [person(body, 1, list(range(0, 80, 10))), person(body, 7, [20, 30, 200], seed=1)],
        lambda number: np.full((160, 200, 3), number, np.uint8),
        view=RecordingView((200, 160), 10.0, NASTY),
    )
    return replace(built, versions=[("torch", NASTY)])


class Page(HTMLParser):
    """Collects what a page has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def sources(self) -> list[str]:
        return [value for name, value in self.attributes if name == "src"]


@pytest.fixture(scope="module")
def html(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, report)
    return path.read_text("utf-8")


SCRIPT = re.compile("<script>(.*?)</script>", re.DOTALL)


def test_nothing_is_fetched(html: str) -> None:
    page, scripts = Page(html), SCRIPT.findall(html)
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    # The only address in the scripts is the name of XHTML.
    assert {address for script in scripts for address in re.findall(r"\w+://[\w./]+", script)} == {
        "http://www.w3.org/1999/xhtml"
    }
    html = SCRIPT.sub("", html)
    assert all(source.startswith("data:image/") for source in page.sources())
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "action", "xlink:href"))
    assert "://" not in html and "@import" not in html and not re.search(r"url\(", html)
    assert "default-src 'none'" in html


def test_only_the_scripts_of_the_view_run(html: str, body: Body, tmp_path: Path) -> None:
    page, scripts = Page(html), SCRIPT.findall(html)
    # Two scripts, and the bodies, which are data.
    assert page.tags.count("script") == 3 and len(scripts) == 2
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy.endswith("script-src " + " ".join(f"'sha256-{digest}'" for digest in digests))
    assert "The above copyright notice" in scripts[0] and "three.js authors" in scripts[0]
    # A report without a view has none.
    write_report(tmp_path / "plain.html", build_report(Heading("t", "s"), body, [person(body, 3, [5])]))
    plain = Page((tmp_path / "plain.html").read_text("utf-8"))
    assert "script" not in plain.tags and not any("script-src" in value for _, value in plain.attributes)


def test_the_view_holds_the_bodies(html: str) -> None:
    data = re.search('id="viewer-glb">([^<]+)<', html)
    assert data is not None
    content = base64.b64decode(data[1])
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    people = {node["name"]: node["extras"]["frames"] for node in document["nodes"] if "extras" in node}
    assert people == {"person_01": list(range(0, 80, 10)), "person_07": [20, 30, 200]}
    text = Page(html).text
    assert 'data-frame="30"' in html  # that of the overview
    assert "The camera's tilt is unknown" in text and "assumed: 256 pixels" in text


def test_the_script_of_the_view_can_be_parsed() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js")
    script = Path(page.__file__).parents[1] / "templates" / "viewer.js"
    done = subprocess.run([node, "--check", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_crowd_is_cut_to_those_with_most_bodies(body: Body) -> None:
    crowd = {track: person(body, track, [0] if track == 2 else [0, 5])[0] for track in range(MOST_PEOPLE + 1)}
    viewer = build_viewer(crowd, body, RecordingView((200, 160), 10.0, "free"), 0)
    assert (
        viewer is not None
        and f"The {MOST_PEOPLE} people with most bodies are shown, of {MOST_PEOPLE + 1}." in viewer.caption
    )
    assert b"person_02" not in base64.b64decode(viewer.glb) and b"person_40" in base64.b64decode(viewer.glb)
    nobody = {track: replace(result, camera=0 * result.camera) for track, result in crowd.items()}
    assert build_viewer(nobody, body, RecordingView((200, 160), 10.0, "free"), 0) is None


def test_what_users_say_is_text(html: str) -> None:
    page = Page(html)
    assert "alert(" not in re.sub(r"&lt;script&gt;alert\(", "", html)
    # Title twice, source, column, cell, two notes, command and version; one note per row shown.
    assert page.text.count(NASTY) == 9 + 9


def test_every_picture_decodes(html: str, report: Report) -> None:
    pictures = []
    for source in Page(html).sources():
        data = base64.b64decode(source.split(",", 1)[1])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        pictures.append(picture)
    rows = sum(len(person.rows) for person in report.people)
    assert len(pictures) == 7 * rows + 2
    # The frame as it came, and enlarged with two bodies in it.
    assert pictures[0].shape == (160, 200, 3) and pictures[1].shape == (1024, 1280, 3)
    # PNG tiles are exact.
    row = report.people[0].rows[0]
    np.testing.assert_array_equal(pictures[3][..., ::-1], row.mask)
    np.testing.assert_array_equal(pictures[4][..., ::-1], row.distance)
    np.testing.assert_array_equal(pictures[5][..., ::-1], row.skeleton)


def test_rows_are_spread_and_counted(html: str, report: Report, body: Body) -> None:
    first, second = report.people
    assert [row.frame for row in second.rows] == [20, 30, 200]
    shown = [row.frame for row in first.rows]
    assert len(shown) == 6 and shown == sorted(set(shown)) and np.diff(shown).max() <= 20
    assert "6 of 8 bodies shown" in html and "all 3 bodies shown" in html
    row = first.rows[-1]
    index = first.result.frame.tolist().index(row.frame)
    assert row.iou_after == pytest.approx(first.result.iou_after[index])
    assert row.loss_before == pytest.approx(first.result.loss_before[index])
    assert f"{row.iou_after:.3f}" in html and f"{row.loss_before:.2f}" in html

    many = [person(body, track, list(range(5))) for track in range(1, 5)]
    few = build_report(Heading("t", "s"), body, many, max_rows=8)
    assert [len(one.rows) for one in few.people] == [2, 2, 2, 2]
    seven = build_report(Heading("t", "s"), body, [person(body, 1, list(range(7)))], max_rows=6)
    assert len({row.frame for row in seven.people[0].rows}) == 6


def test_bodies_are_drawn_where_they_are(report: Report) -> None:
    row = report.people[0].rows[2]
    mask = cv2.resize(row.mask[..., 0], row.body_after.shape[:2], interpolation=cv2.INTER_NEAREST) > 128
    changed = (row.body_after != row.input).any(-1)
    assert (changed & mask).sum() / mask.sum() > 0.95
    assert (changed & ~mask).sum() / mask.sum() < 0.15
    assert (row.body_before != row.body_after).any() and (row.body_turned != row.body_turned[0, 0]).any()


def test_the_overview_is_the_fullest_frame(report: Report, body: Body) -> None:
    assert choose_frame([one.result for one in report.people]) == 30  # 20 and 30 have two; IoU rises
    assert report.overview_input is not None and (report.overview_input == 30).all()
    assert report.overview is not None and len(np.unique(report.overview)) > 50
    with pytest.raises(ValueError):
        choose_frame([])


def test_curves_break_at_gaps_and_fill_their_box() -> None:
    curve = page.curve(np.array([0, 10, 20, 100]), np.array([0.0, 0.5, 1.0, 2.0]), 0.0, 1.0, 200, 100)
    assert curve.paths == ["0.0,100.0 20.0,50.0 40.0,0.0"]
    assert curve.dots[-1] == (200.0, 0.0)
    single = page.curve(np.array([5]), np.array([0.5]), 0.0, 1.0, 200, 100)
    assert single.paths == [] and single.dots == [(100.0, 50.0)]


@pytest.mark.parametrize(("highest", "top"), [(0.0, 0.001), (0.7, 0.8), (1.0, 1.0), (4.1, 6.0), (95.0, 100.0)])
def test_axes_end_at_round_numbers(highest: float, top: float) -> None:
    assert page.top(np.array([0.0, highest])) == pytest.approx(top)


def test_an_empty_report_and_a_single_frame(tmp_path: Path, report: Report, body: Body) -> None:
    empty = build_report(Heading("t", "s"), body, [])
    write_report(tmp_path / "empty.html", empty)
    assert "frames fitted" in (tmp_path / "empty.html").read_text("utf-8")
    one = build_report(Heading("t", "s"), body, [person(body, 3, [5])])
    write_report(tmp_path / "one.html", one)
    assert "all 1 bodies shown" not in (tmp_path / "one.html").read_text("utf-8")


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match="disk full"):
        write_report(path, replace(report, people=[]))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
