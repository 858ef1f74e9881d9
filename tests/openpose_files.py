"""Files as OpenPose writes them."""

from __future__ import annotations

import json
from pathlib import Path

# From OpenPose's documentation of its output.
BODY_25 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle "
    "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
).split()
COCO_18 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"
).split()


def person(layout: list[str], scale: float = 1.0, confidence: float = 0.9) -> dict[str, list[float]]:
    """Keypoint k at (k, 2 k) times a scale."""
    return {"pose_keypoints_2d": [v for k in range(len(layout)) for v in (scale * k, 2 * scale * k, confidence)]}


def write(folder: Path, *contents: object) -> Path:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{number:03d}_keypoints.json").write_text(text)
    return folder
