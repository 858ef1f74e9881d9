"""ResNet with bottlenecks (He et al., CVPR 2016), under the state-dict keys of torchvision and SPIN."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut; the 3x3 convolution has the stride."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        # No biases: the norm after each convolution has its own.
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        # The shortcut needs a convolution of its own where the shape changes: only equal shapes add up.
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
            )
            if stride != 1 or channels_in != channels_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, 4 * width, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Features of an image.

    Args:
        blocks: bottlenecks in each of the four stages; (3, 4, 6, 3) is ResNet-50.
        width: channels of the first stage's 3x3 convolutions; 64 is ResNet-50.

    Attributes:
        channels: output channels of each stage.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, blocks: Sequence[int] = (3, 4, 6, 3), width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage, count in enumerate(blocks):
            layers = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1  # the max-pool has halved the first stage's input
                layers.append(Bottleneck(channels, width << stage, stride))
                channels = (width << stage) * EXPANSION
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.channels = [(width << stage) * EXPANSION for stage in range(len(blocks))]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)  # blocks start as identities

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of all stages, (B, channels, S / 4, S / 4) to (B, channels, S / 32, S / 32).

        Args:
            images: (B, 3, S, S), normalised.
        """
        x = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        outputs = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            outputs.append(x)
        return outputs


class FeaturePyramid(nn.Module):
    """The stages of a ResNet, merged from coarse to fine (Lin et al., CVPR 2017).

    Args:
        stages: channels of each stage, fine to coarse.
        channels: channels of the result.
    """

    def __init__(self, stages: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(wide, channels, 1) for wide in stages)
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Merge the outputs of the stages, fine to coarse, to (B, channels, H, W) at the finest resolution."""
        sides: list[Tensor] = [lateral(x) for lateral, x in zip(self.laterals, stages, strict=True)]
        merged = sides.pop()
        for side in reversed(sides):
            merged = side + F.interpolate(merged, size=side.shape[-2:], mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.smooth(merged)))
