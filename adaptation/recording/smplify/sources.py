"""What `topo-adapt smplify` reads: a recording with keypoints of its frames, or a crop set with keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import crop_to_frame
from adaptation.bodies.joint_sets import SMPL
from adaptation.data.openpose import read_everybody
from adaptation.data.samples import Floats, MaskKind, Samples, is_crop_set
from adaptation.recording.footage.empty_scene import read_background
from adaptation.recording.footage.frame_numbers import check_frames
from adaptation.recording.footage.segmented_masks import open_given
from adaptation.recording.footage.video import Frames, open_frames
from adaptation.recording.found_people import find_crops
from adaptation.recording.smplify.crop_set import CropFrames, people_of_set
from adaptation.recording.smplify.options import SmplifyOptions
from adaptation.recording.smplify.people import SeenPeople, people_of_keypoints, people_of_masks
from adaptation.recording.tilt.camera_tilt import CameraTilt
from adaptation.recording.tilt.recording import given_tilt
from adaptation.support.errors import UserError
from adaptation.support.progress import Progress

Opened = tuple[Frames, SeenPeople, CameraTilt | None]
"""Frames, the people in them, and how the camera hangs, if a calibration says it."""


@dataclass(frozen=True)
class MaskSource:
    """Where masks come from.

    Attributes:
        masks: folder or file of masks.
        models: package of the segmenter's networks.
        background: pictures of the empty scene.
        kind: kind of the masks of a crop set.
    """

    masks: Path | None = None
    models: Path | None = None
    background: Path | None = None
    kind: MaskKind = "subtracted"

    @property
    def given(self) -> bool:
        """Whether the user says where masks come from."""
        return any(path is not None for path in (self.masks, self.models, self.background))


def open_source(
    source: Path,
    keypoints: Path | None,
    masks: MaskSource,
    options: SmplifyOptions,
    body: Body,
    progress: Progress,
) -> Opened:
    """Open a crop set, or a recording and the folder of its keypoints.

    Args:
        source: folder of crops, or recording.
        keypoints: folder of OpenPose JSON files, one per frame of a recording, or of crops that were cut out of it.
        masks: where masks come from.
        options: frames, crops, whether silhouettes are used.
        body: body model that will be fitted.
        progress: progress bars.

    Raises:
        UserError: keypoints are missing, or given twice; options do not suit the source; or nobody can be fitted.
    """
    if source.is_dir() and is_crop_set(source):
        return _crop_set(source, keypoints, masks, options, body)
    if keypoints is None:
        raise UserError(
            f"{source} is a recording, whose keypoints are needed: --keypoints with OpenPose's JSON files, one per "
            "frame; or cut crops with `topo-adapt keypoints --detector mediapipe --out CROPS`, and fit those"
        )
    frames = open_frames(source)
    recording = options.recording
    tilt = given_tilt(frames.size, recording.tilt)
    if recording.frames is not None:
        check_frames(recording.frames, frames)
    everybody = _everybody(keypoints, frames.exact_count())
    if not options.silhouettes and not masks.given:
        return frames, people_of_keypoints(frames, everybody, recording), tilt
    given = open_given(masks.masks, masks.models, frames)
    empty = read_background(masks.background, frames) if masks.background else ()
    found = find_crops(frames, recording, progress, given, empty)
    return frames, people_of_masks(found, everybody, source), tilt


def _everybody(keypoints: Path, count: int) -> list[Floats]:
    """Return the keypoints (P, J, 3) of the people of each frame, frame pixels.

    Raises:
        UserError: they cannot be read, or belong to another recording.
    """
    if not is_crop_set(keypoints):
        return read_everybody(keypoints, count)
    samples = Samples.load(keypoints)
    if samples.keypoints is None or samples.frame is None or samples.box is None or samples.joints != SMPL:
        raise UserError(
            f"{keypoints} is a folder of crops that does not say where in a recording its keypoints are; cut it with "
            "`topo-adapt keypoints RECORDING --detector mediapipe --out CROPS`"
        )
    if samples.frame.max() >= count:
        raise UserError(f"{keypoints} has keypoints of frame {samples.frame.max()}, but there are {count} frames")
    places = crop_to_frame(torch.from_numpy(samples.keypoints[..., :2]), torch.from_numpy(samples.box), samples.size)
    confidence = np.array(samples.keypoints[..., 2:])
    moved = np.where(confidence > 0, np.concatenate([places.numpy(), confidence], axis=2), 0).astype(np.float32)
    return [moved[samples.frame == number] for number in range(count)]


def _crop_set(source: Path, keypoints: Path | None, masks: MaskSource, options: SmplifyOptions, body: Body) -> Opened:
    recording = options.recording
    if keypoints is not None:
        raise UserError(f"{source} is a folder of crops; add keypoints with `topo-adapt keypoints {source} --from ...`")
    if masks.given:
        raise UserError(f"{source} is a folder of crops, which has masks of its own; choose them with --mask-kind")
    if recording.frames is not None or recording.every != 1 or recording.tilt.calibration is not None:
        raise UserError(f"{source} is a folder of crops; --frames, --every and --calibration are for recordings")
    samples = Samples.load(source)
    if options.silhouettes and samples.masks is None:
        raise UserError(f"{source} has no masks (masks.npy), which --silhouettes needs")
    return CropFrames(source, samples), people_of_set(samples, body, masks.kind, source), None
