// Backward of s2d, one block per image: the kernels, and the scratch of those that work in global memory.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_backward_memory.cuh"
#include "cuda/s2d_backward_rules.cuh"
#include "cuda/s2d_thinning.cuh"

namespace topo {
namespace {

// Subgradient of images on chip. Float32, per pixel: 4 bytes of mask read, 4 bytes of gradient read on foreground, 4
// bytes written. What pixels hand over goes through the result and stays in L2. Estimated thread instructions: 60 for
// the levels and the passes over all pixels, 75 more per foreground pixel, 400 more per contour pixel. 80 registers; 88
// bytes spilled on sm_80, none on sm_90 and sm_120. One barrier per level.
template <typename Real>
__global__ void __launch_bounds__(kLevelThreads, 2)
    s2d_route_kernel(const Real* __restrict__ grad,  // [B, H, W]
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
    route_image(p, chip.framed(), chip.list(), [&](int32_t i) { return upstream[i]; }, grad_mask + image * n);
  }
}

// Subgradient of images that are too large for shared memory, or with a window larger than 3 x 3. Scratch of a block:
// the levels and a list of an eighth of the pixels, 2.5 bytes per pixel. The memory of the result serves as scratch
// while the levels are computed. The work is the same as on chip, through L2; an n x n window takes n^2 reads per
// foreground pixel. No spills.
struct LargeRoute {
  S2dParams p;
  uint16_t* depth;
  LevelList<uint32_t> list;

  TOPO_HOST_DEVICE LargeRoute(const S2dParams& params, Room& room)
      : p(params),
        depth(room.take<uint16_t>(p.pixels())),
        list(take_list<uint32_t>(room, deepest_level(p), p.pixels() / 8 + 64)) {}

  __device__ WidePlane plane() const {
    return {depth, static_cast<int32_t>(p.height), static_cast<int32_t>(p.width), p.radius};
  }
};

template <typename Real>
__global__ void s2d_route_large_kernel(
    const Real* __restrict__ grad,  // [B, H, W]
    const Real* __restrict__ mask,  // [B, H, W]
    uint8_t* scratch,               // [gridDim, block_bytes]
    int64_t block_bytes,
    uint8_t* __restrict__ soft,  // [B], set for images that are left to the next kernel
    Real* grad_mask,             // [B, H, W]
    int64_t count, S2dParams p) {
  Room room{scratch + blockIdx.x * block_bytes};
  const LargeRoute work(p, room);
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const Real* upstream = grad + image * n;
    Real* flow = grad_mask + image * n;
    auto* columns = reinterpret_cast<uint16_t*>(flow);
    auto* foreground = reinterpret_cast<uint8_t*>(columns + n);
    const bool is_soft = read_mask(mask + image * n, n, foreground);
    if (threadIdx.x == 0) soft[image] = is_soft;
    if (is_soft) continue;
    binary_depth(p, foreground, columns, work.depth);
    route_image(p, work.plane(), work.list, [&](int32_t i) { return upstream[i]; }, flow);
  }
}

// Scratch of a block for any image and mode: survivals, a list of all pixels and two planes, 14 bytes per pixel in
// float32. `survivals` holds the levels instead if the subgradient of a binary image is computed.
template <typename Real>
struct AdjointRoom {
  S2dParams p;
  uint16_t* survivals;
  LevelList<uint32_t> list;
  Real *a, *b;

  TOPO_HOST_DEVICE AdjointRoom(const S2dParams& params, Room& room)
      : p(params),
        survivals(room.take<uint16_t>(p.pixels())),
        list(take_list<uint32_t>(room, p.iterations, p.pixels())),
        a(room.take<Real>(p.pixels())),
        b(room.take<Real>(p.pixels())) {}

  // Thins one image into its levels, if it is binary and `literal` is false, or into its survivals. Writes D to
  // `distance` unless that is null. Returns whether backward() must use the adjoint.
  template <typename T>
  __device__ bool thin(const T* mask, bool literal, Real* distance) {
    auto* foreground = reinterpret_cast<uint8_t*>(list.pixels);
    const bool soft = read_mask(mask, p.pixels(), foreground);
    if (soft) {
      soft_thinning<Real>(p, mask, a, b, survivals, distance);
    } else {
      binary_depth(p, foreground, reinterpret_cast<uint16_t*>(a), survivals);
      for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
        if (distance) distance[i] = static_cast<Real>(survivals[i]);
        if (literal) survivals[i] -= foreground[i];  // D - S
      }
    }
    __syncthreads();
    return soft || literal;
  }

  // The gradient of the image that thin() has processed.
  template <typename Upstream>
  __device__ void backward(bool adjoint, const Upstream& upstream, Real* grad) {
    if (adjoint) {
      adjoint_image(p, plane(), list, upstream, a, b, grad);
    } else {
      route_image(p, plane(), list, upstream, grad);
    }
  }

  __device__ WidePlane plane() const {
    return {survivals, static_cast<int32_t>(p.height), static_cast<int32_t>(p.width), p.radius};
  }
};

// The exact gradient of soft images, or of all images if `soft` is null. Estimated: 45 thread instructions for each
// step that a pixel survives, in addition to the thinning of soft images, in which every step visits all pixels. No
// spills.
template <typename Real>
__global__ void s2d_adjoint_kernel(const Real* __restrict__ grad,  // [B, H, W]
                                   const Real* __restrict__ mask,  // [B, H, W]
                                   uint8_t* scratch,               // [gridDim, block_bytes]
                                   int64_t block_bytes,
                                   const uint8_t* __restrict__ soft,  // [B] or null
                                   Real* __restrict__ grad_mask,      // [B, H, W]
                                   int64_t count, S2dParams p) {
  Room room{scratch + blockIdx.x * block_bytes};
  AdjointRoom<Real> work(p, room);
  const int64_t n = p.pixels();
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    if (soft && !soft[image]) continue;
    const Real* upstream = grad + image * n;
    const bool adjoint = work.thin(mask + image * n, true, nullptr);
    work.backward(adjoint, [&](int32_t i) { return upstream[i]; }, grad_mask + image * n);
  }
}

}  // namespace
}  // namespace topo
