// The thinning recursion of eq. 2 on one soft image, by one block. The math is csrc/s2d.h's.

#pragma once

#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

// S_0 into a; then thinning steps until nothing is left. D into out and the steps that each pixel survives into
// survivals, where they are wanted. All of [H, W].
template <typename Real, typename T>
__device__ void soft_thinning(const S2dParams& p, const T* mask, Real* a, Real* b, uint16_t* survivals, Real* out) {
  for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
    a[i] = static_cast<Real>(mask[i]);
    if (survivals) survivals[i] = 0;
    if (out) out[i] = a[i];
  }
  int alive = __syncthreads_or(1);
  for (int32_t step = 0; step < p.iterations && alive; ++step) {
    int mine = 0;
    for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
      const Real value = thin_pixel(p, a, i / p.width, i % p.width);
      b[i] = value;
      if (value > Real(0)) {
        mine = 1;
        if (survivals) ++survivals[i];
        if (out) out[i] += value;
      }
    }
    alive = __syncthreads_or(mine);
    Real* swap = a;
    a = b;
    b = swap;
  }
}

}  // namespace
}  // namespace topo
