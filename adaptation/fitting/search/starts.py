"""Poses to start from: bodies of a library with similar silhouettes."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from adaptation.bodies.body import FLIP_PERMUTATION, Body
from adaptation.bodies.poses import sample_poses
from adaptation.data.pose_library import pose_library
from adaptation.fitting.search.silhouette_library import SilhouetteLibrary, views_of
from adaptation.fitting.settings import SearchSettings

_USUAL = 0.2  # share of the library that is whole sampled poses, mostly of people who walk and stand


@lru_cache(maxsize=2)
def library_for(body: Body, settings: SearchSettings) -> SilhouetteLibrary:
    """Draw the library of a body model; it takes seconds, and is kept."""
    generator = torch.Generator().manual_seed(settings.seed)
    usual = sample_poses(round(_USUAL * settings.entries), generator, ("walking", "walking", "standing"))
    poses = torch.cat([pose_library(settings.entries - len(usual), settings.seed), usual])
    views = views_of(poses, generator, settings.pitches)
    return SilhouetteLibrary(body, views.to(body.faces.device))


def starts_for(body: Body, masks: Tensor, rolls: Tensor, settings: SearchSettings) -> Tensor:
    """Look up distinct poses (B, kept, J, 3) for masks (B, 1, S, S) and rolls (B, R) of the camera to try, radians."""
    library = library_for(body, settings)
    matches = library.match(masks, rolls, settings.nearest)
    poses = library.poses(matches)
    joints = body.joints(poses.flatten(0, 1), body.mean_shape(poses.shape[0] * poses.shape[1])).view(*poses.shape)
    joints = joints - joints[:, :, :1]
    return torch.stack(
        [pose[_distinct(each, settings.kept, settings.apart)] for pose, each in zip(poses, joints, strict=True)]
    )


def _distinct(joints: Tensor, count: int, apart: float) -> Tensor:
    """Return the first ``count`` of M bodies, joints (M, J, 3), that are not near an earlier one or its reflection."""
    # Reflections are candidates in any case, so a body next to one adds nothing.
    reflected = joints[:, list(FLIP_PERMUTATION)] * joints.new_tensor([1.0, 1.0, -1.0])
    nearest = joints.new_full((len(joints),), torch.inf)
    kept: list[int] = []
    for index in range(len(joints)):
        if nearest[index] < apart:
            continue
        kept.append(index)
        if len(kept) == count:
            break
        away = [(other - joints[index]).norm(dim=-1).mean(-1) for other in (joints, reflected)]
        nearest = torch.minimum(nearest, torch.minimum(*away))
    # The library may not have as many distinct bodies; the nearest ones then come twice.
    return torch.tensor((kept * count)[:count], device=joints.device)
