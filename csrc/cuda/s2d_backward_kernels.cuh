// One block per image. Arithmetic and bytes are next to each kernel; the math is csrc/s2d.h's, which the
// CPU tests cover. Not tuned: see the CPU kernels for the O(1) per pixel form.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/thinning.cuh"
#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

// Foreground bytes of one image, and whether any value is neither 0 nor 1.
template <typename T>
__device__ bool read_mask(const T* mask, int64_t count, uint8_t* foreground) {
  int soft = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    const auto value = static_cast<accumulate_t<T>>(mask[i]);
    foreground[i] = value != 0;
    if constexpr (!std::is_same_v<T, uint8_t>) soft |= value != 0 && value != 1;
  }
  return __syncthreads_or(soft);
}

// Chessboard distance along columns, then the nearest along rows: max(|dx|, column distance at x + dx).
// The search stops at the distance found, so a pixel costs min(d, W) reads of its row, which stay in L1.
__device__ void column_distances(const S2dParams& p, const uint8_t* foreground, uint16_t* columns) {
  const uint16_t border = p.black_border ? 0 : kFar;
  for (int64_t x = threadIdx.x; x < p.width; x += blockDim.x) {
    uint16_t run = border;
    for (int64_t y = 0; y < p.height; ++y) {
      const int64_t i = y * p.width + x;
      run = foreground[i] ? static_cast<uint16_t>(run + (run != kFar)) : 0;
      columns[i] = run;
    }
    run = border;
    for (int64_t y = p.height - 1; y >= 0; --y) {
      const int64_t i = y * p.width + x;
      run = foreground[i] ? static_cast<uint16_t>(run + (run != kFar)) : 0;
      if (run < columns[i]) columns[i] = run;
    }
  }
  __syncthreads();
}

__device__ void binary_depth(const S2dParams& p, const uint8_t* foreground, uint16_t* columns, uint16_t* depth) {
  column_distances(p, foreground, columns);
  for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
    const int64_t y = i / p.width, x = i - y * p.width;
    uint16_t level = static_cast<uint16_t>(thinning_depth(p, nearest_in_row(p, columns + y * p.width, x)));
    if (is_filled_hole(p, foreground, y, x)) level = 1;
    depth[i] = level;
  }
  __syncthreads();
}

template <typename Real>
__device__ void literal_backward(const S2dParams& p, const Real* upstream, const uint16_t* survivals, int32_t longest,
                                 Real* a, Real* b) {
  for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) a[i] = upstream[i];
  __syncthreads();
  Real* result = a;
  for (int32_t step = longest - 1; step >= 0; --step) {
    for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
      b[i] = literal_pixel(p, upstream, a, survivals, step, i / p.width, i % p.width);
    }
    __syncthreads();
    Real* swap = a;
    a = b;
    b = swap;
  }
  if (a != result) {  // leave it where the caller looks
    for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) result[i] = a[i];
    __syncthreads();
  }
}

template <typename Real>
__device__ void route_backward(const S2dParams& p, const Real* upstream, const uint16_t* depth, int32_t deepest,
                               Real* handed, Real* grad) {
  for (int32_t level = deepest; level >= 1; --level) {
    for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
      if (depth[i] != level) continue;
      const auto share = route_share(p, depth, handed, upstream[i], i / p.width, i % p.width);
      handed[i] = share.handed;
      grad[i] = share.kept;
    }
    __syncthreads();
  }
  for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
    if (depth[i] == 0) grad[i] = route_taken(p, depth, handed, 1, i / p.width, i % p.width);
  }
  __syncthreads();
}

__device__ int32_t block_max(const uint16_t* values, int64_t count) {
  __shared__ int32_t result;
  if (threadIdx.x == 0) result = 0;
  __syncthreads();
  int32_t mine = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) mine = values[i] > mine ? values[i] : mine;
  atomicMax(&result, mine);  // of integers: the order does not show
  __syncthreads();
  const int32_t all = result;
  __syncthreads();
  return all;
}

// Work per pixel: 9 reads a level for the pixels of that level, one depth read a level for the others.
template <typename T>
__global__ void s2d_backward_kernel(const T* __restrict__ grad,          // [B, H, W]
                                    const T* __restrict__ mask,          // [B, H, W]
                                    uint8_t* __restrict__ foreground,    // [B, H, W] scratch
                                    uint16_t* __restrict__ columns,      // [B, H, W] scratch
                                    uint16_t* __restrict__ depth,        // [B, H, W] scratch
                                    accumulate_t<T>* __restrict__ real,  // [B, 3, H, W] scratch
                                    T* __restrict__ grad_mask,           // [B, H, W]
                                    int64_t count, S2dParams p, bool literal) {
  using Real = accumulate_t<T>;
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const int64_t n = p.pixels(), offset = image * n;
    uint16_t* level = depth + offset;
    Real *upstream = real + 3 * offset, *a = upstream + n, *b = a + n;
    const bool soft = read_mask(mask + offset, n, foreground + offset);
    if (soft) {
      soft_thinning<Real>(p, mask + offset, a, b, level, nullptr);
    } else {
      binary_depth(p, foreground + offset, columns + offset, level);
    }
    const bool adjoint = soft || literal;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      upstream[i] = static_cast<Real>(grad[offset + i]);
      if (adjoint && !soft) level[i] -= foreground[offset + i];  // D - S: survivals
    }
    __syncthreads();
    const int32_t deepest = block_max(level, n);
    if (adjoint) {
      literal_backward(p, upstream, level, deepest, a, b);
    } else {
      route_backward(p, upstream, level, deepest, b, a);
    }
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) grad_mask[offset + i] = static_cast<T>(a[i]);
    __syncthreads();
  }
}

}  // namespace
}  // namespace topo
