// One thread per pixel; the windows are read through L1. The math is csrc/d2t.h's, which the CPU tests cover.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "d2t.h"
#include "dtypes.h"

namespace topo {
namespace {

template <typename T>
__global__ void ridge_kernel(const T* __restrict__ grad,            // [B, H, W]
                             const T* __restrict__ distance,        // [B, H, W]
                             const T* __restrict__ mask,            // [B, H, W]
                             const T* __restrict__ skeleton,        // [B, H, W]
                             accumulate_t<T>* __restrict__ passed,  // [B, H, W]
                             accumulate_t<T>* __restrict__ taken,   // [B, H, W]
                             int64_t* __restrict__ argmax,          // [B, H, W]
                             T* __restrict__ grad_mask,             // [B, H, W]
                             int64_t total, D2tParams p, bool literal) {
  using Real = accumulate_t<T>;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels(), pixel = i - image * p.pixels(), offset = image * p.pixels();
    const auto result = ridge_pixel(p, literal, distance + offset, skeleton + offset, static_cast<Real>(mask[i]),
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
