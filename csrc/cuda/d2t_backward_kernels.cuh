// Backward of d2t. Pools of 3 x 3: one tile a block, the ties of each maximum as bits, so that both modes gather
// alike. Larger pools: two passes over the image, one thread per pixel, by csrc/d2t.h.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include <limits>

#include "d2t.h"
#include "dtypes.h"

namespace topo {
namespace {

// Tiles as large as 48 KB of shared memory allow.
constexpr int32_t kTileWidth = 64;
template <typename Real>
constexpr int32_t kTileHeight = sizeof(Real) == 4 ? 32 : 16;

template <typename Real, typename Mask>
__device__ Real mask_value(Mask mask) {
  const Real value = static_cast<Real>(mask);
  return std::is_same_v<Mask, uint8_t> ? Real(value != Real(0)) : value;
}

// 24 bytes per pixel (float32: four maps read, two written; the frame, a fifth more, comes from L2), some 100 thread
// instructions (estimated). 35 KB of shared memory, at most 40 registers, no spills.
template <typename T, typename Mask>
__global__ void d2t_backward_tile_kernel(const T* __restrict__ grad,      // [B, H, W]
                                         const T* __restrict__ distance,  // [B, H, W]
                                         const Mask* __restrict__ mask,   // [B, H, W]
                                         const T* __restrict__ skeleton,  // [B, H, W]
                                         T* __restrict__ grad_distance,   // [B, H, W]
                                         T* __restrict__ grad_mask,       // [B, H, W]
                                         int64_t count, D2tParams p, bool literal) {
  using Real = accumulate_t<T>;
  constexpr int32_t kHeight = kTileHeight<Real>;
  constexpr int32_t kWide = kTileWidth + 4, kHigh = kHeight + 4;      // what the tile sees: a frame of 2
  constexpr int32_t kNear = kTileWidth + 2, kNearHigh = kHeight + 2;  // what gives to it: a frame of 1
  __shared__ Real d[kHigh * kWide];
  __shared__ uint8_t ridge[kHigh * kWide];
  __shared__ Real passed[kNearHigh * kNear], taken[kNearHigh * kNear];
  __shared__ uint16_t takers[kNearHigh * kNear];  // bit 3 (dy + 1) + dx + 1: that neighbour takes
  const int32_t height = static_cast<int32_t>(p.height), width = static_cast<int32_t>(p.width);
  const int32_t across = (width + kTileWidth - 1) / kTileWidth, down = (height + kHeight - 1) / kHeight;
  const int64_t tiles = count * across * down;

  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t image = tile / (across * down), offset = image * p.pixels();
    const int32_t index = static_cast<int32_t>(tile - image * (across * down));
    const int32_t top = index / across * kHeight, left = index % across * kTileWidth;

    for (int32_t k = threadIdx.x; k < kHigh * kWide; k += blockDim.x) {
      const int32_t y = top - 2 + k / kWide, x = left - 2 + k % kWide;
      const bool inside = y >= 0 && x >= 0 && y < height && x < width;
      const int64_t i = offset + y * p.width + x;
      d[k] = inside ? static_cast<Real>(distance[i]) : -std::numeric_limits<Real>::infinity();
      ridge[k] = inside && !literal && static_cast<Real>(skeleton[i]) > Real(0);
    }
    __syncthreads();

    for (int32_t k = threadIdx.x; k < kNearHigh * kNear; k += blockDim.x) {
      const int32_t v = k / kNear, u = k % kNear, y = top - 1 + v, x = left - 1 + u;
      passed[k] = taken[k] = Real(0);
      takers[k] = 0;
      if (y < 0 || x < 0 || y >= height || x >= width) continue;
      const int64_t i = offset + y * p.width + x;
      const bool mine = v >= 1 && u >= 1 && v <= kHeight && u <= kTileWidth;
      const Real inside = mask_value<Real>(mask[i]), upstream = static_cast<Real>(grad[i]);
      Real mask_grad = Real(0);
      if (literal || inside != Real(0)) {
        const int32_t corner = v * kWide + u;  // of the window, in d
        Real peak = d[corner];
        bool near_ridge = false;
        for (int32_t j = 0; j < 9; ++j) {
          const int32_t at = corner + j / 3 * kWide + j % 3;
          peak = d[at] > peak ? d[at] : peak;
          near_ridge |= ridge[at] != 0;
        }
        uint32_t ties = 0;
        int32_t count_of_ties = 0;
        for (int32_t j = 0; j < 9; ++j) {
          const bool tied = d[corner + j / 3 * kWide + j % 3] == peak && !(literal && ties);  // literal: the first
          ties |= static_cast<uint32_t>(tied) << j;
          count_of_ties += tied;
        }
        const Real z = d[corner + kWide + 1] - peak + Real(1);
        const bool open = z > Real(0) || (!literal && z == Real(0) && near_ridge);
        passed[k] = open ? upstream * inside : Real(0);
        taken[k] = passed[k] / static_cast<Real>(count_of_ties);
        takers[k] = static_cast<uint16_t>(ties);
        if (z > Real(0) && (literal || inside > Real(0))) mask_grad = upstream * z;
      }
      if (mine) grad_mask[i] = static_cast<T>(mask_grad);
    }
    __syncthreads();

    for (int32_t k = threadIdx.x; k < kHeight * kTileWidth; k += blockDim.x) {
      const int32_t v = k / kTileWidth, u = k % kTileWidth, y = top + v, x = left + u;
      if (y >= height || x >= width) continue;
      Real sum = passed[(v + 1) * kNear + u + 1];
      for (int32_t j = 0; j < 9; ++j) {
        // Seen from neighbour j, this pixel is neighbour 8 - j.
        const int32_t at = (v + j / 3) * kNear + u + j % 3;
        if (takers[at] >> (8 - j) & 1) sum -= taken[at];
      }
      grad_distance[offset + y * p.width + x] = static_cast<T>(sum);
    }
    __syncthreads();
  }
}

template <typename T, typename Mask>
__global__ void ridge_kernel(const T* __restrict__ grad,            // [B, H, W]
                             const T* __restrict__ distance,        // [B, H, W]
                             const Mask* __restrict__ mask,         // [B, H, W]
                             const T* __restrict__ skeleton,        // [B, H, W]
                             accumulate_t<T>* __restrict__ passed,  // [B, H, W]
                             accumulate_t<T>* __restrict__ taken,   // [B, H, W]
                             int64_t* __restrict__ argmax,          // [B, H, W]
                             T* __restrict__ grad_mask,             // [B, H, W]
                             int64_t total, D2tParams p, bool literal) {
  using Real = accumulate_t<T>;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels(), offset = image * p.pixels();
    const auto result = ridge_pixel(p, literal, distance + offset, skeleton + offset, mask_value<Real>(mask[i]),
                                    static_cast<Real>(grad[i]), pixel / p.width, pixel % p.width);
    passed[i] = result.passed;
    taken[i] = result.taken;
    argmax[i] = result.argmax;
    grad_mask[i] = static_cast<T>(result.mask_grad);
  }
}

template <typename T>
__global__ void distance_grad_kernel(const T* __restrict__ distance,              // [B, H, W]
                                     const accumulate_t<T>* __restrict__ passed,  // [B, H, W]
                                     const accumulate_t<T>* __restrict__ taken,   // [B, H, W]
                                     const int64_t* __restrict__ argmax,          // [B, H, W]
                                     T* __restrict__ grad_distance,               // [B, H, W]
                                     int64_t total, D2tParams p, bool literal) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels(), offset = image * p.pixels();
    grad_distance[i] =
        static_cast<T>(distance_grad_pixel(p, literal, distance + offset, passed + offset, taken + offset,
                                           argmax + offset, pixel / p.width, pixel % p.width));
  }
}

}  // namespace
}  // namespace topo
