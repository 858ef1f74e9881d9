"""The 3D view of a report: bodies as a GLB file, and the scripts that draw it, all within the page.

The scripts are three.js (assets/three.min.js, built by tools/make_three.sh) and templates/viewer.js. The page's content
policy names them by their digests, so that no other script runs, whatever names of files or notes contain.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from adaptation.bodies.body import Body
from adaptation.export.glb import glb
from adaptation.export.placing import place
from adaptation.recording.results import PersonResult
from adaptation.recording.view import RecordingView
from adaptation.support.errors import UserError

MOST_PEOPLE = 40
"""People in the view; each adds about 60 kB to the page."""


@dataclass(frozen=True, eq=False)
class Viewer:
    """What the page needs to show bodies in 3D.

    Attributes:
        glb: the bodies, base64.
        scripts: scripts, in the order in which they run.
        caption: what was assumed, for the line under the view.
        frame: number of the frame that is shown first.
    """

    glb: str
    scripts: Sequence[str]
    caption: str
    frame: int

    @property
    def policy(self) -> str:
        """Sources of scripts for the content policy: the digests of the scripts."""
        digests = (hashlib.sha256(script.encode()).digest() for script in self.scripts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def build_viewer(people: Mapping[int, PersonResult], body: Body, view: RecordingView, frame: int) -> Viewer | None:
    """Place people in the world of their recording, for a report.

    Args:
        people: results by the number of the track; the people with most bodies are shown if there are more than 40.
        body: body model of the results, on the CPU.
        view: frame size, rate and camera of the recording.
        frame: number of the frame to show first.

    Returns:
        The view; None if nobody can be placed.
    """
    if not people:
        return None
    fullest = sorted(people, key=lambda number: -len(people[number]))[:MOST_PEOPLE]
    # In the order of the report, whose colours the view has too.
    shown = {number: result for number, result in people.items() if number in fullest}
    try:
        world = place(shown, body, view)
    except UserError:
        return None
    notes = [f"{note[0].upper()}{note[1:]}." for note in world.notes]
    if len(shown) < len(people):
        notes.append(f"The {len(shown)} people with most bodies are shown, of {len(people)}.")
    package = resources.files("adaptation")
    scripts = [(package / name).read_text("utf-8") for name in ("assets/three.min.js", "templates/viewer.js")]
    return Viewer(base64.b64encode(glb(world)).decode(), scripts, " ".join(notes), frame)
