// One block per image and tile of 16 x 16 pixels reads the faces in chunks, in order, and every thread keeps the
// nearest at its pixel. No atomics. Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/tiles.cuh"
#include "rasterize.h"

namespace topo {
namespace {

struct NumberedFace {
  RasterFace face;
  int32_t index;
};

template <typename Real>
__global__ void rasterize_kernel(const Real* __restrict__ vertices,   // [B, V, 3]
                                 const int64_t* __restrict__ faces,   // [F, 3] or [B, F, 3]
                                 const PixelBox* __restrict__ boxes,  // [B, F]
                                 int64_t* __restrict__ index,         // [B, H, W]
                                 Real* __restrict__ barycentrics,     // [B, H, W, 3]
                                 Real* __restrict__ depth,            // [B, H, W]
                                 M2sParams p) {
  __shared__ NumberedFace chunk[kTileThreads];
  const Tile tile = tile_of(p);
  vertices += tile.image * p.vertices * p.components;
  faces += tile.image * p.face_stride;
  boxes += tile.image * p.faces;
  RasterHit best{{0.0, 0.0, 0.0}, HUGE_VAL};
  int64_t nearest = -1;
  for (int64_t first = 0; first < p.faces; first += kTileThreads) {
    const int64_t f = first + threadIdx.x;
    NumberedFace mine;
    mine.index = static_cast<int32_t>(f);
    const bool reaches = f < p.faces && tile.meets(boxes[f]) && raster_face(p, vertices, faces + 3 * f, mine.face);
    const int hits = compact(reaches, mine, chunk);
    for (int k = 0; k < hits; ++k) {
      const PixelBox& box = chunk[k].face.box;
      if (tile.x < box.x0 || tile.x > box.x1 || tile.y < box.y0 || tile.y > box.y1) continue;
      RasterHit hit;
      if (!raster_pixel(chunk[k].face, tile.x, tile.y, hit) || !(hit.depth < best.depth)) continue;
      best = hit;
      nearest = chunk[k].index;
    }
    __syncthreads();
  }
  if (!tile.inside) return;
  const int64_t i = tile.image * p.pixels() + tile.y * p.width + tile.x;
  index[i] = nearest;
  depth[i] = static_cast<Real>(best.depth);
  for (int k = 0; k < 3; ++k) barycentrics[3 * i + k] = static_cast<Real>(best.weight[k]);
}

}  // namespace
}  // namespace topo
