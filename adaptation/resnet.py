"""ResNet with bottlenecks (He et al., CVPR 2016), under the state-dict keys of torchvision and SPIN."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; the stride is the 3x3's."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
            )
            if stride != 1 or channels_in != channels_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) to (B, 4 * width, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Features of an image: (B, 3, S, S) to (B, 32 * width * grid^2), averaged over the cells of a grid.

    Args:
        blocks: bottlenecks per stage; (3, 4, 6, 3) is ResNet-50.
        width: channels of the first stage's 3x3 convolutions; 64 is ResNet-50.
        grid: cells per side; 1 is ResNet-50. More keep where things are, from which small networks learn faster.
    """

    def __init__(self, blocks: Sequence[int] = (3, 4, 6, 3), width: int = 64, grid: int = 1) -> None:
        super().__init__()
        self.grid = grid
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage, count in enumerate(blocks):
            layers = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Bottleneck(channels, width << stage, stride))
                channels = (width << stage) * EXPANSION
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.channels = channels * grid**2
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)  # blocks start as identities

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, S, S), normalised, to (B, channels)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return torch.flatten(F.adaptive_avg_pool2d(x, self.grid), 1)
