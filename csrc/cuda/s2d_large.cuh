// s2d for images that do not fit on chip (s2d_planes.cuh): columns_kernel, then rows_kernel, through a plane of 16 bits
// in global memory.
//
// Kernels and device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_planes.cuh"

namespace topo {
namespace {

template <typename T>
struct MaskForeground {
  const T* mask;

  __device__ bool operator[](int64_t i) const {
    return static_cast<accumulate_t<T>>(mask[i]) != 0;
  }
};

// Distance along the column to the nearest background pixel. A block takes 32 columns of one image and keeps 32 rows of
// a column as a word of bits in shared memory (4 bytes per row). Per pixel, sizeof(T) bytes are read and 2 are written.
// Sets soft_images[image] to 1 if a value is neither 0 nor 1.
template <typename T>
__global__ void columns_kernel(const T* __restrict__ mask,         // [B, H, W]
                               uint16_t* __restrict__ columns,     // [B, H, W]
                               int32_t* __restrict__ soft_images,  // [B], zeros
                               bool inverted, S2dParams p) {
  auto* background = reinterpret_cast<uint32_t*>(dynamic_shared());
  const int64_t strips = (p.width + 31) / 32, image = blockIdx.x / strips;
  const int64_t x = blockIdx.x % strips * 32 + lane_index();
  const int32_t height = static_cast<int32_t>(p.height), words = (height + 31) / 32;
  const int32_t warps = blockDim.x / 32;
  const T* column = mask + image * p.pixels() + x;
  uint16_t* result = columns + image * p.pixels() + x;
  int soft = 0;
  for (int32_t w = warp_index(); w < words; w += warps) {
    uint32_t bits = 0;
    for (int k = 0; k < 32 && x < p.width && 32 * w + k < height; ++k) {
      const auto value = static_cast<accumulate_t<T>>(column[(32 * int64_t(w) + k) * p.width]);
      if ((value == 0) != inverted) bits |= 1u << k;
      if constexpr (!std::is_same_v<T, uint8_t>) soft |= value != 0 && value != 1;
    }
    background[w * 32 + lane_index()] = bits;
  }
  if (__syncthreads_or(soft) && threadIdx.x == 0) soft_images[image] = 1;  // several blocks may write the same value
  if (x >= p.width) return;
  const int32_t none = 2 * 32768;  // farther than any row
  for (int32_t w = warp_index(); w < words; w += warps) {
    // The rows of the nearest background pixels above and below this word.
    int32_t above = p.black_border ? -1 : -none, below = p.black_border ? height : none + height;
    for (int32_t v = w - 1; v >= 0; --v) {
      const uint32_t bits = background[v * 32 + lane_index()];
      if (bits) {
        above = 32 * v + 31 - __clz(bits);
        break;
      }
    }
    for (int32_t v = w + 1; v < words; ++v) {
      const uint32_t bits = background[v * 32 + lane_index()];
      if (bits) {
        below = 32 * v + __ffs(bits) - 1;
        break;
      }
    }
    const uint32_t bits = background[w * 32 + lane_index()];
    for (int k = 0; k < 32 && 32 * w + k < height; ++k) {
      const int32_t y = 32 * w + k;
      const uint32_t up = bits << (31 - k), down = bits >> k;
      const int32_t to_above = up ? __clz(up) : y - above, to_below = down ? __ffs(down) - 1 : below - y;
      const int32_t nearer = to_above < to_below ? to_above : to_below;
      result[y * p.width] = nearer < kFar ? static_cast<uint16_t>(nearer) : kFar;
    }
  }
}

// Levels from the distances along columns. Each thread takes one pixel and reads min(D, W) values of its row, from L1.
template <typename T, typename Out>
__global__ void rows_kernel(const uint16_t* __restrict__ columns,  // [B, H, W]
                            const T* __restrict__ mask,            // [B, H, W], for fill_holes
                            Out* __restrict__ levels,              // [B, H, W]
                            int64_t count, S2dParams p) {
  const int64_t total = count * p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += step) {
    const int64_t row = i / p.width, x = i - row * p.width, image = row / p.height, y = row - image * p.height;
    int32_t level = thinning_depth(p, nearest_in_row(p, columns + row * p.width, x));
    if (is_filled_hole(p, MaskForeground<T>{mask + image * p.pixels()}, y, x)) level = 1;
    if constexpr (std::is_same_v<Out, uint16_t>) {
      levels[i] = static_cast<uint16_t>(level);
    } else {
      levels[i] = static_cast<Out>(static_cast<float>(level));
    }
  }
}

}  // namespace
}  // namespace topo
