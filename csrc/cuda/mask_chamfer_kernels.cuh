// mask_chamfer: from a mask to its two sums without leaving the chip, one block per image (s2d_levels.cuh).
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/chamfer_sums.cuh"
#include "cuda/skeleton_kernels.cuh"
#include "mask_chamfer.h"

namespace topo {
namespace {

// The sums of one image whose D_out is in the planes. X is 1 where D_out is 0.
template <typename M>
__device__ PairSum plane_sums(const S2dParams& p, const LevelPlanes& planes, const LevelMemory& memory, const M* target,
                              const M* target_distance, bool fours) {
  using Real = accumulate_t<M>;
  const int32_t width = planes.width, warps = blockDim.x / 32;
  const uint32_t cap = level_cap(p);
  PairSum sum;
  for (int32_t y = warp_index(); y < planes.height; y += warps) {
    const Line line = distance_line(planes, memory, y, cap);
    for (int half = 0; half < 2; ++half) {
      const int32_t x = 4 * lane_index() + 128 * half;
      Four<Real> out, inside;
      for (int j = 0; j < 4; ++j) {
        const uint32_t distance = line.word[j] >> 16 * half & 255;
        out.value[j] = static_cast<Real>(distance == kFarByte ? p.iterations + 1 : static_cast<int32_t>(distance));
        inside.value[j] = distance == 0 ? Real(1) : Real(0);
      }
      sum.pull += dot(out, accumulable(load_four(target + int64_t(y) * width, x, width, fours)));
      sum.push += dot(inside, accumulable(load_four(target_distance + int64_t(y) * width, x, width, fours)));
    }
  }
  return sum;
}

// The sums of one soft image by the recursion. `real` holds three planes.
template <typename T, typename M>
__device__ PairSum soft_sums(const SkeletonParams& p, bool skeletons, const T* pred, const M* target,
                             const M* target_distance, accumulate_t<T>* real) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  PairSum sum;
  const auto take = [&](int64_t i, Real x) {
    sum.push += static_cast<double>(target_distance[i]) * static_cast<double>(x);
    real[i] = Real(1) - x;
  };
  if (skeletons) {
    soft_skeleton(p, pred, real, take);
  } else {
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) take(i, static_cast<Real>(pred[i]));
    __syncthreads();
  }
  soft_thinning<Real>(p.thinning, real, real, real + n, nullptr, real + 2 * n);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    sum.pull += static_cast<double>(real[2 * n + i]) * static_cast<double>(target[i]);
  }
  return sum;
}

// Float32 at 224 px, per pixel: 12 bytes read; 107 thread instructions with skeletons, 62 without. sm_90: 80 registers,
// 32 bytes spilled outside the sweeps. Persistent blocks and soft images as in s2d_kernel. With skeletons there is a
// second sweep, whose mask bits are those of 1 - T.
template <typename T, typename M>
__global__ void __launch_bounds__(kLevelThreads, 2)
    mask_chamfer_kernel(const T* __restrict__ pred,             // [B, H, W]
                        const M* __restrict__ target,           // [B, H, W]
                        const M* __restrict__ target_distance,  // [B, H, W]
                        Sums<accumulate_t<T>> sums,             //
                        accumulate_t<T>* __restrict__ real,     // [slots, 3, H, W] scratch, of floating masks
                        int64_t slots,                          //
                        int32_t* __restrict__ soft_images,      // [B], of floating masks
                        int64_t count, SkeletonParams p, bool skeletons, LevelPlanes planes, bool fours) {
  const LevelMemory memory(dynamic_shared(), planes);
  const int64_t n = p.pixels();
  bool soft = read_bits(planes, pred + blockIdx.x * n, fours, !skeletons, memory.bits);
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const int64_t next = image + gridDim.x, offset = image * n;
    lay_planes(planes, memory);
    if (skeletons) {
      sweep(planes, memory, [](int) {});
      visit_ridges(p, planes, memory, [&](int32_t y, uint32_t low, uint32_t high) {
        const auto bits = [](uint32_t bytes) { return bytes * 0x01020408u >> 24 & 15u; };  // bit 0 of byte k to bit k
        memory.bits[y * 32 + lane_index()] = row_bits(planes, bits(low) ^ 15u, bits(high) ^ 15u);
      });
      __syncthreads();
      lay_planes(planes, memory);
    }
    int next_soft = 0;
    sweep(planes, memory, [&](int half) {
      if (next >= count) return;
      next_soft |= read_bits_meanwhile(planes, pred + next * n, fours, !skeletons, half, memory.bits);
    });
    if (!soft) {
      const PairSum mine = plane_sums(p.thinning, planes, memory, target + offset, target_distance + offset, fours);
      sums.write(image, 0, block_sum(mine));
    }
    if constexpr (!std::is_same_v<T, uint8_t>) {
      if (soft && blockIdx.x < slots) {
        const PairSum mine = soft_sums(p, skeletons, pred + offset, target + offset, target_distance + offset,
                                       real + 3 * n * blockIdx.x);
        sums.write(image, 0, block_sum(mine));
      }
      if (threadIdx.x == 0) soft_images[image] = soft && blockIdx.x >= slots;
    }
    soft = __syncthreads_or(next_soft);
  }
}

// The soft images that mask_chamfer_kernel has marked.
template <typename T, typename M>
__global__ void mask_chamfer_soft_kernel(const T* __restrict__ pred,               // [B, H, W]
                                         const M* __restrict__ target,             // [B, H, W]
                                         const M* __restrict__ target_distance,    // [B, H, W]
                                         Sums<accumulate_t<T>> sums,               // of one chunk
                                         accumulate_t<T>* __restrict__ real,       // [gridDim.x, 3, H, W] scratch
                                         const int32_t* __restrict__ soft_images,  // [B]
                                         int64_t count, SkeletonParams p, bool skeletons) {
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    if (!soft_images[image]) continue;
    const PairSum mine = soft_sums(p, skeletons, pred + image * n, target + image * n, target_distance + image * n,
                                   real + 3 * n * blockIdx.x);
    sums.write(image, 0, block_sum(mine));
    __syncthreads();
  }
}

// Large images: the sums from D_out in global memory, one block per chunk.
template <typename M, typename Real>
__global__ void level_sums_kernel(const uint16_t* __restrict__ levels,    // [B, H, W]
                                  const M* __restrict__ target,           // [B, H, W]
                                  const M* __restrict__ target_distance,  // [B, H, W]
                                  Sums<Real> sums, int64_t pixels) {
  const int64_t image = blockIdx.x / sums.chunks, chunk = blockIdx.x % sums.chunks, offset = image * pixels;
  const int64_t first = chunk * kChunk, last = first + kChunk < pixels ? first + kChunk : pixels;
  PairSum sum;
  for (int64_t i = offset + first + threadIdx.x; i < offset + last; i += blockDim.x) {
    sum.pull += static_cast<double>(levels[i]) * static_cast<double>(target[i]);
    if (levels[i] == 0) sum.push += static_cast<double>(target_distance[i]);
  }
  sums.write(image, chunk, block_sum(sum));
}

}  // namespace
}  // namespace topo
