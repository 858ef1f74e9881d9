// Backward of skeleton: the levels are computed again, then the backward of d2t, then that of s2d. On chip for the
// subgradient of binary images with 3 x 3 pools; otherwise pixel by pixel, by the functions of d2t.h, in global
// scratch. Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_backward_kernels.cuh"
#include "skeleton.h"

namespace topo {
namespace {

// ---- on chip ----

// Replaces the mask bits by those of T, from the framed levels.
__device__ void mark_ridges(const ChipMemory& chip) {
  const FramedPlane plane = chip.framed();
  uint8_t* bits = chip.levels().bits;
  for (int32_t y = warp_index(); y < plane.height; y += blockDim.x / 32) {
    uint32_t byte = 0;
    for (int32_t k = 0; k < 8; ++k) {
      const int32_t x = 4 * lane_index() + k % 4 + k / 4 * 128;
      if (x >= plane.width) continue;
      const int32_t level = plane.at(y, x);
      bool ridge = level > 0;
      if (ridge) {
        plane.around(y, x, [&](int32_t there, int32_t, int32_t) {
          ridge &= there != level + 1 || there == FramedPlane::kOutside;
        });
      }
      byte |= static_cast<uint32_t>(ridge) << k;
    }
    bits[y * 32 + lane_index()] = static_cast<uint8_t>(byte);
  }
  __syncthreads();
}

__device__ bool ridge_at(const uint8_t* bits, int32_t y, int32_t x) {
  return bits[y * 32 + x % 128 / 4] >> (x % 4 + x / 128 * 4) & 1;
}

// The subgradient of a binary image from its framed levels; upstream(i) is dL/dT. The steps are: T as bits; for each
// pixel that passes a gradient on, a byte with the number of maxima in its window and whether they are higher than the
// pixel; dL/dD into `grad`; the route; on ridges, the direct gradient of the mask.
template <typename Real, typename Upstream>
__device__ void skeleton_route_image(const S2dParams& p, const ChipMemory& chip, const Upstream& upstream, Real* grad) {
  constexpr uint32_t kHigher = 16;
  const FramedPlane plane = chip.framed();
  const int32_t height = plane.height, width = plane.width;
  const uint8_t* bits = chip.levels().bits;
  auto* maxima = reinterpret_cast<uint8_t*>(chip.list().pixels);
  mark_ridges(chip);

  for_pixels(height, width, [&](int32_t y, int32_t x) {
    const int32_t level = plane.at(y, x);
    if (level == 0) return;
    uint32_t higher = 0, same = 1;
    bool near_ridge = false;
    plane.around(y, x, [&](int32_t there, int32_t v, int32_t u) {
      if (there == FramedPlane::kOutside) return;
      higher += there == level + 1;
      same += there == level;
      near_ridge |= ridge_at(bits, v, u);
    });
    maxima[y * width + x] = static_cast<uint8_t>(!higher ? same : near_ridge ? higher | kHigher : 0);
  });
  __syncthreads();

  for_pixels(height, width, [&](int32_t y, int32_t x) {
    const int32_t level = plane.at(y, x), here = y * width + x;
    if (level == 0) return;
    const auto taken = [&](int32_t i, uint32_t from_lower) {
      const uint32_t code = maxima[i];
      return code && (code & kHigher) == from_lower ? upstream(i) / static_cast<Real>(code & (kHigher - 1)) : Real(0);
    };
    Real sum = (maxima[here] ? upstream(here) : Real(0)) - taken(here, 0);
    plane.around(y, x, [&](int32_t there, int32_t v, int32_t u) {
      if (there == level) sum -= taken(v * width + u, 0);
      if (there == level - 1 && there > 0) sum -= taken(v * width + u, kHigher);
    });
    grad[here] = sum;
  });
  __syncthreads();

  route_image(p, plane, chip.list(), [&](int32_t i) { return grad[i]; }, grad);
  for_pixels(height, width, [&](int32_t y, int32_t x) {
    if (ridge_at(bits, y, x)) grad[y * width + x] += upstream(y * width + x);
  });
  __syncthreads();
}

// The same bytes per pixel as s2d_route_kernel, and an estimated 300 more instructions per foreground pixel. 80
// registers; 88 bytes spilled on sm_80, none on sm_90 and sm_120.
template <typename Real>
__global__ void __launch_bounds__(kLevelThreads, 2)
    skeleton_route_kernel(const Real* __restrict__ grad,  // [B, H, W]
                          const Real* __restrict__ mask,  // [B, H, W]
                          uint8_t* __restrict__ soft,     // [B], set for images that are left to the next kernel
                          Real* grad_mask,                // [B, H, W]
                          int64_t count, LevelPlanes planes, S2dParams p, bool fours) {
  Room room{dynamic_shared()};
  const ChipMemory chip(planes, room);
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const Real *upstream = grad + image * n, *pixels = mask + image * n;
    const bool is_soft = read_bits(planes, pixels, fours, false, chip.levels().bits);
    if (threadIdx.x == 0) soft[image] = is_soft;
    if (is_soft) continue;
    chip.fill(p, Prefetch<Real>{chip, upstream});
    skeleton_route_image(p, chip, [&](int32_t i) { return upstream[i]; }, grad_mask + image * n);
  }
}

// ---- any image ----

// Scratch of a block: 38 bytes per pixel in float32.
template <typename Real>
struct SkeletonRoom {
  SkeletonParams p;
  AdjointRoom<Real> thinning;
  Real *distance, *skeleton, *passed, *taken;
  int64_t* argmax;

  TOPO_HOST_DEVICE SkeletonRoom(const SkeletonParams& params, Room& room)
      : p(params),
        thinning(p.thinning, room),
        distance(room.take<Real>(p.pixels())),
        skeleton(room.take<Real>(p.pixels())),
        passed(room.take<Real>(p.pixels())),
        taken(room.take<Real>(p.pixels())),
        argmax(room.take<int64_t>(p.pixels())) {}

  // Calls visit(i, y, x) for every pixel, followed by a barrier.
  template <typename Visit>
  __device__ void each(const Visit& visit) const {
    const int64_t width = p.thinning.width;
    for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) visit(i, i / width, i % width);
    __syncthreads();
  }

  // Computes D and T. Returns whether the backward of the thinning must use the adjoint.
  template <typename T>
  __device__ bool forward(const T* mask, bool literal) {
    const bool adjoint = thinning.thin(mask, literal, distance);
    each([&](int64_t i, int64_t y, int64_t x) {
      skeleton[i] = skeleton_pixel<Real>(p.ridges, distance, static_cast<Real>(mask[i]), y, x);
    });
    return adjoint;
  }

  template <typename T, typename Upstream>
  __device__ void backward(const T* mask, bool literal, const Upstream& upstream, Real* grad) {
    const bool adjoint = forward(mask, literal);
    each([&](int64_t i, int64_t y, int64_t x) {
      const auto ridge =
          ridge_pixel(p.ridges, literal, distance, skeleton, static_cast<Real>(mask[i]), upstream(i), y, x);
      passed[i] = ridge.passed;
      taken[i] = ridge.taken;
      argmax[i] = ridge.argmax;
      grad[i] = ridge.mask_grad;
    });
    Real* grad_distance = skeleton;
    each([&](int64_t i, int64_t y, int64_t x) {
      grad_distance[i] = distance_grad_pixel(p.ridges, literal, distance, passed, taken, argmax, y, x);
    });
    thinning.backward(adjoint, [&](int32_t i) { return grad_distance[i]; }, distance);
    each([&](int64_t i, int64_t, int64_t) { grad[i] += distance[i]; });
  }
};

// Soft images, or all images if `soft` is null.
template <typename Real>
__global__ void skeleton_backward_kernel(const Real* __restrict__ grad,     // [B, H, W]
                                         const Real* __restrict__ mask,     // [B, H, W]
                                         uint8_t* scratch,                  // [gridDim, block_bytes]
                                         int64_t block_bytes,               //
                                         const uint8_t* __restrict__ soft,  // [B] or null
                                         Real* grad_mask,                   // [B, H, W]
                                         int64_t count, SkeletonParams p, bool literal) {
  Room room{scratch + blockIdx.x * block_bytes};
  SkeletonRoom<Real> work(p, room);
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    if (soft && !soft[image]) continue;
    const Real* upstream = grad + image * n;
    work.backward(mask + image * n, literal, [&](int64_t i) { return upstream[i]; }, grad_mask + image * n);
  }
}

}  // namespace
}  // namespace topo
