"""Wavefront OBJ: the mesh of one frame."""

from __future__ import annotations

import io

import numpy as np

from adaptation.bodies.body import Body
from adaptation.export.clip import Clip


def obj(clip: Clip, body: Body, index: int) -> str:
    """Return the mesh of one frame as the content of an OBJ file: metres, y up.

    Args:
        clip: the person.
        body: body model of the clip, on the CPU.
        index: position of the frame in the clip.
    """
    text = io.StringIO()
    text.write(f"# topo-adapt: person {clip.number}, frame {clip.frame[index]}\no person_{clip.number:02d}\n")
    np.savetxt(text, clip.posed(body, [index])[0][0], fmt="v %.6f %.6f %.6f")
    np.savetxt(text, body.faces.numpy() + 1, fmt="f %d %d %d")  # OBJ counts from 1
    return text.getvalue()
