"""The public names of the package."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

import topokernels


def test_names_are_sorted_and_listed_once() -> None:
    assert topokernels.__all__ == sorted(set(topokernels.__all__))


@pytest.mark.parametrize("name", topokernels.__all__)
def test_every_name_exists_and_is_documented(name: str) -> None:
    value = getattr(topokernels, name)
    assert get_args(value) or inspect.getdoc(value)


def test_functions_are_not_hidden_by_their_modules() -> None:
    """Importing a module sets the package's attribute of its name, which is also the name of the module's function."""
    types = ("BackwardMode", "ComponentStats", "Connectivity", "Reduction", "Shape", "TargetTopology", "ThinMethod")
    functions = [name for name in topokernels.__all__ if name not in (*types, "build_info")]
    assert {"chamfer", "d2t", "edt", "m2s", "rasterize", "s2d", "skeleton", "topology_loss"} <= set(functions)
    for name in functions:
        assert inspect.isfunction(getattr(topokernels, name)), name


def test_what_callers_need_to_annotate_and_prepare_is_public() -> None:
    from topokernels import BackwardMode, Reduction, TargetTopology, mask_chamfer, target_topology

    assert get_args(BackwardMode) == ("subgradient", "literal")
    assert get_args(Reduction) == ("none", "mean", "sum")
    assert TargetTopology._fields == ("skeleton", "skeleton_distance")
    assert callable(mask_chamfer) and callable(target_topology)
