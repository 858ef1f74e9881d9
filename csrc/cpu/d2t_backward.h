// The gradient of d2t for one image on the CPU, for d2t and the fused operators. d2t.h defines both modes.

#pragma once

#include <algorithm>

#include "cpu/buffer.h"
#include "cpu/d2t_backward_simd.h"
#include "d2t.h"

namespace topo {

// Scratch of one thread.
template <typename Real>
struct RidgeWorkspace {
  Buffer<Real> passed, taken;
  Buffer<int64_t> argmax;
};

// Windows of any size in either mode, pixel by pixel.
template <typename Real>
void ridge_backward_any(const D2tParams& p, bool literal, const Real* grad, const Real* distance, const Real* mask,
                        const Real* skeleton, RidgeWorkspace<Real>& ws, Real* grad_distance, Real* grad_mask) {
  const int64_t n = p.pixels();
  ws.passed.resize(n);
  ws.taken.resize(n);
  ws.argmax.resize(n);
  std::fill(grad_distance, grad_distance + n, Real(0));
  // Only pixels in the window of a pixel that passes something on have a gradient.
  int64_t top = p.height, bottom = -1, left = p.width, right = -1;
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      const int64_t i = y * p.width + x;
      const auto pixel = ridge_pixel(p, literal, distance, skeleton, mask[i], grad[i], y, x);
      ws.passed[i] = pixel.passed;
      ws.taken[i] = pixel.taken;
      ws.argmax[i] = pixel.argmax;
      grad_mask[i] = pixel.mask_grad;
      if (pixel.passed == Real(0)) continue;
      top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x), right = std::max(right, x);
    }
  }
  for (int64_t y = std::max<int64_t>(0, top - p.radius); y <= std::min(p.height - 1, bottom + p.radius); ++y) {
    for (int64_t x = std::max<int64_t>(0, left - p.radius); x <= std::min(p.width - 1, right + p.radius); ++x) {
      grad_distance[y * p.width + x] =
          distance_grad_pixel(p, literal, distance, ws.passed.data(), ws.taken.data(), ws.argmax.data(), y, x);
    }
  }
}

// dL/dD and dL/dS from dL/dT, all (H, W).
template <typename Real>
void ridge_backward(const D2tParams& p, BackwardMode mode, const Real* grad, const Real* distance, const Real* mask,
                    const Real* skeleton, RidgeWorkspace<Real>& ws, Real* grad_distance, Real* grad_mask) {
  if (mode == BackwardMode::kLiteral || p.radius != 1) {
    ridge_backward_any(p, mode == BackwardMode::kLiteral, grad, distance, mask, skeleton, ws, grad_distance, grad_mask);
    return;
  }
  ws.passed.resize(ridge_scratch(p.width));
  TOPO_SIMD_CALL(ridge_backward, grad, distance, mask, skeleton, p.height, p.width, ws.passed.data(), grad_distance,
                 grad_mask);
}

}  // namespace topo
