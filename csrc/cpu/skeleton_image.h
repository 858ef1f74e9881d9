// The skeleton of one image on the CPU, for skeleton and mask_chamfer.

#pragma once

#include "cpu/d2t_ridges.h"
#include "cpu/s2d_thinning.h"
#include "skeleton.h"

namespace topo {

template <typename Real>
struct SkeletonWorkspace {
  explicit SkeletonWorkspace(const SkeletonParams& p)
      : thinning(p.thinning), ridges(p.pixels()), line(ridge_lines(p.thinning.width, ridge_image(p.ridges).radius)) {}

  Workspace<Real> thinning;
  Buffer<uint8_t> ridges;  // T of a binary image, 0 and 1
  Buffer<uint16_t> line;
  // Allocated only for soft images.
  Buffer<Real> distance, soft, skeleton, soft_line;
};

// Binary image, whose foreground is in ws.thinning.foreground: writes T to `skeleton`, as 0 and 1.
template <typename Real, typename Out>
void binary_skeleton(const SkeletonParams& p, SkeletonWorkspace<Real>& ws, Out* skeleton) {
  binary_depth(p.thinning, ws.thinning);
  TOPO_SIMD_CALL(ridges, ridge_image(p.ridges), ws.thinning.depth.data(), ws.thinning.foreground.data(), skeleton,
                 ws.line.data());
}

// Soft image: writes T to ws.skeleton.
template <typename Real, typename T>
void soft_skeleton(const SkeletonParams& p, const T* mask, SkeletonWorkspace<Real>& ws) {
  const RidgeImage image = ridge_image(p.ridges);
  ws.distance.resize(p.pixels());
  ws.skeleton.resize(p.pixels());
  ws.soft_line.resize(ridge_lines(image.width, image.radius));
  ws.soft.resize(p.pixels());
  for (int64_t i = 0; i < p.pixels(); ++i) ws.soft[i] = static_cast<Real>(mask[i]);
  soft_thinning(p.thinning, mask, ws.thinning, ws.distance.data());
  TOPO_SIMD_CALL(ridges, image, ws.distance.data(), ws.soft.data(), ws.skeleton.data(), ws.soft_line.data());
}

}  // namespace topo
