// Backward of mask_chamfer: it computes D_out of X again and the gradient of the pull through it, and with skeletons
// also the gradient of the skeleton. On chip for the subgradient of binary images, otherwise in global scratch. Kernels
// only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/skeleton_backward_kernels.cuh"
#include "mask_chamfer.h"

namespace topo {
namespace {

// The maps and gradients of a batch.
template <typename Real>
struct ChamferMaps {
  const Real *grad_pull, *grad_push;  // [B]
  const Real* pred;                   // [B, H, W]
  const Real* target;                 // [B, H, W], or null:
  const uint8_t* target_bytes;        // [B, H, W]
  const Real* target_distance;        // [B, H, W]

  // dL/dD_out(X) at a pixel of the whole batch.
  __device__ Real pulled(int64_t image, int64_t pixel) const {
    return grad_pull[image] * (target ? target[pixel] : Real(target_bytes[pixel] != 0));
  }
};

// ---- on chip ----

// Float32, per pixel: 16 bytes for pred, target, its distance and the gradient; with skeletons also pred a second time
// and 8 bytes to and from `slots`, through L2. Instructions as in s2d_route_kernel, with skeletons plus those of
// skeleton_route_kernel. 80 registers; no spills on sm_80 and sm_90, 940 bytes on sm_120.
template <typename Real>
__global__ void __launch_bounds__(kLevelThreads, 2)
    mask_chamfer_route_kernel(ChamferMaps<Real> maps,
                              Real* slots,                 // [gridDim, H, W] scratch, with skeletons
                              uint8_t* __restrict__ soft,  // [B], set for images that are left to the next kernel
                              Real* grad_pred,             // [B, H, W]
                              int64_t count, LevelPlanes planes, S2dParams p, bool skeletons, bool fours) {
  Room room{dynamic_shared()};
  const ChipMemory chip(planes, room);
  const int32_t n = static_cast<int32_t>(p.pixels());
  uint8_t* bits = chip.levels().bits;
  const auto idle = [](int) {};
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    const int64_t offset = image * n;
    const bool is_soft = read_bits(planes, maps.pred + offset, fours, !skeletons, bits);
    if (threadIdx.x == 0) soft[image] = is_soft;
    if (is_soft) continue;
    if (skeletons) {
      chip.fill(p, idle);
      mark_ridges(chip);
      for (int32_t y = warp_index(); y < planes.height; y += blockDim.x / 32) {
        uint8_t& byte = bits[y * 32 + lane_index()];
        byte = row_bits(planes, ~uint32_t(byte) & 15, ~uint32_t(byte) >> 4 & 15);  // 1 - T
      }
      __syncthreads();
    }
    chip.fill(p, idle);
    Real* grad = grad_pred + offset;
    route_image(p, chip.framed(), chip.list(), [&](int32_t i) { return maps.pulled(image, offset + i); }, grad);
    // dL/dX; the route gives the gradient of 1 - X, hence the minus.
    Real* grad_x = skeletons ? slots + int64_t(blockIdx.x) * n : grad;
    for (int32_t i = threadIdx.x; i < n; i += blockDim.x) {
      grad_x[i] = maps.grad_push[image] * maps.target_distance[offset + i] - grad[i];
    }
    if (!skeletons) continue;
    read_bits(planes, maps.pred + offset, fours, false, bits);
    chip.fill(p, idle);
    skeleton_route_image(p, chip, [&](int32_t i) { return grad_x[i]; }, grad);
  }
}

// ---- any image ----

// Scratch of a block: 42 bytes per pixel in float32.
template <typename Real>
struct ChamferRoom {
  SkeletonRoom<Real> skeleton;
  Real* x;

  TOPO_HOST_DEVICE ChamferRoom(const SkeletonParams& p, Room& room)
      : skeleton(p, room), x(room.take<Real>(p.pixels())) {}
};

// Soft images, or all images if `soft` is null.
template <typename Real>
__global__ void mask_chamfer_backward_kernel(ChamferMaps<Real> maps,
                                             uint8_t* scratch,  // [gridDim, block_bytes]
                                             int64_t block_bytes,
                                             const uint8_t* __restrict__ soft,  // [B] or null
                                             Real* grad_pred,                   // [B, H, W]
                                             int64_t count, SkeletonParams p, bool skeletons, bool literal) {
  Room room{scratch + blockIdx.x * block_bytes};
  ChamferRoom<Real> work(p, room);
  Real *x = work.x, *routed = work.skeleton.distance;
  for (int64_t image = blockIdx.x; image < count; image += gridDim.x) {
    if (soft && !soft[image]) continue;
    const int64_t offset = image * p.pixels();
    const Real* pred = maps.pred + offset;
    if (skeletons) work.skeleton.forward(pred, literal);
    work.skeleton.each([&](int64_t i, int64_t, int64_t) {
      x[i] = Real(1) - (skeletons ? work.skeleton.skeleton[i] : static_cast<Real>(pred[i]));
    });
    const bool adjoint = work.skeleton.thinning.thin(x, literal, static_cast<Real*>(nullptr));
    work.skeleton.thinning.backward(adjoint, [&](int32_t i) { return maps.pulled(image, offset + i); }, routed);
    Real* grad_x = skeletons ? x : grad_pred + offset;
    work.skeleton.each([&](int64_t i, int64_t, int64_t) {
      grad_x[i] = maps.grad_push[image] * maps.target_distance[offset + i] - routed[i];
    });
    if (skeletons) {
      work.skeleton.backward(pred, literal, [&](int64_t i) { return x[i]; }, grad_pred + offset);
    }
  }
}

}  // namespace
}  // namespace topo
