// The distance map of one image on the CPU, for s2d, its backward, and the fused operators.

#pragma once

#include <algorithm>

#include "cpu/buffer.h"
#include "cpu/mask.h"
#include "cpu/s2d_simd.h"
#include "s2d.h"

namespace topo {

// Scratch of one thread for images of one size.
template <typename Real>
struct Workspace {
  explicit Workspace(const S2dParams& p)
      : foreground(p.pixels()), depth(p.pixels()), bytes(chessboard_scratch(p.height, p.width)) {}

  Buffer<uint8_t> foreground;
  Buffer<uint16_t> depth;  // d, then D (binary images) or survivals (literal backward)
  Buffer<uint8_t> bytes;
  // Allocated only for soft images.
  Buffer<Real> a, b;
};

// The chessboard distance of which D is a function. D saturates at the distance r (l + 1).
inline Chessboard chessboard_of(const S2dParams& p) {
  const int64_t cap = static_cast<int64_t>(p.radius) * (p.iterations + 1);
  return {p.height, p.width, p.black_border, static_cast<uint16_t>(std::min<int64_t>(cap, kFar))};
}

// Binary image: writes D to ws.depth.
template <typename Real>
void binary_depth(const S2dParams& p, Workspace<Real>& ws) {
  TOPO_SIMD_CALL(chessboard_distance, chessboard_of(p), ws.foreground.data(), ws.depth.data(), ws.bytes.data());
  if (p.radius > 1) {
    for (auto& d : ws.depth) d = static_cast<uint16_t>(thinning_depth(p, d));
  }
  if (!p.fill_holes) return;
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      if (is_filled_hole(p, ws.foreground.data(), y, x)) ws.depth[y * p.width + x] = 1;
    }
  }
}

// Soft image: writes D to `out`, unless that is null, and the survivals to ws.depth.
template <typename Real, typename T>
void soft_thinning(const S2dParams& p, const T* mask, Workspace<Real>& ws, Real* out) {
  const int64_t n = p.pixels();
  ws.a.resize(n);
  ws.b.resize(n);
  std::fill(ws.depth.begin(), ws.depth.end(), uint16_t(0));
  for (int64_t i = 0; i < n; ++i) ws.a[i] = static_cast<Real>(mask[i]);
  if (out) std::copy(ws.a.begin(), ws.a.end(), out);
  bool alive = true;
  for (int32_t step = 0; step < p.iterations && alive; ++step) {
    alive = false;
    for (int64_t y = 0; y < p.height; ++y) {
      for (int64_t x = 0; x < p.width; ++x) {
        const int64_t i = y * p.width + x;
        const Real value = thin_pixel(p, ws.a.data(), y, x);
        ws.b[i] = value;
        if (value > 0) {
          alive = true;
          ++ws.depth[i];
          if (out) out[i] += value;
        }
      }
    }
    ws.a.swap(ws.b);
  }
}

}  // namespace topo
