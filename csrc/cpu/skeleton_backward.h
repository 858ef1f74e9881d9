// The gradient of the skeleton of one image on the CPU, for skeleton and mask_chamfer. It computes the maps of the
// image again into scratch, then the gradient of d2t, then that of s2d.

#pragma once

#include "cpu/d2t_backward.h"
#include "cpu/s2d_backward.h"
#include "cpu/skeleton_image.h"

namespace topo {

// Scratch of one thread for images of one size.
template <typename Real>
struct SkeletonGradient {
  explicit SkeletonGradient(const SkeletonParams& p)
      : image(p),
        distance(p.pixels()),
        mask(p.pixels()),
        skeleton(p.pixels()),
        grad_distance(p.pixels()),
        grad_mask(p.pixels()) {}

  SkeletonWorkspace<Real> image;
  Buffer<Real> distance, mask, skeleton, grad_distance, grad_mask;
  RidgeWorkspace<Real> ridges;
};

// Writes D, S and T of an image to ws.
template <typename Real, typename T>
MaskKind skeleton_maps(const SkeletonParams& p, const T* mask, SkeletonGradient<Real>& ws) {
  const int64_t n = p.pixels();
  SkeletonWorkspace<Real>& image = ws.image;
  const MaskKind kind = read_mask(mask, n, image.thinning.foreground.data());
  Real *distance = ws.distance.data(), *inside = ws.mask.data(), *skeleton = ws.skeleton.data();
  if (kind == MaskKind::kBinary) {
    binary_skeleton(p, image, image.ridges.data());
    const uint16_t* depth = image.thinning.depth.data();
    const uint8_t *foreground = image.thinning.foreground.data(), *ridges = image.ridges.data();
    for (int64_t i = 0; i < n; ++i) distance[i] = static_cast<Real>(depth[i]);
    for (int64_t i = 0; i < n; ++i) inside[i] = static_cast<Real>(foreground[i]);
    for (int64_t i = 0; i < n; ++i) skeleton[i] = static_cast<Real>(ridges[i]);
  } else if (kind == MaskKind::kSoft) {
    soft_skeleton(p, mask, image);
    std::copy(image.distance.begin(), image.distance.end(), distance);
    std::copy(image.soft.begin(), image.soft.end(), inside);
    std::copy(image.skeleton.begin(), image.skeleton.end(), skeleton);
  }
  return kind;
}

// dL/dS from dL/dT for the image whose maps are in ws.
template <typename Real>
void skeleton_backward_image(const SkeletonParams& p, BackwardMode mode, MaskKind kind, const Real* upstream,
                             SkeletonGradient<Real>& ws, BackwardWorkspace<Real>& back, Real* grad) {
  ridge_backward(p.ridges, mode, upstream, ws.distance.data(), ws.mask.data(), ws.skeleton.data(), ws.ridges,
                 ws.grad_distance.data(), ws.grad_mask.data());
  thinning_backward(p.thinning, mode, kind, ws.grad_distance.data(), ws.image.thinning, back, grad);
  const Real* direct = ws.grad_mask.data();
  for (int64_t i = 0; i < p.pixels(); ++i) grad[i] += direct[i];
}

}  // namespace topo
