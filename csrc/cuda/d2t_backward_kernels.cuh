// Backward of d2t. For 3 x 3 pools a block takes one tile and keeps the ties of each maximum as bits, so that both
// modes gather in the same way. Larger pools take two passes over the image, one thread per pixel, by the functions of
// csrc/d2t.h.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include <limits>

#include "d2t.h"
#include "dtypes.h"

namespace topo {
namespace {

// Tiles as large as 48 KB of shared memory allow, the limit without opting in to more.
constexpr int32_t kTileWidth = 64;
template <typename Real>
constexpr int32_t kTileHeight = sizeof(Real) == 4 ? 32 : 16;

template <typename Real, typename Mask>
__device__ Real mask_value(Mask mask) {
  const Real value = static_cast<Real>(mask);
  return std::is_same_v<Mask, uint8_t> ? Real(value != Real(0)) : value;
}

// The shared memory of a block.
template <typename Real>
struct BackwardTile {
  static constexpr int32_t kHeight = kTileHeight<Real>;
  static constexpr int32_t kWide = kTileWidth + 4, kHigh = kHeight + 4;  // the tile and a frame of 2: its inputs
  static constexpr int32_t kNear = kTileWidth + 2,
                           kNearHigh = kHeight + 2;  // the tile and a frame of 1: pixels that give to it
  Real d[kHigh * kWide];
  uint8_t ridge[kHigh * kWide];
  Real passed[kNearHigh * kNear], taken[kNearHigh * kNear];
  uint16_t takers[kNearHigh * kNear];  // bit 3 (dy + 1) + dx + 1: that neighbour is a maximum
};

// Where a tile lies.
struct TilePlace {
  int64_t offset;  // of its image's first pixel
  int32_t top, left;
  int32_t height, width;  // of the image

  __device__ __forceinline__ bool inside(int32_t y, int32_t x) const {
    return y >= 0 && x >= 0 && y < height && x < width;
  }
  __device__ __forceinline__ int64_t index(int32_t y, int32_t x) const {
    return offset + y * int64_t(width) + x;
  }
};

// Reads the distances and ridges of the tile and its frame of 2.
template <typename Real, typename T>
__device__ __forceinline__ void read_tile(BackwardTile<Real>& tile, const TilePlace& place, const T* distance,
                                          const T* skeleton, bool literal) {
  using B = BackwardTile<Real>;
  for (int32_t k = threadIdx.x; k < B::kHigh * B::kWide; k += blockDim.x) {
    const int32_t y = place.top - 2 + k / B::kWide, x = place.left - 2 + k % B::kWide;
    const bool inside = place.inside(y, x);
    const int64_t i = place.index(y, x);
    tile.d[k] = inside ? static_cast<Real>(distance[i]) : -std::numeric_limits<Real>::infinity();
    tile.ridge[k] = inside && !literal && static_cast<Real>(skeleton[i]) > Real(0);
  }
}

// First pass (ridge_pixel() in d2t.h) for pixel k of the tile with its frame of 1. Returns dL/dS.
template <typename Real>
__device__ __forceinline__ Real pass_pixel(BackwardTile<Real>& tile, int32_t k, Real inside, Real upstream,
                                           bool literal) {
  using B = BackwardTile<Real>;
  if (!literal && inside == Real(0)) return Real(0);
  const int32_t corner = k / B::kNear * B::kWide + k % B::kNear;  // of the window, in d
  Real peak = tile.d[corner];
  bool near_ridge = false;
  for (int32_t j = 0; j < 9; ++j) {
    const int32_t at = corner + j / 3 * B::kWide + j % 3;
    peak = tile.d[at] > peak ? tile.d[at] : peak;
    near_ridge |= tile.ridge[at] != 0;
  }
  uint32_t ties = 0;
  int32_t count_of_ties = 0;
  for (int32_t j = 0; j < 9; ++j) {
    const bool tied = tile.d[corner + j / 3 * B::kWide + j % 3] == peak && !(literal && ties);  // literal: the first
    ties |= static_cast<uint32_t>(tied) << j;
    count_of_ties += tied;
  }
  const Real z = tile.d[corner + B::kWide + 1] - peak + Real(1);
  const bool open = z > Real(0) || (!literal && z == Real(0) && near_ridge);
  tile.passed[k] = open ? upstream * inside : Real(0);
  tile.taken[k] = tile.passed[k] / static_cast<Real>(count_of_ties);
  tile.takers[k] = static_cast<uint16_t>(ties);
  return z > Real(0) && (literal || inside > Real(0)) ? upstream * z : Real(0);
}

// First pass for all pixels; writes dL/dS of the tile itself.
template <typename Real, typename T, typename Mask>
__device__ __forceinline__ void pass_tile(BackwardTile<Real>& tile, const TilePlace& place, const T* grad,
                                          const Mask* mask, T* grad_mask, bool literal) {
  using B = BackwardTile<Real>;
  for (int32_t k = threadIdx.x; k < B::kNearHigh * B::kNear; k += blockDim.x) {
    const int32_t v = k / B::kNear, u = k % B::kNear, y = place.top - 1 + v, x = place.left - 1 + u;
    tile.passed[k] = tile.taken[k] = Real(0);
    tile.takers[k] = 0;
    if (!place.inside(y, x)) continue;
    const int64_t i = place.index(y, x);
    const Real mask_grad = pass_pixel(tile, k, mask_value<Real>(mask[i]), static_cast<Real>(grad[i]), literal);
    const bool mine = v >= 1 && u >= 1 && v <= B::kHeight && u <= kTileWidth;
    if (mine) grad_mask[i] = static_cast<T>(mask_grad);
  }
}

// Second pass: dL/dD of the tile is what a pixel passes on minus what it takes as a maximum of its neighbours' windows.
template <typename Real, typename T>
__device__ __forceinline__ void gather_tile(const BackwardTile<Real>& tile, const TilePlace& place, T* grad_distance) {
  using B = BackwardTile<Real>;
  for (int32_t k = threadIdx.x; k < B::kHeight * kTileWidth; k += blockDim.x) {
    const int32_t v = k / kTileWidth, u = k % kTileWidth, y = place.top + v, x = place.left + u;
    if (y >= place.height || x >= place.width) continue;
    Real sum = tile.passed[(v + 1) * B::kNear + u + 1];
    for (int32_t j = 0; j < 9; ++j) {
      // Seen from neighbour j, this pixel is neighbour 8 - j.
      const int32_t at = (v + j / 3) * B::kNear + u + j % 3;
      if (tile.takers[at] >> (8 - j) & 1) sum -= tile.taken[at];
    }
    grad_distance[place.index(y, x)] = static_cast<T>(sum);
  }
}

// Float32, per pixel: 24 bytes (four maps read, two written; the frame adds a fifth, which comes from L2) and an
// estimated 100 thread instructions. 35 KB of shared memory, at most 40 registers, no spills.
template <typename T, typename Mask>
__global__ void d2t_backward_tile_kernel(const T* __restrict__ grad,      // [B, H, W]
                                         const T* __restrict__ distance,  // [B, H, W]
                                         const Mask* __restrict__ mask,   // [B, H, W]
                                         const T* __restrict__ skeleton,  // [B, H, W]
                                         T* __restrict__ grad_distance,   // [B, H, W]
                                         T* __restrict__ grad_mask,       // [B, H, W]
                                         int64_t count, D2tParams p, bool literal) {
  using Tile = BackwardTile<accumulate_t<T>>;
  __shared__ Tile tile;
  const int32_t height = static_cast<int32_t>(p.height), width = static_cast<int32_t>(p.width);
  const int32_t across = (width + kTileWidth - 1) / kTileWidth, down = (height + Tile::kHeight - 1) / Tile::kHeight;
  const int64_t tiles = count * across * down;
  for (int64_t number = blockIdx.x; number < tiles; number += gridDim.x) {
    const int64_t image = number / (across * down);
    const int32_t index = static_cast<int32_t>(number - image * (across * down));
    const TilePlace place{image * p.pixels(), index / across * Tile::kHeight, index % across * kTileWidth, height,
                          width};
    read_tile(tile, place, distance, skeleton, literal);
    __syncthreads();
    pass_tile(tile, place, grad, mask, grad_mask, literal);
    __syncthreads();
    gather_tile(tile, place, grad_distance);
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
