"""Materials of the grids: synthetic domains, source model, detector and shifted targets. All are made once and kept."""

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
    """Amount of data and training.

    Attributes:
        train: number of source crops to train on.
        adapt: number of crops of a target to adapt to.
        test: number of crops of a target to measure on.
        pretrain_steps: training steps of the source model; 0 stands for the one that ships.
        other_steps: training steps of the network that the perturbation is crafted on.
        uap_steps: steps of crafting the perturbation.
        detector_steps: training steps of the keypoint detector.
        adapt_steps: steps of an adaptation.
        paper_steps: steps of an adaptation with the paper's settings, whose learning rate is smaller.
        pairs: pairs of body and start per cell of the fitting grid.
        fit_steps: steps of a fit in that grid.
        preset: preset that network and crop size are taken from.
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
"""Scale for a GPU: ResNet-50 and crops of 224 pixels. No such network ships, so that it is trained first."""
TARGETS = ("style", "site", *SHIFTS)


@dataclass(frozen=True)
class Materials:
    """A folder with all materials and results.

    Attributes:
        folder: the folder.
        scale: amount of data and training.
        precision: precision of training.
        workers: number of processes that film.
        device: device of networks; fits without a network run on the CPU.
    """

    folder: Path
    scale: Scale
    precision: Precision
    workers: int
    device: str = "cpu"

    def domain(self, family: str, split: Split, say: Say, *, seed: int = 0) -> Path:
        """Return the folder of a filmed domain, which is made if it is missing."""
        count = {"train": self.scale.train, "adapt": self.scale.adapt, "test": self.scale.test}[split]
        # Seed 0 has the plain name, by which commands and documents refer to it.
        path = self.folder / "data" / (f"{family}-{seed}-{split}" if seed else f"{family}-{split}")
        # Written last: a set that was interrupted is made again.
        if not (path / "domain.json").exists():
            say(f"filming {count} crops of {family}, {split}")
            settings = DomainSettings(family, split, count, preset(self.scale.preset).size, seed)
            make_domain(settings, workers=self.workers).save(path, asdict(settings))
        return path

    def source_model(self, say: Say) -> Path:
        """Return the file of the regressor that is adapted, which is trained if none ships."""
        if self.scale.pretrain_steps == 0:
            return SHIPPED[self.scale.preset]
        return self._model("source", self.scale.pretrain_steps, seed=0, say=say)

    def target(self, name: str, split: Split, say: Say, *, seed: int = 0) -> Path:
        """Return the folder of a target's crops: those of a family, or source crops as another camera sees them.

        Args:
            name: name of the family or shift.
            split: part of the target.
            say: called with a line about what is made.
            seed: seed of the cell. On "site" each seed is another camera; elsewhere it has no effect.
        """
        if name in FAMILIES:
            # On "style" each clip has a camera of its own, so seeds share one set.
            return self.domain(name, split, say, seed=seed if name == "site" else 0)
        path = self.folder / "data" / f"{name}-{split}"
        if not (path / "domain.json").exists():
            # Shifts are applied to the source's own crops: poses and people are the same, only the image is worse.
            delta = self._perturbation(say) if name.startswith("uap") else None
            source = Samples.load(self.domain("source", split, say))
            say(f"shifting the source to {name}, {split}")
            shifted = shift_samples(source, shift_by_name(name, source.size, delta))
            shifted.save(path, {"source": "source", "split": split, "shift": name})
        return path

    def detector(self, say: Say) -> Path:
        """Return the file of the keypoint detector, which is trained on the source only."""
        path = self.folder / "detector.safetensors"
        if not path.exists():
            domain = Samples.load(self.domain("source", "train", say))
            say(f"training the keypoint detector, {self.scale.detector_steps} steps")
            settings = DetectorSettings(steps=self.scale.detector_steps, precision=self.precision)
            train_detector(domain, settings, self.device).save(path)
        return path

    def keypoints(self, name: str, say: Say, *, norms: bool) -> Path:
        """Return the file of the keypoints (N, 24, 3) that the detector finds in the crops of a target to adapt to.

        A JSON file next to it has their quality.

        Args:
            name: name of the target.
            say: called with a line about what is made.
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
            # The array is written last: where it is, its quality is, too.
            with whole_file(path.with_suffix(".json")) as file:
                file.write((json.dumps(asdict(quality), indent=1) + "\n").encode())
            with whole_file(path) as file:
                np.save(file, keypoints)
        return path

    def detector_quality(self) -> dict[str, Any]:
        """Load the quality of the keypoints of each target that has some."""
        files = sorted((self.folder / "keypoints").glob("*.json"))
        return {path.stem: json.loads(path.read_bytes()) for path in files}

    def _perturbation(self, say: Say) -> Path:
        path = self.folder / "uap.npy"
        if not path.exists():
            # An attacker does not have the network that is attacked.
            model = self._model("other", self.scale.other_steps, seed=1, say=say)
            network = load_network(str(model)).network
            say("crafting a universal perturbation on another network")
            # The largest strength; the smaller ones are the same perturbation scaled down.
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
            # For the initial weights, which torch draws from its global generator.
            torch.manual_seed(seed)
            network = Regressor(size.blocks, size.width, size.hidden, heatmaps=size.heatmaps)
            settings = replace(size.pretrain, steps=steps, seed=seed, precision=self.precision)
            run = Run(folder, {"pretrain": asdict(settings)})
            pretrain(network, domain, Body.free(), settings, run, device=self.device)
            LoadedNetwork(network, ".safetensors").save(path)
        return path

    def has_run(self, cell: str) -> bool:
        """Whether a cell has a result."""
        return self._file(cell).exists()

    def result(self, cell: str) -> dict[str, Any]:
        """Load the result of a cell that has run.

        Raises:
            UserError: the file is damaged.
        """
        try:
            result: dict[str, Any] = json.loads(self._file(cell).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"{self._file(cell)} cannot be read; delete it to run it again: {error}") from None
        return result

    def keep(self, cell: str, result: dict[str, Any]) -> None:
        """Store the result of a cell, with the commit of the working folder unless the result names one."""
        path = self._file(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            # The result comes last, so that one that was taken over keeps its own commit.
            file.write((json.dumps({"cell": cell, "commit": commit(), **result}) + "\n").encode())

    def results(self, kind: str) -> list[dict[str, Any]]:
        """Load the results of all cells of a kind that have run, in the order of their names."""
        return [self.result(f"{kind}/{path.stem}") for path in sorted((self.folder / "cells" / kind).glob("*.json"))]

    def picture(self, name: str) -> Path:
        """Return the path of a picture for the document."""
        path = self.folder / "pictures" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _file(self, cell: str) -> Path:
        return self.folder / "cells" / f"{cell}.json"

    def describe(self) -> dict[str, object]:
        """Describe scale, films, precision and device for the record."""
        return {**asdict(self.scale), "films": FILMS, "precision": self.precision, "device": self.device}


def commit() -> str:
    """Return the short commit of the working folder, "unknown" outside of a repository."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return git.stdout.strip() or "unknown"


def nothing(_text: str) -> None:
    """Ignore a line: for processes that must not print."""
