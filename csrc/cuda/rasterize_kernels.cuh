// One block per image and tile of 16 x 16 pixels sets up the faces that reach the tile in shared memory, in order, and
// every thread keeps the nearest one at its pixel. There are no atomics. Kernels only, so that tests/cpp can run them
// on the host.

#pragma once

#include "cuda/tiles.cuh"
#include "rasterize.h"

namespace topo {
namespace {

struct NumberedFace : RasterFace {
  int32_t index;
};

template <typename Real>
__global__ void __launch_bounds__(kTileThreads, 3)
    rasterize_kernel(const Real* __restrict__ vertices,    // [B, V, 3]
                     const int64_t* __restrict__ faces,    // [F, 3] or [B, F, 3]
                     const PixelBox* __restrict__ boxes,   // [B, F]
                     const PixelBox* __restrict__ groups,  // [B, ceil(F / 32)]
                     int64_t* __restrict__ index,          // [B, H, W]
                     Real* __restrict__ barycentrics,      // [B, H, W, 3]
                     Real* __restrict__ depth,             // [B, H, W]
                     M2sParams p) {
  __shared__ NumberedFace near[kTileThreads];
  const Tile tile = tile_of(p);
  vertices += tile.image * p.vertices * p.components;
  faces += tile.image * p.face_stride;
  RasterHit best{{0.0, 0.0, 0.0}, HUGE_VAL};
  int64_t nearest = -1;
  draw_faces(
      tile, p, boxes, groups, near,
      [&](int32_t f, NumberedFace& face) {
        face.index = f;
        return raster_face(p, vertices, faces + 3 * int64_t(f), face);
      },
      [&](const NumberedFace& face) {
        RasterHit hit;
        if (!raster_pixel(face, tile.x, tile.y, hit) || !(hit.depth < best.depth)) return;
        best = hit;
        nearest = face.index;
      },
      [] { return false; });
  if (!tile.inside) return;
  const int64_t i = tile.image * p.pixels() + tile.y * p.width + tile.x;
  index[i] = nearest;
  depth[i] = static_cast<Real>(best.depth);
  for (int k = 0; k < 3; ++k) barycentrics[3 * i + k] = static_cast<Real>(best.weight[k]);
}

}  // namespace
}  // namespace topo
