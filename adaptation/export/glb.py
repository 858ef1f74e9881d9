"""glTF 2.0 in one binary file: skinned people who move, on the floor before the recording's camera.

Each person is a mesh in the rest pose, bound to 24 joints by weights and inverse bind matrices. One animation turns the
joints and moves the roots. Time 0 is the first frame of the first person in the file. Source: Khronos Group, "glTF 2.0
Specification", sections 3.7.3 (skins), 3.10 (cameras) and 3.11 (animations).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import roma
import torch

from adaptation.export.clip import Clip, Floats, World, WorldCamera
from adaptation.export.gltf_arrays import INDICES, VERTICES, Arrays
from adaptation.support.drawing import vertex_normals
from adaptation.support.pictures import PALETTE

_INFLUENCES = 4  # joints per vertex that all programs read; of the free body's weights, 0.04 % lie beyond
_FLIP = np.diag([1.0, -1.0, -1.0])  # glTF's cameras look along -z, with y up


def glb(world: World) -> bytes:
    """Return the people of a world as the content of a GLB file."""
    document = _Document()
    start = min(float(clip.times[0]) for clip in world.clips)
    end = max(float(clip.times[-1]) for clip in world.clips)
    # Indices, weights and joints belong to the body: all people share them.
    shared = _shared(document, world)
    for order, clip in enumerate(world.clips):
        root = document.add_person(clip, world, shared, order)
        document.animate(clip, root, start)
        if len(world.clips) > 1:
            document.hide(clip, root, (start, end), 1 / world.rate)
    document.add_camera(world.camera)
    return document.content(
        {
            "source": "topo-adapt",
            "frames_per_second": world.rate,
            "first_frame": min(int(clip.frame[0]) for clip in world.clips),
        }
    )


@dataclass
class _Document:
    """The parts of a glTF file while it is put together."""

    arrays: Arrays = field(default_factory=Arrays)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    meshes: list[dict[str, Any]] = field(default_factory=list)
    skins: list[dict[str, Any]] = field(default_factory=list)
    materials: list[dict[str, Any]] = field(default_factory=list)
    cameras: list[dict[str, Any]] = field(default_factory=list)
    samplers: list[dict[str, Any]] = field(default_factory=list)
    channels: list[dict[str, Any]] = field(default_factory=list)
    tops: list[int] = field(default_factory=list)

    def add_person(self, clip: Clip, world: World, shared: dict[str, int], order: int) -> int:
        """Add mesh, skin and joints of a person, posed as in the first frame, and return the node of the root."""
        body, name = world.body, f"person_{clip.number:02d}"
        vertices, joints = clip.rest(body)
        normals = vertex_normals(torch.from_numpy(vertices), body.faces)
        root, tree = len(self.nodes), body.tree
        turns = _quaternions(clip.rotations[0])
        offsets = joints - joints[list(tree)]
        offsets[0] = clip.roots[0]
        for joint, label in enumerate(body.joint_set.joints):
            node: dict[str, Any] = {"name": label, "translation": offsets[joint].tolist()}
            children = [root + child for child, parent in enumerate(tree) if parent == joint]
            self.nodes.append(node | {"rotation": turns[joint].tolist()} | ({"children": children} if children else {}))
        # The rest pose has no rotations, so a joint's inverse bind matrix only takes the joint to the origin.
        bind = np.tile(np.eye(4), (len(joints), 1, 1))
        bind[:, :3, 3] = -joints
        inverse = self.arrays.add(bind, "f4")
        self.skins.append(
            {
                "joints": list(range(root, root + len(joints))),
                "inverseBindMatrices": inverse,
                "skeleton": root,
                "name": name,
            }
        )
        attributes = {
            "POSITION": self.arrays.add(vertices, "f4", target=VERTICES, bounds=True),
            "NORMAL": self.arrays.add(normals, "f4", target=VERTICES),
            "JOINTS_0": shared["joints"],
            "WEIGHTS_0": shared["weights"],
        }
        self.materials.append(_material(name, order))
        primitive = {"attributes": attributes, "indices": shared["indices"], "material": len(self.materials) - 1}
        self.meshes.append({"name": name, "primitives": [primitive]})
        # At the top: a skin moves its mesh, and the mesh's own node would count for nothing.
        extras = {"frames": clip.frame.tolist(), "seconds": clip.times.tolist(), "betas": clip.betas.tolist()}
        self.nodes.append({"name": name, "mesh": len(self.meshes) - 1, "skin": len(self.skins) - 1, "extras": extras})
        self.tops += [root, len(self.nodes) - 1]
        return root

    def animate(self, clip: Clip, root: int, start: float) -> None:
        """Add the motion of a person whose joints begin at a node."""
        times = self.arrays.add(clip.times - start, "f4", bounds=True)
        turns = _continuous(_quaternions(clip.rotations))
        for joint in range(turns.shape[1]):
            self._channel(root + joint, "rotation", times, self.arrays.add(turns[:, joint], "f4"))
        self._channel(root, "translation", times, self.arrays.add(clip.roots, "f4"))

    def hide(self, clip: Clip, root: int, span: tuple[float, float], frame: float) -> None:
        """Shrink a person to nothing before their first frame and after their last; glTF cannot hide nodes."""
        times, sizes = [clip.times[0]], [1.0]
        if clip.times[0] > span[0]:
            times, sizes = [span[0], *times], [0.0, *sizes]
        if clip.times[-1] < span[1]:
            times, sizes = [*times, clip.times[-1] + frame / 2], [*sizes, 0.0]
        if len(times) > 1:
            keys = self.arrays.add(np.array(times) - span[0], "f4", bounds=True)
            scales = self.arrays.add(np.repeat(np.array(sizes)[:, None], 3, axis=1), "f4")
            self._channel(root, "scale", keys, scales, "STEP")

    def add_camera(self, camera: WorldCamera) -> None:
        """Add the recording's camera. glTF's look along the centre of the picture, wherever the principal point is."""
        width, height = camera.size
        lens = {"yfov": 2 * math.atan(height / (2 * camera.focal)), "aspectRatio": width / height, "znear": 0.05}
        self.cameras.append({"type": "perspective", "name": "recording", "perspective": lens})
        turn = _quaternions(camera.rotation @ _FLIP)
        self.tops.append(len(self.nodes))
        node = {"name": "recording_camera", "camera": 0, "translation": camera.position.tolist()}
        self.nodes.append(node | {"rotation": turn.tolist()})

    def content(self, extras: dict[str, object]) -> bytes:
        """Return the file."""
        return self.arrays.glb(
            {
                "extras": extras,
                "scene": 0,
                "scenes": [{"nodes": self.tops}],
                "nodes": self.nodes,
                "meshes": self.meshes,
                "skins": self.skins,
                "materials": self.materials,
                "cameras": self.cameras,
                "animations": [{"name": "motion", "samplers": self.samplers, "channels": self.channels}],
            }
        )

    def _channel(self, node: int, path: str, times: int, values: int, how: str = "LINEAR") -> None:
        self.channels.append({"sampler": len(self.samplers), "target": {"node": node, "path": path}})
        self.samplers.append({"input": times, "output": values, "interpolation": how})


def _shared(document: _Document, world: World) -> dict[str, int]:
    """Add the faces and the skinning weights of the body; return their accessors."""
    body = world.body
    top = body.skinning_weights.double().topk(_INFLUENCES, dim=1)
    # glTF wants no joint where the weight is 0.
    joints = torch.where(top.values > 0, top.indices, 0)
    # Normalised in float32, since readers check that the stored numbers add up to 1.
    weights = (top.values / top.values.sum(dim=1, keepdim=True)).float()
    faces = body.faces.numpy().reshape(-1)
    return {
        "joints": document.arrays.add(joints, "u1", target=VERTICES),
        "weights": document.arrays.add(weights, "f4", target=VERTICES),
        "indices": document.arrays.add(faces, "u2" if body.vertex_count < 65535 else "u4", target=INDICES),
    }


def _material(name: str, order: int) -> dict[str, Any]:
    color = np.array(PALETTE[order % len(PALETTE)]) / 255
    linear = [*np.round(color**2.2, 4).tolist(), 1.0]  # glTF's factors are linear, pictures are not
    return {
        "name": name,
        "pbrMetallicRoughness": {"baseColorFactor": linear, "metallicFactor": 0.0, "roughnessFactor": 0.9},
    }


def _quaternions(rotations: Floats) -> Floats:
    """Return unit quaternions (..., 4), x, y, z, w, of rotation matrices (..., 3, 3)."""
    quaternions: Floats = roma.rotmat_to_unitquat(torch.from_numpy(rotations)).numpy()
    return quaternions


def _continuous(quaternions: Floats) -> Floats:
    """Choose signs of quaternions (N, J, 4) so that each is the nearer one to that of the frame before."""
    same = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True)
    signs = np.cumprod(np.where(same < 0, -1.0, 1.0), axis=0)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs])
