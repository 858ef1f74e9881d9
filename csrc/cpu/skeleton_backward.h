// The gradient of the skeleton of one image on the CPU, for skeleton and mask_chamfer: its maps are computed again
// into scratch, and then d2t's gradient is followed by s2d's.

#pragma once

#include "cpu/d2t_backward.h"
#include "cpu/s2d_backward.h"
#include "skeleton.h"

namespace topo {

// Scratch of one thread for images of one size.
template <typename Real>
struct SkeletonGradient {
  explicit SkeletonGradient(const SkeletonParams& p)
      : levels(p.thinning),
        distance(p.pixels()),
        mask(p.pixels()),
        skeleton(p.pixels()),
        grad_distance(p.pixels()),
        grad_mask(p.pixels()) {}

  Workspace<Real> levels;
  Buffer<Real> distance, mask, skeleton, grad_distance, grad_mask;
  RidgeWorkspace<Real> ridges;
};

// D, S and T of an image into ws.
template <typename Real, typename T>
MaskKind skeleton_maps(const SkeletonParams& p, const T* mask, SkeletonGradient<Real>& ws) {
  const int64_t n = p.pixels();
  const MaskKind kind = read_mask(mask, n, ws.levels.foreground.data());
  if (kind == MaskKind::kInvalid) return kind;
  if (kind == MaskKind::kBinary) {
    binary_depth(p.thinning, ws.levels);
    ws.ridges.passed.resize(ridge_scratch(p.ridges.width));
    TOPO_SIMD_CALL(ridge_maps, ws.levels.depth.data(), ws.levels.foreground.data(), p.ridges.height, p.ridges.width,
                   ws.ridges.passed.data(), ws.distance.data(), ws.mask.data(), ws.skeleton.data());
    if (p.ridges.radius == 1) return kind;
  } else {
    soft_thinning(p.thinning, mask, ws.levels, ws.distance.data());
    std::copy(mask, mask + n, ws.mask.begin());
  }
  for (int64_t i = 0; i < n; ++i) {
    ws.skeleton[i] = skeleton_pixel(p.ridges, ws.distance.data(), ws.mask[i], i / p.ridges.width, i % p.ridges.width);
  }
  return kind;
}

// dL/dS from dL/dT, of the image whose maps ws holds.
template <typename Real>
void skeleton_backward_image(const SkeletonParams& p, BackwardMode mode, MaskKind kind, const Real* upstream,
                             SkeletonGradient<Real>& ws, BackwardWorkspace<Real>& back, Real* grad) {
  ridge_backward(p.ridges, mode, upstream, ws.distance.data(), ws.mask.data(), ws.skeleton.data(), ws.ridges,
                 ws.grad_distance.data(), ws.grad_mask.data());
  thinning_backward(p.thinning, mode, kind, ws.grad_distance.data(), ws.levels, back, grad);
  const Real* direct = ws.grad_mask.data();
  for (int64_t i = 0; i < p.pixels(); ++i) grad[i] += direct[i];
}

}  // namespace topo
