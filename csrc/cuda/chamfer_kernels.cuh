// chamfer: one block per image or, in larger images, per 65536 pixels; chamfer_sums.cuh adds the sums.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "chamfer.h"
#include "cuda/chamfer_sums.cuh"

namespace topo {
namespace {

constexpr int kChamferThreads = 512;

// Float32, per pixel: 16 bytes read, about 20 thread instructions; sm_90: 46 registers.
template <typename T>
__global__ void __launch_bounds__(kChamferThreads, 2)
    chamfer_kernel(const T* __restrict__ pred,             // [B, H, W]
                   const T* __restrict__ target,           // [B, H, W]
                   const T* __restrict__ pred_distance,    // [B, H, W]
                   const T* __restrict__ target_distance,  // [B, H, W]
                   Sums<accumulate_t<T>> sums, int32_t pixels, bool fours) {
  const int64_t image = blockIdx.x / sums.chunks, chunk = blockIdx.x % sums.chunks, offset = image * pixels;
  const int64_t first = chunk * kChunk, last = first + kChunk < pixels ? first + kChunk : pixels;
  PairSum sum;
#pragma unroll 2
  for (int32_t i = static_cast<int32_t>(first) + 4 * threadIdx.x; i < last; i += 4 * blockDim.x) {
    const auto a = accumulable(load_four(pred_distance + offset, i, pixels, fours));
    const auto b = accumulable(load_four(target + offset, i, pixels, fours));
    const auto c = accumulable(load_four(target_distance + offset, i, pixels, fours));
    const auto d = accumulable(load_four(pred + offset, i, pixels, fours));
    sum.pull += dot(a, b);
    sum.push += dot(c, d);
  }
  sums.write(image, chunk, block_sum(sum));
}

}  // namespace
}  // namespace topo
