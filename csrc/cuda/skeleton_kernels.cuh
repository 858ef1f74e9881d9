// skeleton: levels on chip, one block per image (s2d_levels.cuh), then their ridges; D is never stored.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_levels.cuh"
#include "cuda/s2d_thinning.cuh"
#include "skeleton.h"

namespace topo {
namespace {

// The maximum of each pixel of a line and its two neighbours; pixels outside the line are 0.
__device__ Line widen(const Line& line, const Neighbours& neighbours) {
  const uint32_t before = neighbours.before(line), after = neighbours.after(line);
  return {{__vimax3_u16x2(before, line.word[0], line.word[1]), __vimax3_u16x2(line.word[0], line.word[1], line.word[2]),
           __vimax3_u16x2(line.word[1], line.word[2], line.word[3]),
           __vimax3_u16x2(line.word[2], line.word[3], after)}};
}

// visit_ridges() for windows larger than 3 x 3, which are rare: pixel by pixel.
template <typename Visit>
__device__ __forceinline__ void visit_wide_ridges(const SkeletonParams& p, const LevelPlanes& planes,
                                                  const LevelMemory& memory, const Visit& visit) {
  const int32_t warps = blockDim.x / 32, height = planes.height;
  for (int32_t y = warp_index(); y < height; y += warps) {
    uint32_t word[2] = {0, 0};
    for (int half = 0; half < 2; ++half) {
      for (int k = 0; k < 4; ++k) {
        const int32_t x = 4 * lane_index() + 128 * half + k;
        if (x >= planes.width) continue;
        const uint16_t here = distance_at(planes, memory, y, x);
        int32_t peak = 0;
        visit_window(height, planes.width, p.ridges.radius, y, x, [&](int64_t i) {
          const int32_t level =
              thinning_depth(p.thinning, distance_at(planes, memory, static_cast<int32_t>(i / planes.width),
                                                     static_cast<int32_t>(i % planes.width)));
          peak = level > peak ? level : peak;
        });
        if (here && thinning_depth(p.thinning, here) == peak) word[half] |= 1u << 8 * k;
      }
    }
    visit(y, word[0], word[1]);
  }
}

// Ridges of the levels in the two planes, by the whole block. One warp calls visit(y, low, high) for each row, with the
// bytes of T, 0 or 1, of pixels 4 lane + {0..3} and 128 + 4 lane + {0..3}. The bytes of pixels outside the image are
// undefined. For a 3 x 3 window each warp takes consecutive rows and keeps three lines in registers, about 150
// instructions per 256 pixels.
template <typename Visit>
__device__ void visit_ridges(const SkeletonParams& p, const LevelPlanes& planes, const LevelMemory& memory,
                             const Visit& visit) {
  if (p.ridges.radius > 1) return visit_wide_ridges(p, planes, memory, visit);
  const int32_t warps = blockDim.x / 32, height = planes.height;
  const uint32_t cap = level_cap(p.thinning);
  const Neighbours neighbours(0);
  const int32_t run = (height + warps - 1) / warps, first = warp_index() * run;
  const int32_t last = first + run < height ? first + run : height;
  const Line nothing{{0, 0, 0, 0}};
  // The sweeps have also written the columns right of the image, so these pixels are masked.
  Line inside;
  for (int j = 0; j < 4; ++j) {
    const int32_t x = 4 * lane_index() + j;
    inside.word[j] = (x < planes.width ? 0xFFFFu : 0u) | (x + 128 < planes.width ? 0xFFFF0000u : 0u);
  }
  const auto line_at = [&](int32_t y) {
    if (y < 0 || y >= height) return nothing;
    Line line = distance_line(planes, memory, y, cap);
    for (int j = 0; j < 4; ++j) line.word[j] &= inside.word[j];
    return line;
  };
  if (first >= last) return;
  Line here = line_at(first), above = widen(line_at(first - 1), neighbours), middle = widen(here, neighbours);
  for (int32_t y = first; y < last; ++y) {
    const Line next = line_at(y + 1), below = widen(next, neighbours);
    Line rise;  // 0 on a ridge, 1 next to a higher level: adjacent levels differ by at most 1
    for (int j = 0; j < 4; ++j) {
      rise.word[j] = __vimax3_u16x2(above.word[j], middle.word[j], below.word[j]) - here.word[j];
    }
    uint32_t low, high, low_rise, high_rise;
    gather(here.word[0], here.word[1], here.word[2], here.word[3], low, high);
    gather(rise.word[0], rise.word[1], rise.word[2], rise.word[3], low_rise, high_rise);
    const auto ridge = [](uint32_t level, uint32_t rise) {  // byte by byte: level > 0 and no rise
      const uint32_t positive = ((level & 0x7F7F7F7Fu) + 0x7F7F7F7Fu) | level;
      return positive >> 7 & 0x01010101u & ~rise;
    };
    visit(y, ridge(low, low_rise), ridge(high, high_rise));
    above = middle, middle = below, here = next;
  }
}

// D, then T of one soft image; calls visit(i, t) for every pixel. `real` holds three planes: two for scratch, one for
// D.
template <typename T, typename Visit>
__device__ void soft_skeleton(const SkeletonParams& p, const T* mask, accumulate_t<T>* real, const Visit& visit) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels(), width = p.ridges.width;
  soft_thinning<Real>(p.thinning, mask, real, real + n, nullptr, real + 2 * n);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    visit(i, skeleton_pixel<Real>(p.ridges, real + 2 * n, static_cast<Real>(mask[i]), i / width, i % width));
  }
  __syncthreads();
}

// Float32 at 224 px, per pixel: 4 bytes read, 4 written, 59 thread instructions. sm_90: 80 registers, 24 bytes spilled
// outside the sweeps. Persistent blocks and soft images as in s2d_kernel.
template <typename T, typename Out>
__global__ void __launch_bounds__(kLevelThreads, 2)
    skeleton_kernel(const T* __restrict__ mask,          // [B, H, W]
                    Out* __restrict__ skeleton,          // [B, H, W]
                    accumulate_t<T>* __restrict__ real,  // [slots, 3, H, W] scratch, of floating masks
                    int64_t slots,                       //
                    int32_t* __restrict__ soft_images,   // [B], of floating masks
                    int64_t count, SkeletonParams p, LevelPlanes planes, bool fours) {
  const LevelMemory memory(dynamic_shared(), planes);
  const int64_t n = p.pixels();
  bool soft = read_bits(planes, mask + blockIdx.x * n, fours, false, memory.bits);
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const int64_t next = image + gridDim.x;
    Out* target = skeleton + image * n;
    lay_planes(planes, memory);
    int next_soft = 0;
    sweep(planes, memory, [&](int half) {
      if (next < count) next_soft |= read_bits_meanwhile(planes, mask + next * n, fours, false, half, memory.bits);
    });
    if (!soft) {
      visit_ridges(p, planes, memory, [&](int32_t y, uint32_t low, uint32_t high) {
        Four<Out> near, far;
        for (int k = 0; k < 4; ++k) {
          near.value[k] = static_cast<Out>(static_cast<float>(low >> 8 * k & 1));
          far.value[k] = static_cast<Out>(static_cast<float>(high >> 8 * k & 1));
        }
        store_four(target + int64_t(y) * planes.width, 4 * lane_index(), planes.width, fours, near);
        store_four(target + int64_t(y) * planes.width, 4 * lane_index() + 128, planes.width, fours, far);
      });
    }
    if constexpr (!std::is_same_v<T, uint8_t>) {
      if (soft && blockIdx.x < slots) {
        soft_skeleton(p, mask + image * n, real + 3 * n * blockIdx.x,
                      [&](int64_t i, accumulate_t<T> t) { target[i] = static_cast<Out>(t); });
      }
      if (threadIdx.x == 0) soft_images[image] = soft && blockIdx.x >= slots;
    }
    soft = __syncthreads_or(next_soft);
  }
}

// The soft images that skeleton_kernel has marked.
template <typename T, typename Out>
__global__ void skeleton_soft_kernel(const T* __restrict__ mask,               // [B, H, W]
                                     Out* __restrict__ skeleton,               // [B, H, W]
                                     accumulate_t<T>* __restrict__ real,       // [gridDim.x, 3, H, W] scratch
                                     const int32_t* __restrict__ soft_images,  // [B]
                                     int64_t count, SkeletonParams p) {
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    if (!soft_images[image]) continue;
    soft_skeleton(p, mask + image * n, real + 3 * n * blockIdx.x,
                  [&](int64_t i, accumulate_t<T> t) { skeleton[image * n + i] = static_cast<Out>(t); });
  }
}

// Large images: T from the levels in global memory, one thread per pixel. The mask is not needed, since a level is 0
// exactly on background.
template <typename Out>
__global__ void ridges_kernel(const uint16_t* __restrict__ levels,  // [B, H, W]
                              Out* __restrict__ skeleton,           // [B, H, W]
                              int64_t count, D2tParams p) {
  const int64_t n = p.pixels(), total = count * n, step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += step) {
    const int64_t image = i / n, pixel = i - image * n, y = pixel / p.width, x = pixel - y * p.width;
    const uint16_t *plane = levels + image * n, here = plane[pixel];
    uint16_t peak = 0;
    visit_window(p.height, p.width, p.radius, y, x, [&](int64_t j) { peak = plane[j] > peak ? plane[j] : peak; });
    skeleton[i] = static_cast<Out>(static_cast<float>(here > 0 && here == peak));
  }
}

}  // namespace
}  // namespace topo
