// One thread per pixel; the windows are read through L1. The math is csrc/d2t.h's, which the CPU tests cover.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "d2t.h"
#include "dtypes.h"

namespace topo {
namespace {

// 12 bytes per pixel (float32: D and S read, T written), 9 reads of D from L1 for p = 3.
template <typename T>
__global__ void d2t_kernel(const T* __restrict__ distance,  // [B, H, W]
                           const T* __restrict__ mask,      // [B, H, W]
                           T* __restrict__ skeleton,        // [B, H, W]
                           int64_t total, D2tParams p) {
  using Real = accumulate_t<T>;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels();
    const Real inside = static_cast<Real>(mask[i]);
    const Real value = inside == Real(0) ? Real(0)
                                         : skeleton_pixel<Real>(p, distance + image * p.pixels(), inside,
                                                                pixel / p.width, pixel % p.width);
    skeleton[i] = static_cast<T>(value);
  }
}

}  // namespace
}  // namespace topo
