// One block per image. Arithmetic and bytes are next to each kernel; the math is csrc/s2d.h's, which the
// CPU tests cover. Not tuned: see the CPU kernels for the O(1) per pixel form.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_backward_kernels.cuh"
#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

// Bytes per pixel (float32): 4 read, 4 written, and 5 of scratch written and read through L2.
template <typename T, typename Out>
__global__ void s2d_kernel(const T* __restrict__ mask,          // [B, H, W]
                           uint8_t* __restrict__ foreground,    // [B, H, W] scratch
                           uint16_t* __restrict__ columns,      // [B, H, W] scratch
                           uint16_t* __restrict__ depth,        // [B, H, W] scratch
                           accumulate_t<T>* __restrict__ real,  // [B, 3, H, W] scratch, null for byte masks
                           Out* __restrict__ distance,          // [B, H, W]
                           int64_t count, S2dParams p) {
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const int64_t n = p.pixels(), offset = image * n;
    const bool soft = read_mask(mask + offset, n, foreground + offset);
    if (!soft) {
      binary_depth(p, foreground + offset, columns + offset, depth + offset);
      for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        distance[offset + i] = static_cast<Out>(static_cast<float>(depth[offset + i]));
      }
    } else {
      auto* a = real + 3 * offset;
      soft_thinning(p, mask + offset, a, a + n, depth + offset, a + 2 * n);
      __syncthreads();
      for (int64_t i = threadIdx.x; i < n; i += blockDim.x) distance[offset + i] = static_cast<Out>(a[2 * n + i]);
    }
    __syncthreads();
  }
}

}  // namespace
}  // namespace topo
