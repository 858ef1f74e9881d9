// Forward: one block per image and tile of 16 x 16 pixels reads the faces in chunks, in order, keeps those that reach
// the tile in shared memory, and stops when all its pixels are covered. Backward: one warp per image and face walks the
// face's box in a fixed order; then every vertex adds up its corners, in the order of the faces, by a stable sort of
// the faces' indices. No atomics. Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/tiles.cuh"
#include "m2s.h"

namespace topo {
namespace {

constexpr unsigned int kFullWarp = 0xFFFFFFFFu;

__device__ __forceinline__ float power_of_two(float z) {
  return exp2f(z);
}
__device__ __forceinline__ double power_of_two(double z) {
  return exp2(z);
}

// e = exp(-d / sigma), 0 where d >= blur.
template <typename Real>
__device__ __forceinline__ Real exponential(Real distance, const Falloff<Real>& falloff) {
  constexpr Real kLargest = sizeof(Real) == 8 ? Real(1022) : Real(126);
  const Real z = greatest(least(distance * falloff.exponent_scale, kLargest), -kLargest);
  return distance < falloff.blur ? power_of_two(z) : Real(0);
}

// 16 bytes read per face and tile, from L2 after the first tile of an image.
template <typename Real>
__global__ void coverage_kernel(const Real* __restrict__ vertices,   // [B, V, 2 or 3]
                                const int64_t* __restrict__ faces,   // [F, 3] or [B, F, 3]
                                const PixelBox* __restrict__ boxes,  // [B, F]
                                Real* __restrict__ coverage,         // [B, H, W]
                                M2sParams p, Falloff<Real> falloff) {
  __shared__ FaceEdges<Real> chunk[kTileThreads];
  const Tile tile = tile_of(p);
  vertices += tile.image * p.vertices * p.components;
  faces += tile.image * p.face_stride;
  boxes += tile.image * p.faces;
  Real product = tile.inside ? Real(1) : falloff.saturated;
  for (int64_t first = 0; first < p.faces; first += kTileThreads) {
    const int64_t f = first + threadIdx.x;
    FaceEdges<Real> face;
    double xy[6];
    const bool reaches = f < p.faces && tile.meets(boxes[f]) && face_corners(p, vertices, faces + 3 * f, xy) &&
                         face_edges(xy, boxes[f], face);
    const int hits = compact(reaches, face, chunk);
    for (int k = 0; k < hits && product < falloff.saturated; ++k) {
      const PixelBox& box = chunk[k].box;
      if (tile.x < box.x0 || tile.x > box.x1 || tile.y < box.y0 || tile.y > box.y1) continue;
      const Real dx = static_cast<Real>(tile.x - box.x0), dy = static_cast<Real>(tile.y - box.y0);
      product *= exponential(signed_distance(chunk[k], dx, dy), falloff) + Real(1);
    }
    if (__syncthreads_and(product >= falloff.saturated)) break;  // also guards the chunk
  }
  if (tile.inside) {
    coverage[tile.image * p.pixels() + tile.y * p.width + tile.x] = Real(1) - Real(1) / product;
  }
}

template <typename Real>
__global__ void face_grad_kernel(const Real* __restrict__ grad,      // [B, H, W]
                                 const Real* __restrict__ coverage,  // [B, H, W]
                                 const Real* __restrict__ vertices,  // [B, V, 2 or 3]
                                 const int64_t* __restrict__ faces,  // [F, 3] or [B, F, 3]
                                 Real* __restrict__ face_grad,       // [B, F, 3, 2]
                                 M2sParams p, Falloff<Real> falloff) {
  const int lane = threadIdx.x % 32;
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  const Real scale = static_cast<Real>(2.0 / p.sigma), smallest = Real(1) / falloff.saturated;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x / 32) + threadIdx.x / 32; i < p.count * p.faces; i += warps) {
    const int64_t image = i / p.faces, f = i - image * p.faces;
    Real sum[6] = {0, 0, 0, 0, 0, 0};
    double xy[6];
    PixelBox box;
    FaceEdges<Real> face;
    face.flipped = false;
    if (face_corners(p, vertices + image * p.vertices * p.components, faces + image * p.face_stride + 3 * f, xy) &&
        face_box(p, xy, box) && face_edges(xy, box, face)) {
      const int64_t width = box.x1 - box.x0 + 1, pixels = width * (box.y1 - box.y0 + 1);
      for (int64_t k = lane; k < pixels; k += 32) {
        const int64_t row = k / width, column = k - row * width;
        const int64_t at = image * p.pixels() + (box.y0 + row) * p.width + box.x0 + column;
        const Real open = Real(1) - coverage[at], weight = scale * grad[at] * open;
        if (open < smallest || weight == Real(0)) continue;
        const Nearest<Real> near = nearest_point(face, static_cast<Real>(column), static_cast<Real>(row));
        const Real e = exponential(near.distance, falloff);
        const Real share = weight * (e / (e + Real(1)));
        for (int c = 0; c < 3; ++c) {
          const Real part = share * near.weight[c];
          sum[2 * c] += part * near.x;
          sum[2 * c + 1] += part * near.y;
        }
      }
    }
    for (int c = 0; c < 6; ++c) {
      for (int step = 16; step > 0; step /= 2) sum[c] += __shfl_down_sync(kFullWarp, sum[c], step);
    }
    if (lane == 0) {
      for (int c = 0; c < 3; ++c) {
        const int corner = face.flipped && c ? 3 - c : c;
        face_grad[6 * i + 2 * corner] = sum[2 * c];
        face_grad[6 * i + 2 * corner + 1] = sum[2 * c + 1];
      }
    }
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
