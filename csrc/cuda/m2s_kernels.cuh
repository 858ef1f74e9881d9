// Forward: one block per image and tile of 16 x 16 pixels sets up the faces that reach the tile in shared memory, in
// order, and stops when all its pixels are covered. Backward: for a silhouette, its gradient is first turned into that
// of the coverage. Then one block per image and group of 32 faces sets these up, and 8 threads walk the box of each
// face in a fixed order. Finally every vertex adds its corners in the order of the faces, found by a stable sort of the
// faces' indices. There are no atomics. Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/tiles.cuh"
#include "m2s.h"

namespace topo {
namespace {

constexpr int kGroupThreads = 128;
constexpr int kFaceLanes = 8;  // threads per face in the backward: most boxes are about 10 x 10 pixels

__device__ __forceinline__ float power_of_two(float z) {
  return exp2f(z);
}
__device__ __forceinline__ double power_of_two(double z) {
  return exp2(z);
}

// a / b for 1 <= b <= 2^126, where the fast division is accurate.
__device__ __forceinline__ float quotient(float a, float b) {
  return __fdividef(a, b);
}
__device__ __forceinline__ double quotient(double a, double b) {
  return a / b;
}

// e = exp(-d / sigma), 0 where d >= blur.
template <typename Real>
__device__ __forceinline__ Real exponential(Real distance, const Falloff<Real>& falloff) {
  constexpr Real kLargest = sizeof(Real) == 8 ? Real(1022) : Real(126);
  const Real z = greatest(least(distance * falloff.exponent_scale, kLargest), -kLargest);
  return distance < falloff.blur ? power_of_two(z) : Real(0);
}

template <typename Real, bool exact>
__global__ void __launch_bounds__(kTileThreads, sizeof(Real) == 4 ? 4 : 3)
    coverage_kernel(const Real* __restrict__ vertices,    // [B, V, 2 or 3]
                    const int64_t* __restrict__ faces,    // [F, 3] or [B, F, 3]
                    const PixelBox* __restrict__ boxes,   // [B, F]
                    const PixelBox* __restrict__ groups,  // [B, ceil(F / 32)]
                    Real* __restrict__ silhouette,        // [B, H, W] if exact
                    Real* __restrict__ coverage,          // [B, H, W]
                    M2sParams p, Falloff<Real> falloff) {
  __shared__ FaceEdges<Real> near[kTileThreads];
  const Tile tile = tile_of(p);
  vertices += tile.image * p.vertices * p.components;
  faces += tile.image * p.face_stride;
  const Real dx = static_cast<Real>(tile.x - tile.box.x0), dy = static_cast<Real>(tile.y - tile.box.y0);
  Real product = tile.inside ? Real(1) : falloff.saturated;
  bool covered = !exact || !tile.inside;  // whether a face contains the centre; needed only if exact
  draw_faces(
      tile, p, boxes, groups, near,
      [&](int64_t f, FaceEdges<Real>& face) {  // distances are relative to the tile's corner
        double xy[6];
        return face_corners(p, vertices, faces + 3 * f, xy) && face_edges(xy, tile.box, face);
      },
      [&](const FaceEdges<Real>& face) {
        if (covered && product >= falloff.saturated) return;
        const Real distance = signed_distance(face, dx, dy);
        product *= exponential(distance, falloff) + Real(1);
        covered |= distance < static_cast<Real>(kTouching);
      },
      [&] { return covered && product >= falloff.saturated; });
  if (tile.inside) {
    const int64_t at = tile.image * p.pixels() + tile.y * p.width + tile.x;
    coverage[at] = Real(1) - Real(1) / product;
    if (exact) silhouette[at] = covered ? Real(1) : Real(0);
  }
}

// The gradient of the coverage from that of the silhouette: a central difference at the outline.
template <typename Real>
__global__ void outline_kernel(const Real* __restrict__ grad,        // [B, H, W]
                               const Real* __restrict__ silhouette,  // [B, H, W]
                               Real* __restrict__ outline,           // [B, H, W]
                               M2sParams p) {
  const int64_t total = p.count * p.pixels();
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.pixels() * p.pixels(), y = (i - image) / p.width, x = i - image - y * p.width;
    Real count = 0, pull = 0;
    visit_window(p.height, p.width, 1, y, x, [&](int64_t at) {
      count += silhouette[image + at];
      pull += silhouette[image + at] * grad[image + at];
    });
    const Real central = count > Real(0) ? (pull / count + grad[i]) * Real(0.5) : grad[i];
    outline[i] = silhouette[i] > Real(0) ? Real(0) : central;
  }
}

// The gradient of a face's corners from the pixels of its box, summed over kFaceLanes lanes; each lane gets the sums.
// Whole warps must call it.
template <typename Real>
__device__ __forceinline__ void gather_face(const FaceEdges<Real>& face, const Real* grad, const Real* coverage,
                                            int32_t image_width, Real scale, const Falloff<Real>& falloff, Real* sum) {
  const Real smallest = Real(1) / falloff.saturated;
  const int32_t lane = threadIdx.x % kFaceLanes, width = face.box.x1 - face.box.x0 + 1;
  const int32_t rows = kFaceLanes / width, rest = kFaceLanes - rows * width, end = (face.box.y1 + 1) * image_width;
  int32_t x = lane % width, y = lane / width, at = (face.box.y0 + y) * image_width + face.box.x0 + x;
  while (at < end) {
    const Real open = Real(1) - coverage[at], weight = scale * grad[at] * open;
    if (open >= smallest && weight != Real(0)) {
      const Nearest<Real> near = nearest_point(face, static_cast<Real>(x), static_cast<Real>(y));
      const Real e = exponential(near.distance, falloff);
      const Real share = weight * quotient(e, e + Real(1));
      for (int c = 0; c < 3; ++c) {
        const Real part = share * near.weight[c];
        sum[2 * c] += part * near.x;
        sum[2 * c + 1] += part * near.y;
      }
    }
    x += rest;
    y += rows;
    at += rows * image_width + rest;
    if (x >= width) {
      x -= width;
      y += 1;
      at += image_width - width;
    }
  }
  for (int c = 0; c < 6; ++c) {
    for (int step = kFaceLanes / 2; step > 0; step /= 2) sum[c] += __shfl_xor_sync(kFullWarp, sum[c], step);
  }
}

template <typename Real>
__global__ void face_grad_kernel(const Real* __restrict__ grad,      // [B, H, W]
                                 const Real* __restrict__ coverage,  // [B, H, W]
                                 const Real* __restrict__ vertices,  // [B, V, 2 or 3]
                                 const int64_t* __restrict__ faces,  // [F, 3] or [B, F, 3]
                                 Real* __restrict__ face_grad,       // [B, F, 3, 2]
                                 M2sParams p, Falloff<Real> falloff) {
  __shared__ FaceEdges<Real> group[kGroup];
  const int64_t per_image = groups_of(p);
  const int thread = threadIdx.x, lane = thread % kFaceLanes;
  const Real scale = static_cast<Real>(2.0 / p.sigma);
  for (int64_t i = blockIdx.x; i < p.count * per_image; i += gridDim.x) {
    const int64_t image = i / per_image, first = (i - image * per_image) * kGroup;
    if (thread < kGroup) {
      double xy[6];
      PixelBox box;
      const bool usable = first + thread < p.faces &&
                          face_corners(p, vertices + image * p.vertices * p.components,
                                       faces + image * p.face_stride + 3 * (first + thread), xy) &&
                          face_box(p, xy, box) && face_edges(xy, box, group[thread]);
      if (!usable) group[thread].box = {0, 0, 0, -1};
    }
    __syncthreads();
    for (int k = thread / kFaceLanes; k < kGroup; k += blockDim.x / kFaceLanes) {
      Real sum[6] = {0, 0, 0, 0, 0, 0};
      gather_face(group[k], grad + image * p.pixels(), coverage + image * p.pixels(), static_cast<int32_t>(p.width),
                  scale, falloff, sum);
      if (lane < 3 && first + k < p.faces) {
        const bool flipped = group[k].box.y1 >= 0 && group[k].flipped;
        Real* target = face_grad + 6 * (image * p.faces + first + k) + 2 * (flipped && lane ? 3 - lane : lane);
        target[0] = lane == 0 ? sum[0] : (lane == 1 ? sum[2] : sum[4]);
        target[1] = lane == 0 ? sum[1] : (lane == 1 ? sum[3] : sum[5]);
      }
    }
    __syncthreads();
  }
}

template <typename Real>
__global__ void vertex_grad_kernel(const Real* __restrict__ face_grad,   // [B, F, 3, 2]
                                   const int64_t* __restrict__ corners,  // [1 or B, 3 F], vertex indices, sorted
                                   const int64_t* __restrict__ order,    // [1 or B, 3 F], where they came from
                                   Real* __restrict__ grad_vertices,     // [B, V, 2 or 3]
                                   M2sParams p) {
  const int64_t total = p.count * p.vertices, length = 3 * p.faces;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.vertices, vertex = i - image * p.vertices;
    const int64_t* keys = corners + image * p.face_stride;
    int64_t low = 0, high = length;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (keys[middle] < vertex)
        low = middle + 1;
      else
        high = middle;
    }
    Real x = 0, y = 0;
    for (; low < length && keys[low] == vertex; ++low) {
      const int64_t corner = image * length + order[image * p.face_stride + low];
      x += face_grad[2 * corner];
      y += face_grad[2 * corner + 1];
    }
    grad_vertices[i * p.components] = x;
    grad_vertices[i * p.components + 1] = y;
    if (p.components == 3) grad_vertices[i * p.components + 2] = Real(0);
  }
}

}  // namespace
}  // namespace topo
