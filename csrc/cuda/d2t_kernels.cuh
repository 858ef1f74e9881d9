// d2t: for a 3 x 3 window, a thread walks down eight rows of four columns; for wider windows, one thread per pixel.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include <cmath>

#include "cuda/four.cuh"
#include "d2t.h"
#include "dtypes.h"

namespace topo {
namespace {

constexpr int kD2tThreads = 224;  // 7 blocks take an image of 224 px
constexpr int32_t kD2tRows = 8;

template <typename Real>
__device__ Real larger(Real a, Real b) {
  return a > b ? a : b;
}

// 3 x 3 window. Float32, per pixel: 12 bytes (D and S read, T written; the rows and columns next to a thread's pixels
// come from L1 or L2), about 25 thread instructions; sm_90: 70 registers. blockIdx.x is over tiles, blockIdx.y over
// images.
template <typename T>
__global__ void __launch_bounds__(kD2tThreads) d2t_kernel(const T* __restrict__ distance,  // [B, H, W]
                                                          const T* __restrict__ mask,      // [B, H, W]
                                                          T* __restrict__ skeleton,        // [B, H, W]
                                                          int64_t count, int32_t height, int32_t width, bool fours) {
  using Real = accumulate_t<T>;
  const uint32_t tile = blockIdx.x * blockDim.x + threadIdx.x, words = (width + 3) / 4;
  const int32_t x = static_cast<int32_t>(4 * (tile % words)), first = static_cast<int32_t>(tile / words) * kD2tRows;
  if (first >= height) return;
  for (int64_t image = blockIdx.y; image < count; image += gridDim.y) {
    const int64_t offset = image * height * width;
    // A row of the tile, and for each pixel the maximum over it and its two neighbours; the border is repeated.
    struct Row {
      Real value[4], peak[4];
    };
    const auto row_at = [&](int32_t y) {
      const T* row = distance + offset + int64_t(y < 0 ? 0 : y < height ? y : height - 1) * width;
      const Four<T> four = load_four(row, x, width, fours);
      Row result;
      Real line[6];
      line[0] = static_cast<Real>(row[x > 0 ? x - 1 : 0]);
      line[5] = static_cast<Real>(row[x + 4 < width ? x + 4 : width - 1]);
      for (int k = 0; k < 4; ++k) {
        result.value[k] = static_cast<Real>(four.value[k]);
        line[k + 1] = x + k < width ? result.value[k] : line[5];
      }
      for (int k = 0; k < 4; ++k) result.peak[k] = larger(line[k], larger(line[k + 1], line[k + 2]));
      return result;
    };
    Row above = row_at(first - 1), here = row_at(first);
#pragma unroll
    for (int32_t r = 0; r < kD2tRows; ++r) {
      const int32_t y = first + r;
      if (y >= height) break;
      const Row below = row_at(y + 1);
      const int64_t start = offset + int64_t(y) * width;
      const Four<T> inside = load_four(mask + start, x, width, fours);
      Four<T> result;
      for (int k = 0; k < 4; ++k) {
        const Real peak = larger(above.peak[k], larger(here.peak[k], below.peak[k]));
        const Real z = here.value[k] - peak + Real(1);
        result.value[k] = static_cast<T>(z > Real(0) ? z * static_cast<Real>(inside.value[k]) : Real(0));
        if (may_be_rounded<T>(peak, height, width)) result.value[k] = static_cast<T>(NAN);
      }
      store_four(skeleton + start, x, width, fours, result);
      above = here, here = below;
    }
  }
}

// Any window: (2 r + 1)^2 reads of D from L1.
template <typename T>
__global__ void d2t_window_kernel(const T* __restrict__ distance,  // [B, H, W]
                                  const T* __restrict__ mask,      // [B, H, W]
                                  T* __restrict__ skeleton,        // [B, H, W]
                                  int64_t total, D2tParams p) {
  using Real = accumulate_t<T>;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels();
    const Real inside = static_cast<Real>(mask[i]);
    const T* plane = distance + image * p.pixels();
    const int64_t y = pixel / p.width, x = pixel % p.width;
    const Real value = inside == Real(0) ? Real(0) : skeleton_pixel<Real>(p, plane, inside, y, x);
    skeleton[i] = static_cast<T>(value);
    if constexpr (kRounds<T>) {
      const auto peak = static_cast<Real>(plane[argmax_pixel<Real>(p, plane, y, x)]);
      if (may_be_rounded<T>(peak, p.height, p.width)) skeleton[i] = static_cast<T>(NAN);
    }
  }
}

}  // namespace
}  // namespace topo
