// The skeleton of one image on the CPU, for skeleton and mask_chamfer.

#pragma once

#include "cpu/thinning.h"
#include "skeleton.h"

namespace topo {

template <typename Real>
struct SkeletonWorkspace {
  explicit SkeletonWorkspace(const SkeletonParams& p)
      : thinning(p.thinning), distance(p.pixels()), skeleton(p.pixels()) {}

  Workspace<Real> thinning;
  Buffer<Real> distance, skeleton;
};

// T into ws.skeleton; tells a soft image from a binary one.
template <typename Real, typename T>
MaskKind skeleton_image(const SkeletonParams& p, const T* mask, SkeletonWorkspace<Real>& ws) {
  const MaskKind kind = read_mask(mask, p.pixels(), ws.thinning.foreground.data());
  if (kind == MaskKind::kInvalid) return kind;
  if (kind == MaskKind::kSoft) {
    soft_thinning(p.thinning, mask, ws.thinning, ws.distance.data());
  } else {
    binary_depth(p.thinning, ws.thinning);
    for (int64_t i = 0; i < p.pixels(); ++i) ws.distance[i] = static_cast<Real>(ws.thinning.depth[i]);
  }
  for (int64_t y = 0; y < p.ridges.height; ++y) {
    for (int64_t x = 0; x < p.ridges.width; ++x) {
      const int64_t i = y * p.ridges.width + x;
      const Real inside = kind == MaskKind::kSoft ? static_cast<Real>(mask[i]) : Real(ws.thinning.foreground[i]);
      ws.skeleton[i] = skeleton_pixel<Real>(p.ridges, ws.distance.data(), inside, y, x);
    }
  }
  return kind;
}

}  // namespace topo
