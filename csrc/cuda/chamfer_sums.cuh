// Sums over a block in a fixed order.

#pragma once

#include "cuda/four.cuh"
#include "dtypes.h"

namespace topo {
namespace {

// A pair of sums over the whole block. Thread 0 gets the result: the lanes of each warp are added by halves, then the
// warps in order. blockDim.x is at most 1024 and a multiple of 32.
struct PairSum {
  double pull = 0, push = 0;
};

__device__ PairSum block_sum(PairSum sum) {
  __shared__ PairSum of_warp[32];
  for (int bit = 16; bit > 0; bit /= 2) {
    sum.pull += __shfl_xor_sync(0xFFFFFFFFu, sum.pull, bit);
    sum.push += __shfl_xor_sync(0xFFFFFFFFu, sum.push, bit);
  }
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (unsigned int w = 1; w < blockDim.x / 32; ++w) {
      sum.pull += of_warp[w].pull;
      sum.push += of_warp[w].push;
    }
  }
  __syncthreads();
  return sum;
}

// Where a block writes its sums: one value per image or, if images are divided into chunks, a row of partial sums.
constexpr int64_t kChunk = 65536;  // pixels

template <typename Real>
struct Sums {
  Real *pull, *push;  // [B]
  PairSum* partial;   // [B, chunks], unused for one chunk
  int64_t chunks;

  // The sums of the images from `first` on.
  Sums from(int64_t first) const {
    return {pull + first, push + first, partial + first * chunks, chunks};
  }

  __device__ void write(int64_t image, int64_t chunk, const PairSum& sum) const {
    if (threadIdx.x > 0) return;
    if (chunks > 1) {
      partial[image * chunks + chunk] = sum;
    } else {
      pull[image] = static_cast<Real>(sum.pull);
      push[image] = static_cast<Real>(sum.push);
    }
  }
};

// Adds up the chunks of each image, one thread per image.
template <typename Real>
__global__ void add_chunks_kernel(Sums<Real> sums, int64_t count) {
  const int64_t image = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (image >= count) return;
  PairSum total;
  for (int64_t chunk = 0; chunk < sums.chunks; ++chunk) {
    total.pull += sums.partial[image * sums.chunks + chunk].pull;
    total.push += sums.partial[image * sums.chunks + chunk].push;
  }
  sums.pull[image] = static_cast<Real>(total.pull);
  sums.push[image] = static_cast<Real>(total.push);
}

// Four pixels in the precision in which four products are added: double for double, float32 otherwise.
template <typename T>
__device__ Four<accumulate_t<T>> accumulable(const Four<T>& pixels) {
  Four<accumulate_t<T>> result;
  for (int k = 0; k < 4; ++k) result.value[k] = static_cast<accumulate_t<T>>(pixels.value[k]);
  return result;
}

template <typename Real>
__device__ double dot(const Four<Real>& a, const Four<Real>& b) {
  const Real low = a.value[0] * b.value[0] + a.value[1] * b.value[1];
  const Real high = a.value[2] * b.value[2] + a.value[3] * b.value[3];
  return static_cast<double>(low + high);
}

}  // namespace
}  // namespace topo
