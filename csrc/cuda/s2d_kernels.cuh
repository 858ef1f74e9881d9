// s2d: levels on chip, one block per image (s2d_levels.cuh). Soft images, which are rare, go through the recursion.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_levels.cuh"
#include "cuda/s2d_thinning.cuh"

namespace topo {
namespace {

// D of one soft image by the recursion. `real` holds three planes.
template <typename T, typename Out>
__device__ void soft_s2d(const S2dParams& p, const T* mask, accumulate_t<T>* real, Out* distance) {
  auto* sum = real + 2 * p.pixels();
  soft_thinning<accumulate_t<T>>(p, mask, real, real + p.pixels(), nullptr, sum);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) distance[i] = static_cast<Out>(sum[i]);
  __syncthreads();
}

// Writes the levels in the two planes to global memory.
template <typename Out>
__device__ void write_levels(const S2dParams& p, const LevelPlanes& planes, const LevelMemory& memory, bool fours,
                             Out* distance) {
  const int32_t width = planes.width, warps = blockDim.x / 32, x = 4 * lane_index();
  const auto out = [](int32_t level) { return static_cast<Out>(static_cast<float>(level)); };
  if (!level_is_distance(p)) {
    for (int32_t y = warp_index(); y < planes.height; y += warps) {
      for (int32_t u = lane_index(); u < width; u += 32) {
        distance[y * width + u] = out(level_at(p, planes, memory, y, u));
      }
    }
    return;
  }
  const uint32_t cap = level_cap(p);
#pragma unroll 2
  for (int32_t y = warp_index(); y < planes.height; y += warps) {
    const Line line = distance_line(planes, memory, y, cap);
    Four<Out> low, high;
    for (int j = 0; j < 4; ++j) {
      low.value[j] = out(static_cast<int32_t>(line.word[j] & 255));
      high.value[j] = out(static_cast<int32_t>(line.word[j] >> 24));
    }
    store_four(distance + y * width, x, width, fours, low);
    store_four(distance + y * width, x + 128, width, fours, high);
  }
}

// Float32 at 224 px, per pixel: 4 bytes read, 4 written, 43 thread instructions. A persistent block reads the next mask
// while it sweeps, so that the loads of one image overlap with the sweeps and stores of others. sm_90: 76 registers, no
// spills. A block below `slots` computes its soft images itself; the others mark them for s2d_soft_kernel.
template <typename T, typename Out>
__global__ void __launch_bounds__(kLevelThreads, 2)
    s2d_kernel(const T* __restrict__ mask,          // [B, H, W]
               Out* __restrict__ distance,          // [B, H, W]
               accumulate_t<T>* __restrict__ real,  // [slots, 3, H, W] scratch, of floating masks
               int64_t slots,                       //
               int32_t* __restrict__ soft_images,   // [B], of floating masks
               int64_t count, S2dParams p, LevelPlanes planes, bool fours) {
  const LevelMemory memory(dynamic_shared(), planes);
  const int64_t n = p.pixels();
  bool soft = read_bits(planes, mask + blockIdx.x * n, fours, false, memory.bits);
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const int64_t next = image + gridDim.x;
    lay_planes(planes, memory);
    int next_soft = 0;
    sweep(planes, memory, [&](int half) {
      if (next < count) next_soft |= read_bits_meanwhile(planes, mask + next * n, fours, false, half, memory.bits);
    });
    if (!soft) write_levels(p, planes, memory, fours, distance + image * n);
    if constexpr (!std::is_same_v<T, uint8_t>) {
      if (soft && blockIdx.x < slots) soft_s2d(p, mask + image * n, real + 3 * n * blockIdx.x, distance + image * n);
      if (threadIdx.x == 0) soft_images[image] = soft && blockIdx.x >= slots;
    }
    soft = __syncthreads_or(next_soft);
  }
}

// The soft images that s2d_kernel has marked.
template <typename T, typename Out>
__global__ void s2d_soft_kernel(const T* __restrict__ mask,               // [B, H, W]
                                Out* __restrict__ distance,               // [B, H, W]
                                accumulate_t<T>* __restrict__ real,       // [gridDim.x, 3, H, W] scratch
                                const int32_t* __restrict__ soft_images,  // [B]
                                int64_t count, S2dParams p) {
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    if (soft_images[image]) soft_s2d(p, mask + image * n, real + 3 * n * blockIdx.x, distance + image * n);
  }
}

}  // namespace
}  // namespace topo
