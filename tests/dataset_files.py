"""Small files in the layouts of the field's data sets, with the field names, types and nesting of the originals."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adaptation.bodies.poses import sample_poses

RANDOM = np.random.default_rng(0)


def write_image(path: Path, width: int = 64, height: int = 48, value: int = 90) -> Path:
    """A grey picture with a white square at (20, 10) to (30, 20)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((height, width, 3), value, np.uint8)
    image[10:20, 20:30] = 255
    cv2.imwrite(str(path), image)
    return path


def poses(count: int) -> np.ndarray:
    """Axis-angle (N, 72)."""
    import torch

    return sample_poses(count, torch.Generator().manual_seed(1)).double().numpy().reshape(count, 72)


def write_spin(path: Path, names: list[str], **more: Any) -> dict[str, np.ndarray]:
    """SPIN's npz: lists that np.savez turned into float64 arrays and unicode names."""
    count = len(names)
    part = np.concatenate([RANDOM.uniform(5, 40, (count, 24, 2)), np.ones((count, 24, 1))], axis=2)
    part[:, 14:] = 0
    joints = np.concatenate([RANDOM.normal(0, 0.3, (count, 24, 3)), np.ones((count, 24, 1))], axis=2)
    joints[:, :, :3] -= joints[:, 14:15, :3]
    arrays = {
        "imgname": np.array(names),
        "center": np.tile([25.0, 15.0], (count, 1)),
        "scale": np.full(count, 0.1),
        "part": part,
        "S": joints,
        **more,
    }
    np.savez(path, **arrays)
    return arrays


def write_threedpw(path: Path, frames: int = 4, people: int = 2) -> dict[str, Any]:
    """A sequence of 3DPW, in protocol 2 as Python 2 wrote it."""
    angle = 0.3
    camera = np.eye(4)
    camera[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    camera[:3, 3] = 0.1, 0.2, 5
    joints = RANDOM.normal(0, 0.4, (people, frames, 24, 3))
    points = np.concatenate([RANDOM.uniform(10, 40, (people, frames, 2, 18)), np.ones((people, frames, 1, 18))], 2)
    valid = np.ones((people, frames), int)
    valid[0, 1] = 0
    points[1, 2] = 0
    held = {
        "sequence": path.stem,
        "betas": [RANDOM.normal(0, 1, 10) for _ in range(people)],
        "poses": [poses(frames) + person for person in range(people)],
        "trans": [RANDOM.normal(0, 1, (frames, 3)) for _ in range(people)],
        "poses_60Hz": [poses(2 * frames) for _ in range(people)],
        "genders": ["m", "f"][:people],
        "texture_maps": [],
        "poses2d": list(points),
        "jointPositions": list(joints.reshape(people, frames, 72)),
        "img_frame_ids": np.arange(frames),
        "cam_poses": np.tile(camera, (frames, 1, 1)),
        "campose_valid": list(valid),
        "cam_intrinsics": np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(held, protocol=2))
    return held


def write_coco(path: Path) -> dict[str, Any]:
    """Two people, a crowd and a person without keypoints."""
    keypoints = np.zeros((17, 3), int)
    keypoints[[5, 6, 11, 12, 15]] = [[22, 11, 2], [27, 11, 2], [23, 15, 1], [26, 15, 2], [24, 19, 2]]
    square = [20.0, 10.0, 30.0, 10.0, 30.0, 20.0, 20.0, 20.0]
    person = {"image_id": 7, "category_id": 1, "bbox": [20.0, 10.0, 10.0, 10.0], "area": 100.0, "num_keypoints": 5}
    triangles = [[20.0, 10.0, 24.0, 10.0, 20.0, 14.0], [40.0, 30.0, 44.0, 30.0, 40.0, 34.0]]
    held = {
        "images": [{"id": 7, "file_name": "000000000007.jpg", "width": 64, "height": 48}],
        "annotations": [
            {**person, "id": 1, "iscrowd": 0, "keypoints": keypoints.ravel().tolist(), "segmentation": [square]},
            {**person, "id": 2, "iscrowd": 0, "keypoints": keypoints.ravel().tolist(), "segmentation": triangles},
            {**person, "id": 3, "iscrowd": 1, "keypoints": [0] * 51, "segmentation": {"counts": [9], "size": [48, 64]}},
            {**person, "id": 4, "iscrowd": 0, "keypoints": [0] * 51, "num_keypoints": 0, "segmentation": [square]},
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    path.write_text(json.dumps(held))
    return held


def write_human36m(folder: Path, subject: int, fits: bool) -> dict[str, Any]:
    """A subject in the JSON files of Moon et al.: two cameras, frames 0 and 5, and frame 3, which is not kept."""
    folder.mkdir(parents=True, exist_ok=True)
    world = RANDOM.normal(0, 300, (6, 17, 3))
    turn = [[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]
    cameras = {str(cam): {"R": turn, "t": [10.0, 20.0, 4000.0 + cam], "f": [1145.0, 1144.0], "c": [512.0, 515.0]}
               for cam in range(1, 5)}  # fmt: skip
    images, annotations = [], []
    for number, (cam, frame) in enumerate([(1, 0), (1, 3), (4, 0), (4, 5)]):
        name = f"s_{subject:02d}_act_02_subact_01_ca_{cam:02d}_{frame + 1:06d}.jpg"
        images.append({"id": number, "file_name": name, "width": 1000, "height": 1002, "subject": subject,
                       "action_name": "Directions", "action_idx": 2, "subaction_idx": 1, "cam_idx": cam,
                       "frame_idx": frame})  # fmt: skip
        annotations.append(
            {"id": number, "image_id": number, "keypoints_vis": [True] * 17, "bbox": [400.0, 300, 80, 200]}
        )
    stem = f"Human36M_subject{subject}"
    (folder / f"{stem}_data.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (folder / f"{stem}_camera.json").write_text(json.dumps(cameras))
    joints = {"2": {"1": {str(frame): world[frame].tolist() for frame in range(6)}}}
    (folder / f"{stem}_joint_3d.json").write_text(json.dumps(joints))
    smpl = poses(1)[0]
    if fits:
        fit = {"pose": smpl.tolist(), "shape": [0.5] * 10, "trans": [0.0, 0, 0]}
        (folder / f"{stem}_smpl_param.json").write_text(json.dumps({"2": {"1": {"0": fit}}}))
    return {"world": world, "R": np.array(turn), "cameras": cameras, "pose": smpl}


def structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """A struct array (1, N) of MATLAB; fields that a row lacks are empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for place, row in enumerate(rows):
        for name in names:
            array[0, place][name] = row.get(name, np.zeros((0, 0)))
    return array


def write_mpii(path: Path) -> None:
    """Two training images with three people, one of whom is not annotated, and a test image."""
    from scipy.io import savemat

    def points(rows: list[tuple[int, float, float, Any]]) -> np.ndarray:
        return structs([{"x": x, "y": y, "id": i, "is_visible": visible} for i, x, y, visible in rows])

    def person(rows: list[tuple[int, float, float, Any]], **head: float) -> dict[str, Any]:
        return {**head, "annopoints": structs([{"point": points(rows)}]), "scale": 0.1,
                "objpos": structs([{"x": 26.0, "y": 16.0}])}  # fmt: skip

    head = {"x1": 20.0, "y1": 10.0, "x2": 23.0, "y2": 14.0}
    limbs = [(0, 22.0, 19.0, 1), (5, 27.0, 19.0, 0), (8, 24.0, 12.0, np.zeros((0, 0))), (9, 24.0, 10.0, "1")]
    images = [
        {"image": structs([{"name": "a.jpg"}]), "annorect": structs([person(limbs, **head), {"scale": 1.0}])},
        {"image": structs([{"name": "b.jpg"}]), "annorect": structs([person(limbs[:2])])},
        {"image": structs([{"name": "c.jpg"}]), "annorect": structs([{"scale": 1.0, "objpos": structs([{"x": 1.0}])}])},
        {"image": structs([{"name": "d.jpg"}])},
    ]
    release = {"annolist": structs(images), "img_train": np.array([[1, 1, 0, 0]]), "version": "12"}
    savemat(path, {"RELEASE": release}, do_compression=True)


CALIBRATION = """Skeletool Camera Calibration File V1.0
{}"""
CAMERA = """name          {0}
  sensor      10 10
  size        2048 2048
  animated    0
  intrinsic   149{0}.693 0 1024.704 0 0 1497.103 1051.394 0 0 0 1 0 0 0 0 1
  extrinsic   1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1
  radial      0
"""


def write_3dhp_train(root: Path, frames: int = 3) -> dict[str, np.ndarray]:
    """S1/Seq1 with 14 cameras: cells of (F, 56) pixels and (F, 84) millimetres."""
    from scipy.io import savemat

    folder = root / "S1" / "Seq1"
    folder.mkdir(parents=True)
    points, joints = RANDOM.uniform(100, 2000, (14, frames, 56)), RANDOM.normal(0, 400, (14, frames, 84))
    joints[..., 2::3] += 3000
    points[0, 0, :2] = -5, 70  # spine3, which SPIN's joints lack
    points[0, 0, 2 * 20 : 2 * 20 + 2] = 2500, 70  # the left ankle, outside
    cells = {}
    for name, array in (("annot2", points), ("annot3", joints)):
        cells[name] = np.empty((14, 1), object)
        for view in range(14):
            cells[name][view, 0] = array[view]
    savemat(folder / "annot.mat", {**cells, "cameras": np.arange(14), "frames": np.arange(frames)[:, None]})
    text = "".join(CAMERA.format(view) for view in range(9)) + "".join(CAMERA.format(9) for _ in range(5))
    (folder / "camera.calibration").write_text(CALIBRATION.format(text))
    return {"annot2": points, "annot3": joints}


def write_surreal(folder: Path, frames: int, clip: int = 1) -> dict[str, np.ndarray]:
    """A clip of SURREAL: information, segmentation and video, of a body that is posed and rendered by its own rules."""
    import torch
    from scipy.io import savemat

    from adaptation.bodies.body import Body

    folder.mkdir(parents=True, exist_ok=True)
    pose, zrot, place = poses(frames), np.linspace(0.2, 1.0, frames), np.array([6.0, -1.0, 1.0])
    betas = np.tile(np.linspace(-1, 1, 10), (frames, 1))
    upright = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    roots = []
    for frame in range(frames):
        about = np.array([[np.cos(zrot[frame]), -np.sin(zrot[frame]), 0], [np.sin(zrot[frame]), np.cos(zrot[frame]), 0],
                          [0, 0, 1]])  # fmt: skip
        roots.append(cv2.Rodrigues(upright @ about @ cv2.Rodrigues(pose[frame, :3])[0])[0][:, 0])
    world = pose.copy()
    world[:, :3] = np.stack(roots)
    joints = Body.free().double().joints(torch.from_numpy(world.reshape(-1, 24, 3)), torch.from_numpy(betas)).numpy()
    camera = np.array([[0.0, 0, -1], [0, 1, 0], [-1, 0, 0]])
    seen = (joints - place) @ camera.T
    image = seen @ np.array([[600.0, 0, 160], [0, 600, 120], [0, 0, 1]]).T
    pixels = image[..., :2] / image[..., 2:]
    stem = folder / f"{folder.name}_c{clip:04d}"
    squeeze = (lambda a: a[..., 0]) if frames == 1 else (lambda a: a)  # MATLAB drops a last dimension of 1
    savemat(f"{stem}_info.mat", {
        "pose": pose.T, "shape": betas.T, "joints2D": squeeze(pixels.transpose(2, 1, 0)),
        "joints3D": squeeze(joints.transpose(2, 1, 0)), "zrot": zrot[:, None], "camLoc": place[:, None], "camDist": 6.0,
        "gender": np.ones((frames, 1), np.uint8), "clipNo": clip, "sequence": folder.name, "source": "cmu",
    })  # fmt: skip
    parts = np.zeros((240, 320), np.uint8)
    parts[100:140, 150:160], parts[100:140, 160:170] = 2, 3  # left and right thigh
    savemat(f"{stem}_segm.mat", {f"segm_{frame + 1}": parts for frame in range(frames)}, do_compression=True)
    return {"seen": seen, "pixels": pixels, "pose": pose, "betas": betas}


def write_up3d(folder: Path, number: int) -> dict[str, np.ndarray]:
    """A person of UP-3D: image, joints and body, and the list of a split."""
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / f"{number:05d}_image.png")
    joints = np.vstack([RANDOM.uniform(5, 40, (2, 14)), np.ones((1, 14))])
    np.save(folder / f"{number:05d}_joints.npy", joints)
    body = {"pose": poses(1)[0], "betas": np.arange(10.0), "trans": np.zeros(3), "rt": np.array([0.0, 0.5, 0]),
            "t": np.array([0.0, 0, 10]), "f": 5000.0}  # fmt: skip
    (folder / f"{number:05d}_body.pkl").write_bytes(pickle.dumps(body, protocol=2))
    with (folder / "test.txt").open("a") as file:
        file.write(f"/{number:05d}_image.png\n")
    return {"joints": joints, **{key: np.asarray(value) for key, value in body.items()}}
