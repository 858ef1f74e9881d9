// Tiles of pixels against chunks of faces, for m2s and rasterize: one block of 256 threads per image and tile.

#pragma once

#include "m2s.h"

namespace topo {

constexpr int kTileSide = 16;
constexpr int kTileThreads = kTileSide * kTileSide;

inline unsigned int blocks_for(int64_t threads) {
  const int64_t blocks = (threads + kTileThreads - 1) / kTileThreads;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
}

inline unsigned int tile_blocks(const char* op, const M2sParams& p) {
  const int64_t across = (p.width + kTileSide - 1) / kTileSide, down = (p.height + kTileSide - 1) / kTileSide;
  const int64_t blocks = p.count * across * down;
  TOPO_CHECK(blocks < (int64_t(1) << 31), op, ": at most 2^31 tiles of 16 x 16 pixels at once, got ", blocks);
  return static_cast<unsigned int>(blocks);
}

struct Tile {
  int64_t image;
  int32_t x, y;            // of this thread's pixel
  int32_t x0, y0, x1, y1;  // of the tile
  bool inside;             // whether the pixel lies in the image

  __device__ bool meets(const PixelBox& box) const {
    return box.x0 <= x1 && box.x1 >= x0 && box.y0 <= y1 && box.y1 >= y0;
  }
};

__device__ __forceinline__ Tile tile_of(const M2sParams& p) {
  const int64_t across = (p.width + kTileSide - 1) / kTileSide, down = (p.height + kTileSide - 1) / kTileSide;
  const int64_t index = blockIdx.x % (across * down);
  Tile tile;
  tile.image = blockIdx.x / (across * down);
  tile.x0 = static_cast<int32_t>(index % across) * kTileSide;
  tile.y0 = static_cast<int32_t>(index / across) * kTileSide;
  tile.x1 = tile.x0 + kTileSide - 1;
  tile.y1 = tile.y0 + kTileSide - 1;
  tile.x = tile.x0 + static_cast<int32_t>(threadIdx.x) % kTileSide;
  tile.y = tile.y0 + static_cast<int32_t>(threadIdx.x) / kTileSide;
  tile.inside = tile.x < p.width && tile.y < p.height;
  return tile;
}

// The box of every face; none for faces that are off-screen, not finite or wrongly indexed.
template <typename Real>
__global__ void box_kernel(const Real* __restrict__ vertices,  // [B, V, 2 or 3]
                           const int64_t* __restrict__ faces,  // [F, 3] or [B, F, 3]
                           PixelBox* __restrict__ boxes,       // [B, F]
                           M2sParams p) {
  const int64_t total = p.count * p.faces;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t image = i / p.faces, f = i - image * p.faces;
    double xy[6];
    PixelBox box;
    const bool seen =
        face_corners(p, vertices + image * p.vertices * p.components, faces + image * p.face_stride + 3 * f, xy) &&
        face_box(p, xy, box);
    boxes[i] = seen ? box : PixelBox{1, 0, 1, 0};
  }
}

// Puts the items that `keep` marks into `kept`, in the order of the threads, and returns how many there are. To be
// called by all threads of the block; `kept` may be read when it returns and written again after a barrier.
template <typename Item>
__device__ int compact(bool keep, const Item& item, Item* kept) {
  __shared__ int counts[kTileThreads / 32];
  const unsigned int votes = __ballot_sync(0xFFFFFFFFu, keep);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane == 0) counts[warp] = __popc(votes);
  __syncthreads();
  int before = 0, total = 0;
  for (int k = 0; k < kTileThreads / 32; ++k) {
    before += k < warp ? counts[k] : 0;
    total += counts[k];
  }
  if (keep) kept[before + __popc(votes & ((1u << lane) - 1u))] = item;
  __syncthreads();
  return total;
}

}  // namespace topo
