// Dilation and erosion on CUDA, from the nearest targets along columns (edt_columns_kernel): discs are the pixels whose
// squared Euclidean distance is small enough (edt_rows_kernel), squares those with a near column (square_rows_kernel).
// Targets are the foreground for a dilation and the background for an erosion.
//
// Kernels and device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/edt_kernels.cuh"
#include "cuda/words.cuh"
#include "morphology.h"

namespace topo {
namespace {

// Writes whether a target is near, or for an erosion whether none is.
template <typename Out>
struct EmitWithin {
  Out* result;  // [B, H, W]
  uint32_t squared;
  bool erodes;

  __device__ void write(int64_t i, bool near) const {
    result[i] = static_cast<Out>(near != erodes ? 1.0f : 0.0f);
  }
  __device__ void operator()(int64_t i, uint32_t cost, int32_t column, int32_t) const {
    write(i, column >= 0 && cost <= squared);
  }
};

// A block takes a row at a time: a bit for each column whose nearest target is at most `reach` rows away, and then for
// each pixel whether there is one at most `reach` columns away.
template <typename Out>
__global__ void square_rows_kernel(const uint16_t* __restrict__ nearest,  // [B, planes.height, planes.width]
                                   int64_t count, EdtPlanes planes, int32_t reach, EmitWithin<Out> emit) {
  auto* near = reinterpret_cast<uint32_t*>(dynamic_shared());
  const int32_t width = planes.width, inner_height = planes.inner_height(), words = (width + 31) / 32;
  for (int64_t row = blockIdx.x; row < count * inner_height; row += gridDim.x) {
    const int64_t image = row / inner_height;
    const int32_t y = static_cast<int32_t>(row - image * inner_height) + planes.ring;
    const uint16_t* nearest_row = nearest + image * planes.pixels() + int64_t(y) * width;
    for (int32_t w = warp_index(); w < words; w += blockDim.x / 32) {
      const int32_t x = 32 * w + lane_index(), target = x < width ? nearest_row[x] : kNoTarget;
      const bool set = target != kNoTarget && (target < y ? y - target : target - y) <= reach;
      const uint32_t word = __ballot_sync(kAllLanes, set);
      if (lane_index() == 0) near[w] = word;
    }
    __syncthreads();
    for (int32_t inner = threadIdx.x; inner < planes.inner_width(); inner += blockDim.x) {
      const int32_t x = inner + planes.ring;
      const int32_t first = x > reach ? x - reach : 0, last = x < width - 1 - reach ? x + reach : width - 1;
      uint32_t found = 0;
      for (int32_t w = first / 32; w <= last / 32; ++w) {
        uint32_t bits = near[w];
        if (w == first / 32) bits &= 0xFFFFFFFFu << first % 32;
        if (w == last / 32) bits &= 0xFFFFFFFFu >> (31 - last % 32);
        found |= bits;
      }
      emit.write(row * planes.inner_width() + inner, found != 0);
    }
    __syncthreads();  // before the next row overwrites this one
  }
}

// result = outer without inner.
template <typename T>
__global__ void band_kernel(const uint8_t* __restrict__ outer, const uint8_t* __restrict__ inner,
                            T* __restrict__ result, int64_t pixels) {
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < pixels; i += step) {
    result[i] = static_cast<T>(outer[i] && !inner[i] ? 1.0f : 0.0f);
  }
}

}  // namespace
}  // namespace topo
