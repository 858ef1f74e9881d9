"""docs/your_model.md is correct: its code runs, on stand-ins of the projects, and what it builds can be adapted."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_networks import BodyLayer, Conditioned, Dictionary, Mesh, Program, Promptable, Trunk, capsule, mean_pose
from torch import Tensor, nn

from adaptation.adapting.abilities import try_network
from adaptation.bodies.rotations import rot6d_to_matrix
from adaptation.data.samples import Samples
from adaptation.regressors.base import crop_rule

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "your_model.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


class Numbers(nn.Module):
    """(pose, betas, camera), with six numbers per rotation."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(torch.cat([mean_pose(), torch.zeros(10), torch.tensor([0.9, 0.0, 0.0])]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.trunk(images).split([144, 10, 3], dim=1)


class Nested(Numbers):
    """The same in a dictionary of its own, from one."""

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        pose, betas, camera = super().forward(batch["image"])
        rotations = rot6d_to_matrix(pose.view(len(pose), 24, 6))
        return {"smpl": {"rotations": rotations, "shape": betas}, "cam": camera}


class Placed(Mesh):
    """A mesh, conditioned on the place of the crop."""

    def forward(self, images: Tensor, centre: Tensor, side: Tensor, focal: Tensor) -> tuple[Tensor, Tensor]:
        assert centre.shape == focal.shape == (len(images), 2) and side.shape == (len(images),)
        return super().forward(images)


def projects(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Install stand-ins of the projects, and write their files into the current folder."""
    settings = types.SimpleNamespace(MODEL=types.SimpleNamespace(BACKBONE={}, MHR_HEAD=types.SimpleNamespace()))
    settings.defrost = settings.freeze = lambda: None
    image = types.SimpleNamespace(
        MODEL=types.SimpleNamespace(IMAGE_SIZE=[48], BACKBONE=types.SimpleNamespace(TYPE="x"))
    )

    def promptable(given: Any) -> nn.Module:
        assert given.MODEL.MHR_HEAD.MHR_MODEL_PATH.endswith("mhr_model.pt")
        network = Promptable()
        network.cfg = image
        return network

    get_config = types.SimpleNamespace(get_config=lambda *_, **__: settings)
    theirs = {"Network": Numbers, "DictionaryNetwork": Nested, "MeshNetwork": Mesh, "ConditionedNetwork": Placed}
    modules = {
        "theirs": types.SimpleNamespace(**theirs, faces=capsule()[1]),
        "smplx": types.SimpleNamespace(SMPLXLayer=lambda path, num_betas: BodyLayer()),
        "hmr2": types.ModuleType("hmr2"),
        "hmr2.configs": get_config,
        "hmr2.models": types.SimpleNamespace(HMR2=lambda _, init_renderer: Dictionary(with_body=True)),
        "core.camerahmr_model": types.SimpleNamespace(CameraHMR=lambda model_type: Conditioned()),
        "sam_3d_body.utils.config": get_config,
        "sam_3d_body.models.meta_arch": types.SimpleNamespace(SAM3DBody=promptable),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    monkeypatch.chdir(folder)
    for path, network in zip(re.findall(r'Path\("(.*?\.ckpt)"\)', DOCUMENT), NETWORKS, strict=True):
        Path(path).parent.mkdir(parents=True)
        torch.save({"state_dict": network().state_dict()}, path)
    torch.jit.script(Program()).save("program.torchscript")
    np.save("faces.npy", capsule(40, 12)[1].numpy())


NETWORKS = (lambda: Dictionary(with_body=True), Conditioned, Promptable)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_examples(source: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    projects(monkeypatch, tmp_path)
    assert len(BLOCKS) == 8
    predicted = []
    for block in BLOCKS:
        names: dict[str, Any] = {}
        exec(block, names)
        network = names["build"]()
        rule = crop_rule(network)
        images = torch.rand(2, 3, rule.size if rule else 48, rule.size if rule else 48)
        samples = Samples(images=(255 * images).byte().permute(0, 2, 3, 1).numpy())
        prediction = try_network(network, samples)
        predicted.append((prediction.parameters is not None, prediction.mesh is not None))
    parameters, meshes = (True, False), (False, True)
    assert predicted == [parameters] * 2 + [meshes] * 2 + [(True, True)] * 2 + [meshes] * 2


def test_what_is_named_exists() -> None:
    for path in re.findall(r"\]\(([\w.]+)(?:#[\w-]+)?\)", DOCUMENT):
        assert (ROOT / "docs" / path).exists(), path
    titles = [line.lstrip("# ") for line in DOCUMENT.splitlines() if line.startswith("#")]
    headings = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([\w-]+)\)", DOCUMENT)) <= headings
