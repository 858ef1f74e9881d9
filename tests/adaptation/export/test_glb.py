"""GLB files, read back by the rules of glTF's specification: accessors, skins and animations."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
import roma
import torch

from adaptation.export.clip import Clip, World
from adaptation.export.glb import glb
from adaptation.export.gltf_arrays import Arrays

TYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SHAPES = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


class Read:
    """A GLB file."""

    def __init__(self, content: bytes) -> None:
        magic, version, size = struct.unpack_from("<4sII", content)
        length, kind = struct.unpack_from("<I4s", content, 12)
        assert (magic, version, size, kind) == (b"glTF", 2, len(content), b"JSON")
        self.document: dict[str, Any] = json.loads(content[20 : 20 + length])
        binary, kind = struct.unpack_from("<I4s", content, 20 + length)
        assert kind == b"BIN\0" and length % 4 == binary % 4 == 0
        self.data = content[28 + length :]
        assert len(self.data) == binary == self.document["buffers"][0]["byteLength"]

    def array(self, accessor: int) -> np.ndarray:
        entry = self.document["accessors"][accessor]
        view = self.document["bufferViews"][entry["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        shape = (entry["count"], *SHAPES[entry["type"]])
        values = np.frombuffer(
            self.data, TYPES[entry["componentType"]], count=int(np.prod(shape)), offset=view["byteOffset"]
        ).reshape(shape)
        if "min" in entry:
            np.testing.assert_array_equal(values.reshape(len(values), -1).min(0), entry["min"])
            np.testing.assert_array_equal(values.reshape(len(values), -1).max(0), entry["max"])
        return values.transpose(0, 2, 1) if entry["type"] == "MAT4" else values

    def channels(self) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]:
        """Times, values and interpolation of each animated property."""
        (animation,) = self.document["animations"]
        found = {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            key = channel["target"]["node"], channel["target"]["path"]
            found[key] = self.array(sampler["input"]), self.array(sampler["output"]), sampler["interpolation"]
        return found

    def posed(self, person: int, key: int) -> np.ndarray:
        """Vertices of a person at one of the animation's keys, by the equation of glTF's skins."""
        nodes, channels = self.document["nodes"], self.channels()
        node = next(node for node in nodes if node["name"] == f"person_{person:02d}")
        skin = self.document["skins"][node["skin"]]
        local = {}
        for joint in skin["joints"]:
            matrix = np.eye(4)
            turn = channels[joint, "rotation"][1][key]
            matrix[:3, :3] = roma.unitquat_to_rotmat(torch.from_numpy(turn.astype(float))).numpy()
            moved = channels.get((joint, "translation"))
            matrix[:3, 3] = moved[1][key] if moved else nodes[joint]["translation"]
            local[joint] = matrix
        above = {child: joint for joint in skin["joints"] for child in nodes[joint].get("children", [])}
        world: dict[int, np.ndarray] = {}

        def whole(joint: int) -> np.ndarray:
            if joint not in world:
                world[joint] = (whole(above[joint]) if joint in above else np.eye(4)) @ local[joint]
            return world[joint]

        maps = np.stack([whole(joint) for joint in skin["joints"]]) @ self.array(skin["inverseBindMatrices"])
        (part,) = self.document["meshes"][node["mesh"]]["primitives"]
        get = {name: self.array(accessor) for name, accessor in part["attributes"].items()}
        np.testing.assert_allclose(get["WEIGHTS_0"].sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(get["NORMAL"], axis=1), 1, atol=1e-5)
        points = np.concatenate([get["POSITION"], np.ones((len(get["POSITION"]), 1))], axis=1)
        blended = np.einsum("vk,vkij->vij", get["WEIGHTS_0"], maps[get["JOINTS_0"]])
        return np.einsum("vij,vj->vi", blended, points)[:, :3]


@pytest.fixture(scope="module")
def both(world: World) -> Read:
    return Read(glb(world))


@pytest.mark.parametrize("number", [1, 2])
def test_skin_and_animation_give_the_bodies(both: Read, world: World, number: int) -> None:
    (clip,) = world.of(number).clips
    vertices, _ = clip.posed(world.body, range(len(clip)))
    for key in range(len(clip)):
        # Most vertices exactly; those of more than four joints lose their smallest weights.
        apart = np.linalg.norm(both.posed(number, key) - vertices[key], axis=1)
        assert np.median(apart) < 2e-6 and apart.max() < 0.01


def test_times_are_seconds_from_the_first_frame(both: Read, world: World) -> None:
    nodes = both.document["nodes"]
    for clip in world.clips:
        root = both.document["skins"][clip.number - 1]["skeleton"]
        assert nodes[root]["name"] == "pelvis"
        np.testing.assert_allclose(both.channels()[root, "translation"][0], (clip.frame - 20) / 10.0, atol=1e-6)
    assert both.document["extras"] == {"source": "topo-adapt", "frames_per_second": 10.0, "first_frame": 20}
    person = next(node for node in nodes if node["name"] == "person_02")
    assert person["extras"]["frames"] == [28, 32, 40]


def test_people_are_shown_only_while_they_are_seen(both: Read, world: World) -> None:
    second = both.document["skins"][1]["skeleton"]
    times, sizes, how = both.channels()[second, "scale"]
    np.testing.assert_allclose(times, [0.0, 0.8, 2.05], atol=1e-6)
    assert sizes[:, 0].tolist() == [0, 1, 0] and how == "STEP"
    # Somebody who is there all the time, and a person alone, are not touched.
    assert (both.document["skins"][0]["skeleton"], "scale") not in both.channels()
    alone = Read(glb(world.of(2)))
    assert not any(path == "scale" for _, path in alone.channels())


def test_turns_take_the_short_way(world: World) -> None:
    clip = world.clips[0]
    turning = clip.rotations.copy()
    steps = torch.tensor([[0.0, 3.0 + 0.6 * step, 0.0] for step in range(5)], dtype=torch.float64)
    turning[:, 0] = roma.rotvec_to_rotmat(steps).numpy()
    turned = Clip(clip.number, clip.frame, clip.times, turning, clip.roots, clip.betas)
    read = Read(glb(World([turned], world.camera, world.rate, world.body)))
    values = read.channels()[read.document["skins"][0]["skeleton"], "rotation"][1]
    assert ((values[1:] * values[:-1]).sum(1) > 0.95).all()


def test_the_camera_sees_what_the_recording_did(both: Read, world: World) -> None:
    node = next(node for node in both.document["nodes"] if "camera" in node)
    lens = both.document["cameras"][node["camera"]]["perspective"]
    turn = roma.unitquat_to_rotmat(torch.tensor(node["rotation"], dtype=torch.float64)).numpy()
    _, joints = world.clips[0].posed(world.body, [0])
    # By the specification: the camera looks along -z with y up, and yfov spans the height.
    seen = (joints[0] - node["translation"]) @ turn
    plane = seen[:, :2] / -seen[:, 2:] / np.tan(lens["yfov"] / 2)
    pixels = np.stack([plane[:, 0] / lens["aspectRatio"] + 1, 1 - plane[:, 1]], 1) * np.array(world.camera.size) / 2
    np.testing.assert_allclose(pixels, world.camera.project(joints[0]), atol=1e-6)


def test_a_single_frame(world: World) -> None:
    clip = world.clips[0]
    one = Clip(1, clip.frame[:1], clip.times[:1], clip.rotations[:1], clip.roots[:1], clip.betas)
    read = Read(glb(World([one], world.camera, world.rate, world.body)))
    vertices, _ = one.posed(world.body, [0])
    assert np.linalg.norm(read.posed(1, 0) - vertices[0], axis=1).max() < 0.01


def test_arrays_start_at_multiples_of_four() -> None:
    arrays = Arrays()
    numbers = [arrays.add(np.arange(3), "u2"), arrays.add(np.ones((2, 3)), "f4", bounds=True)]
    read = Read(arrays.glb({}))
    assert [read.array(number).tolist() for number in numbers] == [[0, 1, 2], [[1, 1, 1]] * 2]


def test_a_public_reader_reads_it(world: World) -> None:
    trimesh = pytest.importorskip("trimesh")
    scene = trimesh.load(io.BytesIO(glb(world)), file_type="glb")
    assert sorted(len(mesh.vertices) for mesh in scene.geometry.values()) == [world.body.vertex_count] * 2
    assert all(mesh.is_watertight and mesh.volume > 0.03 for mesh in scene.geometry.values())
