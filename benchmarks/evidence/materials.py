"""What the grids run on: synthetic domains, a source model, and the shifts of the target. All of it is kept."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaptation.adapting.presets import PresetName, preset
from adaptation.bodies.body import Body
from adaptation.data.samples import Samples
from adaptation.regressors.files import SHIPPED, LoadedNetwork, load_network
from adaptation.regressors.hmr import Regressor
from adaptation.regressors.modes import Precision
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.synthetic.domains import FAMILIES, FILMS, make_domain
from adaptation.synthetic.settings import SHIFTS, DomainSettings, Split
from adaptation.synthetic.shifted import shift_by_name, shift_samples
from adaptation.training.pretrain import pretrain
from adaptation.training.runs import Run
from adaptation.training.settings import UapSettings
from adaptation.training.uap import craft, save_perturbation
from evidence.detector import (
    DetectorSettings,
    KeypointDetector,
    detect,
    detector_quality,
    follow_norms,
    train_detector,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Scale:
    """How much is filmed and trained.

    Attributes:
        train: crops of the source to train on.
        adapt: crops of a target to adapt to.
        test: crops of a target to measure on.
        pretrain_steps: of the source model; 0: it is the one that ships.
        other_steps: of the network that the perturbation is crafted on.
        uap_steps: of crafting.
        detector_steps: of the keypoint detector.
        adapt_steps: of an adaptation.
        paper_steps: of one with the paper's settings, whose rate is smaller.
        pairs: bodies and starts per cell of the fitting grid.
        fit_steps: of a fit there.
        preset: whose network and size of crops it is.
    """

    train: int = 24000
    adapt: int = 2400
    test: int = 600
    pretrain_steps: int = 0
    other_steps: int = 1200
    uap_steps: int = 200
    detector_steps: int = 2000
    adapt_steps: int = 600
    paper_steps: int = 4000
    pairs: int = 200
    fit_steps: int = 150
    preset: PresetName = "small"


QUICK = Scale(
    train=1200,
    adapt=480,
    test=120,
    pretrain_steps=300,
    other_steps=60,
    uap_steps=20,
    detector_steps=200,
    adapt_steps=40,
    paper_steps=40,
    pairs=20,
    fit_steps=40,
)
FULL = Scale(train=12000, pretrain_steps=4000, preset="paper")
"""For a GPU: ResNet-50 and crops of 224 pixels. No such network ships."""
TARGETS = ("style", "site", *SHIFTS)


@dataclass(frozen=True)
class Materials:
    """Where everything lies.

    Attributes:
        folder: of all of it.
        scale: of what is made.
        precision: of training.
        workers: processes that film.
        device: where networks compute; fits without one are made on the CPU.
    """

    folder: Path
    scale: Scale
    precision: Precision
    workers: int
    device: str = "cpu"

    def domain(self, family: str, split: Split, say: Say, *, seed: int = 0) -> Path:
        """A filmed domain."""
        count = {"train": self.scale.train, "adapt": self.scale.adapt, "test": self.scale.test}[split]
        path = self.folder / "data" / (f"{family}-{seed}-{split}" if seed else f"{family}-{split}")
        if not (path / "domain.json").exists():
            say(f"filming {count} crops of {family}, {split}")
            settings = DomainSettings(family, split, count, preset(self.scale.preset).size, seed)
            make_domain(settings, workers=self.workers).save(path, asdict(settings))
        return path

    def source_model(self, say: Say) -> Path:
        """The regressor that is adapted."""
        if self.scale.pretrain_steps == 0:
            return SHIPPED[self.scale.preset]
        return self._model("source", self.scale.pretrain_steps, seed=0, say=say)

    def target(self, name: str, split: Split, say: Say, *, seed: int = 0) -> Path:
        """Crops of a family, or of the source's as another camera sees them.

        Args:
            name: of the family or shift.
            split: which part.
            say: what is done.
            seed: of a cell; every one of "site" is another camera, elsewhere it does not matter.
        """
        if name in FAMILIES:
            return self.domain(name, split, say, seed=seed if name == "site" else 0)
        path = self.folder / "data" / f"{name}-{split}"
        if not (path / "domain.json").exists():
            delta = self._perturbation(say) if name.startswith("uap") else None
            source = Samples.load(self.domain("source", split, say))
            say(f"shifting the source to {name}, {split}")
            shifted = shift_samples(source, shift_by_name(name, source.size, delta))
            shifted.save(path, {"source": "source", "split": split, "shift": name})
        return path

    def detector(self, say: Say) -> Path:
        """The keypoint detector, trained on the source alone."""
        path = self.folder / "detector.safetensors"
        if not path.exists():
            domain = Samples.load(self.domain("source", "train", say))
            say(f"training the keypoint detector, {self.scale.detector_steps} steps")
            settings = DetectorSettings(steps=self.scale.detector_steps, precision=self.precision)
            train_detector(domain, settings, self.device).save(path)
        return path

    def keypoints(self, name: str, say: Say, *, norms: bool) -> Path:
        """What the detector finds in the crops of a target to adapt to: (N, 24, 3), with its quality beside it.

        Args:
            name: of the target.
            say: what is done.
            norms: whether the detector's batch norms follow the target.
        """
        path = self.folder / "keypoints" / f"{name}{'-norms' if norms else ''}.npy"
        if not path.exists():
            domain = Samples.load(self.target(name, "adapt", say))
            network = KeypointDetector.load(self.detector(say))
            say(f"detecting keypoints in {path.stem}")
            network = follow_norms(network, domain, self.device) if norms else network
            keypoints = detect(network, domain, precision=self.precision, device=self.device)
            quality = detector_quality(replace(domain, keypoints=keypoints))
            path.parent.mkdir(exist_ok=True)
            with whole_file(path.with_suffix(".json")) as file:
                file.write((json.dumps(asdict(quality), indent=1) + "\n").encode())
            with whole_file(path) as file:
                np.save(file, keypoints)
        return path

    def detector_quality(self) -> dict[str, Any]:
        """How good the keypoints of each target are, of those that were detected."""
        files = sorted((self.folder / "keypoints").glob("*.json"))
        return {path.stem: json.loads(path.read_bytes()) for path in files}

    def _perturbation(self, say: Say) -> Path:
        path = self.folder / "uap.npy"
        if not path.exists():
            model = self._model("other", self.scale.other_steps, seed=1, say=say)
            network = load_network(str(model)).network
            say("crafting a universal perturbation on another network")
            settings = UapSettings(strength=16, steps=self.scale.uap_steps)
            source = Samples.load(self.domain("source", "train", say))
            save_perturbation(path, craft(network, source, settings, device=self.device))
        return path

    def _model(self, name: str, steps: int, *, seed: int, say: Say) -> Path:
        folder = self.folder / name
        path = folder / "model.safetensors"
        if not path.exists():
            domain = Samples.load(self.domain("source", "train", say))
            say(f"training the {name} network, {steps} steps")
            size = preset(self.scale.preset)
            torch.manual_seed(seed)
            network = Regressor(size.blocks, size.width, size.hidden, heatmaps=size.heatmaps)
            settings = replace(size.pretrain, steps=steps, seed=seed, precision=self.precision)
            run = Run(folder, {"pretrain": asdict(settings)})
            pretrain(network, domain, Body.free(), settings, run, device=self.device)
            LoadedNetwork(network, ".safetensors", {}, None).save(path)
        return path

    def has_run(self, cell: str) -> bool:
        """Whether the result of a cell is there."""
        return self._file(cell).exists()

    def result(self, cell: str) -> dict[str, Any]:
        """Of a cell that has run.

        Raises:
            UserError: its file is damaged.
        """
        try:
            result: dict[str, Any] = json.loads(self._file(cell).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{self._file(cell)} cannot be read; delete it to run it again: {error}") from None
        return result

    def keep(self, cell: str, result: dict[str, Any]) -> None:
        """Store the result of a cell; its commit is that of the working folder, unless it names one."""
        path = self._file(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write((json.dumps({"cell": cell, "commit": commit(), **result}) + "\n").encode())

    def results(self, kind: str) -> list[dict[str, Any]]:
        """Of all cells of a kind that have run, in the order of their names."""
        return [self.result(f"{kind}/{path.stem}") for path in sorted((self.folder / "cells" / kind).glob("*.json"))]

    def picture(self, name: str) -> Path:
        """Where a picture for the document goes."""
        path = self.folder / "pictures" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _file(self, cell: str) -> Path:
        return self.folder / "cells" / f"{cell}.json"

    def describe(self) -> dict[str, object]:
        """For the record."""
        return {**asdict(self.scale), "films": FILMS, "precision": self.precision, "device": self.device}


def commit() -> str:
    """The commit of the working folder, short."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return git.stdout.strip() or "unknown"


def nothing(_text: str) -> None:
    """Says nothing."""
