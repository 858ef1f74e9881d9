from __future__ import annotations

import numpy as np
import pytest
from exporting import VIEW, walker

from adaptation.bodies.body import Body
from adaptation.export.clip import World
from adaptation.export.placing import place


@pytest.fixture(scope="session")
def world(free_body: Body) -> World:
    """Two people, the second of whom is there from frame 28 to 40."""
    people = {1: walker(free_body)[0], 2: walker(free_body, 1, np.array([28, 32, 40]), 10.0)[0]}
    return place(people, free_body, VIEW)
