// One block per image: 16 bytes read per pixel (float32), a tree of a fixed shape adds up.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "chamfer.h"
#include "dtypes.h"

namespace topo {
namespace {

constexpr int kMaxThreads = 512;

// blockDim.x is a power of two, at most kMaxThreads.
template <typename T>
__global__ void chamfer_kernel(const T* __restrict__ pred,             // [B, H, W]
                               const T* __restrict__ target,           // [B, H, W]
                               const T* __restrict__ pred_distance,    // [B, H, W]
                               const T* __restrict__ target_distance,  // [B, H, W]
                               accumulate_t<T>* __restrict__ pull,     // [B]
                               accumulate_t<T>* __restrict__ push,     // [B]
                               int64_t count, int64_t pixels) {
  using Real = accumulate_t<T>;
  __shared__ double sums[2][kMaxThreads];
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    double pulled = 0, pushed = 0;
    for (int64_t i = image * pixels + threadIdx.x; i < (image + 1) * pixels; i += blockDim.x) {
      pulled +=
          static_cast<double>(static_cast<Real>(pred_distance[i])) * static_cast<double>(static_cast<Real>(target[i]));
      pushed +=
          static_cast<double>(static_cast<Real>(target_distance[i])) * static_cast<double>(static_cast<Real>(pred[i]));
    }
    sums[0][threadIdx.x] = pulled;
    sums[1][threadIdx.x] = pushed;
    __syncthreads();
    for (unsigned int half = blockDim.x / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) {
        sums[0][threadIdx.x] += sums[0][threadIdx.x + half];
        sums[1][threadIdx.x] += sums[1][threadIdx.x + half];
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      pull[image] = static_cast<Real>(sums[0][0]);
      push[image] = static_cast<Real>(sums[1][0]);
    }
    __syncthreads();
  }
}

}  // namespace
}  // namespace topo
