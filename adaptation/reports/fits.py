"""Report of fitted or predicted bodies: one HTML file that shows each person with pictures and agreement.

Pictures, styles and scripts are part of the page, which loads nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from adaptation.bodies.body import Body
from adaptation.recording.crops import Crop
from adaptation.recording.mesh_results import Result
from adaptation.recording.results import PersonResult
from adaptation.recording.view import RecordingView
from adaptation.reports.body_pictures import TILE, body_pixels, draw_over, draw_turned, faces_of
from adaptation.reports.page import write_page
from adaptation.reports.viewer import Viewer, build_viewer
from adaptation.support import drawing as overlay
from adaptation.support import pictures
from adaptation.support.pictures import AFTER, BEFORE, PALETTE, Image
from adaptation.support.versions import versions
from topokernels import d2t, s2d

FITTED = (
    "Bodies were fitted to the masks alone; the colours of the images were not used. Before: the body that the last "
    "fit started from. After: the fitted body."
)


@dataclass(frozen=True, eq=False)
class ReportRow:
    """One frame of a person. Pictures are RGB uint8 (S, S, 3); their sizes may differ.

    Attributes:
        frame: number of the frame.
        input: the crop.
        mask: the mask as a picture.
        distance: the mask's distance map as a picture.
        skeleton: the mask's skeleton as a picture.
        body_before: the starting pose over the crop.
        body_after: the fitted pose over the crop.
        body_turned: the fitted body seen from its side, on a plain background.
        iou_before: IoU of silhouette and mask at the starting pose.
        iou_after: IoU after the fit.
        loss_before: L_T at the starting pose: mean distance between the skeletons, pixels of the crop.
        loss_after: L_T after the fit.
        note: remark on the quality of the mask; may be empty.
    """

    frame: int
    input: Image
    mask: Image
    distance: Image
    skeleton: Image
    body_before: Image
    body_after: Image
    body_turned: Image
    iou_before: float
    iou_after: float
    loss_before: float
    loss_after: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReportPerson:
    """One person: numbers of all frames, pictures of some.

    Attributes:
        track: number of the track.
        result: results of all fitted frames.
        rows: frames shown with pictures.
    """

    track: int
    result: Result
    rows: Sequence[ReportRow]


@dataclass(frozen=True)
class ReportTable:
    """A table of results, such as errors against the ground truth.

    Attributes:
        title: heading of the table.
        columns: column headings; the first column names the rows.
        rows: cells of each row.
        note: what the numbers are, and how they were measured.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Heading:
    """Texts and tables that accompany the results in a report.

    Attributes:
        title: heading of the page.
        source: line under the heading: what was processed.
        command: command line that reproduces the result.
        tables: measured results.
        notes: rejected frames and other remarks.
        found: how unusual inputs were understood, one line each; see `adaptation.support.reading.findings`.
        method: what "before" and "after" are, above the people; `FITTED` for fits.
    """

    title: str
    source: str
    command: str = ""
    tables: Sequence[ReportTable] = ()
    notes: Sequence[str] = ()
    found: Sequence[str] = ()
    method: str = FITTED


@dataclass(frozen=True, eq=False)
class Report:
    """Contents of the page.

    Attributes:
        heading: texts and tables.
        summary: label and value of each figure at the top.
        overview: a frame with the fitted bodies drawn in, (H', W', 3) uint8 RGB, shown at the top, or None.
        overview_input: the same frame without bodies, (H, W, 3) uint8 RGB, shown next to it, or None.
        overview_caption: line under the two pictures.
        people: people, in one section each.
        versions: name and version of each package that was used.
        viewer: the bodies in 3D, or None.
    """

    heading: Heading
    summary: Sequence[tuple[str, str]]
    overview: Image | None
    overview_input: Image | None
    overview_caption: str
    people: Sequence[ReportPerson]
    versions: Sequence[tuple[str, str]]
    viewer: Viewer | None = None

    @property
    def judged(self) -> bool:
        """Whether the bodies were compared with masks; none were if people have keypoints alone."""
        return all(person.result.judged for person in self.people)


def build_report(
    heading: Heading,
    body: Body,
    people: Sequence[tuple[Result, Sequence[Crop]]],
    frame_image: Callable[[int], Image] | None = None,
    *,
    view: RecordingView | None = None,
    rows_per_person: int = 6,
    max_rows: int = 150,
) -> Report:
    """Make the pictures of a report from the results of the pipeline.

    Args:
        heading: texts and tables.
        body: body model of the results, on the CPU.
        people: each person's result with the crops it was fitted to, matched by frame number.
        frame_image: function that returns the RGB frame of a number, for the overview; without it there is no overview.
        view: frame size, rate and camera of the recording, for the bodies in 3D; without it they are not shown.
        rows_per_person: frames shown of each person, evenly spread over the person's frames.
        max_rows: limit on the frames shown of all people together, which bounds the size of the file; with many
            people each gets fewer rows, but at least one.

    Returns:
        The report, ready for `write_report`.
    """
    fitted = [(result, crops) for result, crops in people if len(result)]
    # Rows hold embedded pictures, which make up nearly all of the file's size.
    share = max(1, min(rows_per_person, max_rows // max(len(fitted), 1)))
    report_people = [
        ReportPerson(crops[0].track, result, _rows(body, result, crops, share)) for result, crops in fitted
    ]
    overview = overview_input = viewer = None
    caption = ""
    if fitted:
        # The frame with most people shows best whether all of them were found.
        number = choose_frame([result for result, _ in fitted])
        tracked = [(crops[0].track, result) for result, crops in fitted]
        if frame_image is not None:
            overview_input = frame_image(number)
            overview = draw_overview(overview_input, number, body, tracked)
            caption = f"Frame {number} and its bodies, labelled with their track numbers."
        if view is not None:
            viewer = build_viewer(
                {track: result for track, result in tracked if isinstance(result, PersonResult)}, body, view, number
            )
    return Report(
        heading=heading,
        summary=summarise([result for result, _ in fitted]),
        overview=overview,
        overview_input=overview_input,
        overview_caption=caption,
        people=report_people,
        versions=versions(),
        viewer=viewer,
    )


def summarise(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return label and value of the figures at the top of a report: medians over all frames of all people."""
    # A median of nothing is NaN.
    if not results:
        return [("people", "0"), ("frames fitted", "0")]

    def median(name: str) -> float:
        return float(np.median(np.concatenate([getattr(result, name) for result in results])))

    agreement = [
        ("median IoU, before → after", f"{median('iou_before'):.2f} → {median('iou_after'):.2f}"),
        ("median L_T, before → after", f"{median('loss_before'):.1f} → {median('loss_after'):.1f} px"),
    ]
    counts = [("people", f"{len(results)}"), ("bodies", f"{sum(len(result) for result in results):,}")]
    return [*(agreement if all(result.judged for result in results) else []), *counts]


def choose_frame(results: Sequence[Result]) -> int:
    """Return the number of the frame with the most people; among equals, the one whose worst IoU is highest.

    Raises:
        ValueError: no person has a frame.
    """
    seen: dict[int, list[float]] = {}
    for result in results:
        # An unknown IoU cannot be compared.
        for frame, iou in zip(result.frame.tolist(), np.nan_to_num(result.iou_after).tolist(), strict=True):
            seen.setdefault(frame, []).append(iou)
    return max(seen, key=lambda frame: (len(seen[frame]), min(seen[frame])))


def draw_overview(
    image: Image,
    frame: int,
    body: Body,
    people: Sequence[tuple[int, Result]],
    *,
    min_width: int = 1280,
) -> Image:
    """Draw all fitted bodies of a frame into it, each with its track number.

    Args:
        image: (H, W, 3) uint8 RGB frame.
        frame: number of the frame.
        body: body model of the results, on the CPU.
        people: track number and result of each person.
        min_width: least width of the picture, pixels; smaller frames are enlarged, which keeps small bodies sharp.

    Returns:
        (H', W', 3) uint8 RGB picture with the frame's proportions.
    """
    scale = max(1.0, min_width / image.shape[1])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    drawn = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    shown = []
    faces = body.faces
    for order, (track, result) in enumerate(people):
        for index in np.flatnonzero(result.frame == frame).tolist():
            # From the crop to the frame: the box has the side of the crop in frame pixels.
            box = result.box[index]
            seen = result.bodies([index])
            pixels, faces = body_pixels(body, seen, float(box[2]))[0], faces_of(seen, body)
            # Only x and y: depth has no offset, and its scale is already that of the frame.
            pixels[:, :2] += torch.as_tensor(box[:2])
            # The colour follows the order of people, not of depth, so that it stays theirs in every frame.
            shown.append((float(pixels[:, 1].max()), order, track, pixels * scale))
    # Painter's algorithm: feet lower in the image are nearer to the camera, since people stand on one floor.
    for _, order, track, pixels in sorted(shown, key=lambda person: person[0]):
        color = PALETTE[order % len(PALETTE)]
        drawn = overlay.draw_body(drawn, pixels, faces, color=color, samples=2)
        top, middle = float(pixels[:, 1].min()), float(pixels[:, 0].mean())
        drawn = _label(drawn, str(track), (middle, top - 18), color)
    return drawn


def write_report(path: Path, report: Report) -> None:
    """Write a report as one HTML file. A write that fails leaves no partial file.

    Args:
        path: the file; its folder must exist.
        report: the report.

    Raises:
        UserError: the file cannot be written.
    """
    write_page(path, "report.html.j2", report=report, median=lambda values: float(np.median(values)))


@torch.no_grad()
def _rows(body: Body, result: Result, crops: Sequence[Crop], count: int) -> list[ReportRow]:
    """Make the pictures of at most ``count`` frames, evenly spread."""
    by_frame = {crop.frame: crop for crop in crops}
    known = [index for index, frame in enumerate(result.frame.tolist()) if frame in by_frame]
    if not known:
        return []
    count = min(count, len(known))
    # The middles of ``count`` equal parts, not the ends, where people enter and leave the view.
    chosen = [known[(2 * number + 1) * len(known) // (2 * count)] for number in range(count)]
    shown = [by_frame[int(result.frame[index])] for index in chosen]
    size = shown[0].mask.shape[0]
    masks = torch.from_numpy(np.stack([crop.mask for crop in shown])).float()[:, None]
    # From the masks of the crops, so that the pictures show what the losses compare.
    distances = s2d(masks)
    skeletons = d2t(distances, masks)
    before = body_pixels(body, result.starts(chosen), size)
    after = body_pixels(body, result.bodies(chosen), size)
    faces = faces_of(result.bodies(chosen), body)
    zoom = TILE / size
    rows = []
    for row, (index, crop) in enumerate(zip(chosen, shown, strict=True)):
        mask, distance, skeleton = (part[row, 0].numpy() for part in (masks, distances, skeletons))
        large = pictures.enlarge(crop.image, TILE)
        rows.append(
            ReportRow(
                frame=int(result.frame[index]),
                input=large,
                mask=pictures.picture_mask(mask),
                distance=pictures.picture_distance(distance),
                skeleton=pictures.picture_skeleton(skeleton, mask),
                body_before=draw_over(large, before[row] * zoom, faces, BEFORE, mask),
                body_after=draw_over(large, after[row] * zoom, faces, AFTER, mask),
                body_turned=draw_turned(after[row] * zoom, faces),
                iou_before=float(result.iou_before[index]),
                iou_after=float(result.iou_after[index]),
                loss_before=float(result.loss_before[index]),
                loss_after=float(result.loss_after[index]),
                note=crop.quality.note,
            )
        )
    return rows


def _label(image: Image, text: str, centre: tuple[float, float], color: pictures.Color) -> Image:
    """Draw a text on a dark plate, moved into the image where it would leave it."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.75, 2)
    x = int(np.clip(round(centre[0] - width / 2), 8, max(8, image.shape[1] - width - 8)))
    y = int(np.clip(round(centre[1]), height + 9, image.shape[0] - 11))
    # A dark plate, since white text on a bright floor could not be read.
    cv2.rectangle(image, (x - 7, y - height - 8), (x + width + 6, y + 7), (20, 24, 32), -1)
    cv2.rectangle(image, (x - 7, y + 7), (x + width + 6, y + 10), color, -1)
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (255, 255, 255), 2, cv2.LINE_AA)
    return image
