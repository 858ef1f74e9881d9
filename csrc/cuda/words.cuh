// Masks by words of 32 pixels of a row: a warp decides a word, one pixel per lane.

#pragma once

#include "cuda/s2d_planes.cuh"

namespace topo {
namespace {

template <typename T>
__device__ bool is_foreground(T value) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return value != 0;
  } else {
    return static_cast<accumulate_t<T>>(value) > 0.5f;
  }
}

// Calls visit(row, x, in) by all lanes of a warp for each 32 pixels of a row, with `row` counted over the batch; `in`
// is false for pixels beyond the row.
template <typename Visit>
__device__ void visit_words(int64_t rows, int64_t width, const Visit& visit) {
  const int64_t words = (width + 31) / 32, warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t w = int64_t(blockIdx.x) * (blockDim.x / 32) + warp_index(); w < rows * words; w += warps) {
    const int64_t x = w % words * 32 + lane_index();
    visit(w / words, x, x < width);
  }
}

}  // namespace
}  // namespace topo
