from __future__ import annotations

import numpy as np

from adaptation.export.clip import World
from adaptation.export.obj import obj


def test_vertices_and_faces(world: World) -> None:
    clip = world.clips[0]
    lines = [line.split() for line in obj(clip, world.body, 2).splitlines()]
    vertices = np.array([[float(word) for word in words[1:]] for words in lines if words[0] == "v"])
    faces = np.array([[int(word) for word in words[1:]] for words in lines if words[0] == "f"])
    np.testing.assert_allclose(vertices, clip.posed(world.body, [2])[0][0], atol=1e-6)
    np.testing.assert_array_equal(faces - 1, world.body.faces.numpy())
