// The thinning recursion of eq. 2 on one soft image, by one block. The formulas are in csrc/s2d.h.

#pragma once

#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

// Copies the mask to `a`, then thins it until nothing is left. Writes D to `out` and the number of steps that each
// pixel survives to `survivals`, unless they are null. All arrays are [H, W].
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
