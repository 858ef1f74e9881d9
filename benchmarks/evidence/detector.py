"""A 2D keypoint detector that is trained only on the source, so that it meets the same shift as the regressor.

Baselines A1 and A2 adapt from 2D keypoints. Joints projected from the labels of a target would be more accurate than
any detector, whose errors grow with the shift, swap left and right, and occur together. This detector is trained on
the labelled crops of the source with the usual augmentation, and is then applied to the shifted images of the target.

The network is a ResNet whose stages are joined from coarse to fine as in a feature pyramid (Lin et al., CVPR 2017). It
predicts one heatmap per joint at a quarter of the crop's side. A heatmap is a distribution over cells, trained by
cross-entropy to be a Gaussian around the joint. The confidence of a keypoint is the probability mass around the
highest cell.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import OPENPOSE, OPENPOSE_JOINTS, SMPL
from adaptation.data.samples import Samples
from adaptation.regressors.base import IMAGE_MEAN, IMAGE_STD
from adaptation.regressors.heatmaps import heatmap_loss, heatmap_shares
from adaptation.regressors.modes import Precision
from adaptation.regressors.resnet import FeaturePyramid, ResNet
from adaptation.regressors.running import channels_last, run_in
from adaptation.support.errors import UserError
from adaptation.support.files import whole_file
from adaptation.synthetic.keypoints import simulated_keypoints
from adaptation.training.loop import warm_cosine
from adaptation.training.processes import batch_of
from adaptation.training.warp import warp

Floats = npt.NDArray[np.float32]

STRIDE = 4  # pixels per cell of a heatmap
_FORMAT = "keypoint detector of evidence"
_BLOCKS = (1, 2, 2, 1)
_AROUND = 2  # cells on each side of the highest that belong to its peak
# For each of the 13 its counterpart on the other side of the body.
_MIRRORED = list(OPENPOSE.flip)


@dataclass(frozen=True)
class DetectorSettings:
    """How the detector is trained.

    Attributes:
        width: channels of the ResNet's first stage.
        channels: channels of the pyramid.
        steps: Adam steps, with cosine decay to zero after a linear rise.
        batch: images per step.
        rate: highest learning rate.
        rise: steps of the linear rise.
        spread: standard deviation of the Gaussian around a joint, cells.
        flip: share of images that are mirrored.
        move: largest shift of images, as a share of their side.
        scale: largest relative change of the size of people.
        light: range of the light: contrast is multiplied by 1 +- this, as much is added to the brightness, and each
            colour channel is multiplied by 1 +- half of it.
        coarsest: lowest share of the resolution: half of the batches are reduced to a share between this and 1, and
            enlarged again. 0.5 is finer than the mildest low resolution among the shifts, which leaves 0.43.
        precision: precision of convolutions.
        seed: seed of all random numbers.
    """

    width: int = 16
    channels: int = 48
    steps: int = 2400
    batch: int = 64
    rate: float = 2e-3
    rise: int = 100
    spread: float = 0.75
    flip: float = 0.5
    move: float = 0.06
    scale: float = 0.15
    light: float = 0.2
    coarsest: float = 0.5
    precision: Precision = "float32"
    seed: int = 0


@dataclass(frozen=True)
class DetectorQuality:
    """Quality of keypoints, measured with labels that no adaptation sees.

    Attributes:
        median_pixels: median error of the joints that were found, pixels of a crop of 96.
        found: share of the joints that were found.
        pck: share of all joints that were found within 5 % of the crop's side.
    """

    median_pixels: float
    found: float
    pck: float


class KeypointDetector(ResNet):
    """Predicts heatmaps of the 13 joints `OPENPOSE_JOINTS`.

    Args:
        width: channels of the ResNet's first stage.
        channels: channels of the pyramid.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = 16, channels: int = 48) -> None:
        super().__init__(_BLOCKS, width)
        self.pyramid = FeaturePyramid(self.channels, channels)
        self.maps = nn.Conv2d(channels, len(OPENPOSE_JOINTS), 1)
        # Not stored in files: they are constants of ImageNet.
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB crops (B, 3, S, S) in [0, 1] to logits (B, 13, S / 4, S / 4)."""
        logits: Tensor = self.maps(self.pyramid(self.stages((images - self.mean) / self.std)))
        return logits

    def save(self, path: Path) -> None:
        """Write the weights as safetensors."""
        meta = {
            "format": _FORMAT,
            "width": str(self.conv1.out_channels),
            "channels": str(self.maps.in_channels),
        }
        # safetensors takes contiguous tensors only; channels-last convolutions are not.
        weights = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        with whole_file(path) as file:
            file.write(save(weights, meta))

    @classmethod
    def load(cls, path: Path) -> KeypointDetector:
        """Load a detector in evaluation mode. Nothing in the file is executed.

        Raises:
            UserError: the file is missing or holds no detector.
        """
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                if meta.get("format") != _FORMAT:
                    raise UserError(f"{path} is not a {_FORMAT}")
                network = cls(int(meta["width"]), int(meta["channels"]))
                network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
        except FileNotFoundError:
            raise UserError(f"no such file: {path}") from None
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{path} is not a {_FORMAT}: {' '.join(str(error).split())[:200]}") from None
        return network.eval()


def train_detector(samples: Samples, settings: DetectorSettings, device: str = "cpu") -> KeypointDetector:
    """Train a detector on labelled crops. The places of their joints are projected from the labels.

    Args:
        samples: labelled crops, whose side is divisible by 4.
        settings: settings of network and training.
        device: device to train on.

    Returns:
        The network, in evaluation mode.

    Raises:
        UserError: the samples has no labels, or the loss is not finite.
    """
    # No noise, nothing missing: the projected joints themselves.
    places = torch.from_numpy(simulated_keypoints(samples, Body.free(), 0.0, 0.0, torch.Generator()))[
        :, list(OPENPOSE_JOINTS), :2
    ]
    # For the initial weights, which torch draws from its global generator.
    torch.manual_seed(settings.seed)
    network = KeypointDetector(settings.width, settings.channels).to(device).train()
    channels_last(network)
    optimizer = torch.optim.Adam(network.parameters(), settings.rate)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * warm_cosine(step, settings.steps, settings.rise)
        index = batch_of(step, settings.batch, len(samples), settings.seed)
        # One generator per step, so that the augmentation does not depend on how many numbers earlier steps drew.
        generator = torch.Generator().manual_seed(settings.seed * 7_919 + step)
        seen = samples.image_batch(index.numpy(), device)
        images, goals = augment(seen, places[index].to(device), settings, generator)
        # Joints outside the crop have no heatmap, so that the mean is over those inside.
        inside = ((goals > 0) & (goals < samples.size)).all(2).sum()
        # From pixels to cells of the heatmap.
        losses = heatmap_loss(run_in(settings.precision, network, images), goals / STRIDE, settings.spread)
        loss = losses.sum() / inside.clamp(min=1)
        if not torch.isfinite(loss):
            raise UserError(f"the detector's loss is {loss.item()} at step {step}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def follow_norms(network: KeypointDetector, samples: Samples, device: str = "cpu") -> KeypointDetector:
    """Return a copy whose batch norms have the statistics of a set's images (AdaBN), which needs no labels.

    Args:
        network: the detector; it is not changed.
        samples: N crops.
        device: device of the copy.
    """
    # A copy, because the source's statistics are needed for other targets.
    network = copy.deepcopy(network).to(device)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
            module.train()
    # Crops are shuffled: a batch of one clip would have statistics of its own.
    for index in torch.randperm(len(samples), generator=torch.Generator().manual_seed(0)).split(64):
        network(samples.image_batch(index.numpy(), device))
    return network.eval()


@torch.no_grad()
def detect(
    network: KeypointDetector,
    samples: Samples,
    *,
    least: float = 0.3,
    precision: Precision = "float32",
    device: str = "cpu",
) -> Floats:
    """Detect the keypoints of crops, averaging the heatmaps of each crop and its mirror image.

    Args:
        network: a detector in evaluation mode.
        samples: N crops, of which only the images are used.
        least: smallest confidence of a joint that counts as found.
        precision: precision of convolutions.
        device: device to compute on.

    Returns:
        (N, 24, 3) x and y in crop pixels, whose centres lie at +0.5, and confidence in [0, 1]; all are 0 where a joint
        was not found, or is none of the 13.
    """
    network, joints = network.to(device), list(OPENPOSE_JOINTS)
    found = []
    for index in torch.arange(len(samples)).split(64):
        batch = samples.image_batch(index.numpy(), device)
        heat = heatmap_shares(run_in(precision, network, batch))
        # Mirrored twice: the images before, the heatmaps after, whose left and right joints are exchanged as well.
        heat = (heat + heatmap_shares(run_in(precision, network, batch.flip(3))).flip(3)[:, _MIRRORED]) / 2
        keypoints = batch.new_zeros(len(batch), len(SMPL), 3)
        keypoints[:, joints] = read_peaks(heat)
        # Position and confidence become 0 together, which is how the file format says "not found".
        found.append(torch.where(keypoints[..., 2:] < least, 0, keypoints))
    return torch.cat(found).cpu().numpy()


def detector_quality(samples: Samples) -> DetectorQuality:
    """Compare the keypoints of a crop set with its labels.

    Raises:
        UserError: the set has no keypoints or no labels.
    """
    if samples.keypoints is None:
        raise UserError("this set of crops has no keypoints")
    joints = list(OPENPOSE_JOINTS)
    truth = simulated_keypoints(samples, Body.free(), 0.0, 0.0, torch.Generator())[:, joints, :2]
    keypoints = samples.keypoints[:, joints]
    away = np.linalg.norm(keypoints[..., :2] - truth, axis=-1) / samples.size
    found = keypoints[..., 2] > 0
    # In pixels of the preset "small", so that crops of other sizes can be compared.
    median = float(np.median(96 * away[found])) if found.any() else float("nan")
    return DetectorQuality(median, float(found.mean()), float((found & (away < 0.05)).mean()))


def read_peaks(heat: Tensor) -> Tensor:
    """Find the peaks of heatmaps (B, J, H, H) that sum to 1.

    Returns:
        (B, J, 3): x and y in crop pixels, averaged over the 5 x 5 cells around the highest one, and the sum over these
        cells.
    """
    # Flattened row by row: the remainder is x, the quotient y.
    side, highest = heat.shape[-1], heat.flatten(2).argmax(2)
    cells = torch.arange(side, device=heat.device)
    near = [(cells - place[..., None]).abs() <= _AROUND for place in (highest % side, highest // side)]
    # Only the cells around the highest: a second peak, such as the other foot, would pull the mean between them.
    peak = heat * (near[1][..., :, None] & near[0][..., None, :])
    mass = peak.sum((2, 3))
    # Centres of cells, in crop pixels with centres at +0.5.
    centres = (cells + 0.5) * STRIDE
    x, y = (peak.sum(2) * centres).sum(2) / mass, (peak.sum(3) * centres).sum(2) / mass
    return torch.stack([x, y, mass], dim=2)


def augment(
    images: Tensor, places: Tensor, settings: DetectorSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment images at random, and move joints with them.

    Args:
        images: (B, 3, S, S) in [0, 1].
        places: (B, 13, 2) joints, crop pixels.
        settings: how much images are mirrored, moved, scaled, blurred and lit differently.
        generator: source of random numbers.

    Returns:
        Images and joints of the same shapes.
    """

    def spread(*shape: int) -> Tensor:
        # From the CPU's generator, so that results do not depend on the device.
        return (2 * torch.rand(*shape, generator=generator) - 1).to(images.device)

    count, size = len(images), images.shape[-1]
    flip = torch.rand(count, generator=generator).to(images.device) < settings.flip
    sign = torch.where(flip, -1.0, 1.0)
    zoom = 1 + settings.scale * spread(count)
    shift = 2 * settings.move * spread(count, 2)
    images = warp(images, flip, zoom, shift)
    # A mirrored person's left hand is the right hand of the picture. The rest follows `warp` in [-1, 1].
    flipped = torch.where(flip[:, None, None], places[:, _MIRRORED], places) * (2 / size) - 1
    flipped = flipped * torch.stack([sign, torch.ones_like(sign)], dim=1)[:, None]
    places = (zoom[:, None, None] * (flipped + shift[:, None]) + 1) * (size / 2)

    # One resolution for the whole batch, since images of a tensor have one size.
    coarse, share = torch.rand(2, generator=generator).tolist()
    if coarse < 0.5:
        small = round(size * (settings.coarsest + (1 - settings.coarsest) * share))
        # Antialiased, as a camera with fewer pixels would see it.
        images = F.interpolate(images, size=small, mode="bilinear", antialias=True)
        images = F.interpolate(images, size=size, mode="bilinear")
    contrast, brightness = 1 + settings.light * spread(count, 1, 1, 1), settings.light * spread(count, 1, 1, 1)
    colour = 1 + settings.light / 2 * spread(count, 3, 1, 1)
    # Contrast about the mean of the image, so that it does not change the brightness.
    grey = images.mean((1, 2, 3), keepdim=True)
    return ((grey + contrast * (images - grey) + brightness) * colour).clamp(0, 1), places
