// Assigns faces to tiles of pixels, for m2s and rasterize: boxes of all faces, boxes of groups of 32 consecutive faces,
// and one block per image and tile that tests the groups first and then the faces of the groups that reach the tile. In
// most meshes consecutive faces are close to each other, so a tile tests few faces; a list in random order costs up to
// F tests per tile. The method needs no counting, sorting or atomics, and keeps the order of the faces. Memory: 16.5
// bytes per face.

#pragma once

#include "m2s.h"

namespace topo {

constexpr int kWarp = 32;
constexpr unsigned int kFullWarp = 0xFFFFFFFFu;
constexpr int kTileWidth = 16;
constexpr int kTileThreads = 256;  // at most; one per pixel of a tile, 8 x 4 pixels per warp
constexpr int kGroup = kWarp;      // faces

TOPO_HOST_DEVICE int64_t groups_of(const M2sParams& p) {
  return (p.faces + kGroup - 1) / kGroup;
}

// The size of a grid whose blocks stride over the items.
inline unsigned int blocks_for(int64_t items, int64_t per_block) {
  const int64_t blocks = (items + per_block - 1) / per_block;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
}

// The number of blocks of kTileThreads threads, one per tile.
inline unsigned int tile_blocks(const char* op, const M2sParams& p) {
  constexpr int64_t kHeight = kTileThreads / kTileWidth;
  const int64_t blocks = p.count * ((p.width + kTileWidth - 1) / kTileWidth) * ((p.height + kHeight - 1) / kHeight);
  TOPO_CHECK(blocks < (int64_t(1) << 31), op, ": images must have fewer than 2^31 tiles of 16 x 16 pixels, got ",
             blocks);
  return static_cast<unsigned int>(blocks);
}

__device__ __forceinline__ bool overlap(const PixelBox& a, const PixelBox& b) {
  return a.x0 <= b.x1 && a.x1 >= b.x0 && a.y0 <= b.y1 && a.y1 >= b.y0;
}

// A box that overlaps no other and does not change a union.
__device__ __forceinline__ PixelBox nowhere() {
  return {1 << 30, -1, 1 << 30, -1};
}

struct Tile {
  PixelBox box;
  PixelBox warp_box;  // the part of this thread's warp
  int64_t image;
  int32_t x, y;  // of this thread's pixel
  bool inside;   // whether the pixel lies in the image
};

__device__ __forceinline__ Tile tile_of(const M2sParams& p) {
  const unsigned int height = blockDim.x / kTileWidth, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const unsigned int across = static_cast<unsigned int>(p.width + kTileWidth - 1) / kTileWidth;
  const unsigned int down = static_cast<unsigned int>(p.height + height - 1) / height;
  const unsigned int index = blockIdx.x % (across * down);
  Tile tile;
  tile.image = blockIdx.x / (across * down);
  tile.box.x0 = index % across * kTileWidth;
  tile.box.y0 = index / across * height;
  tile.box.x1 = tile.box.x0 + kTileWidth - 1;
  tile.box.y1 = tile.box.y0 + height - 1;
  tile.warp_box.x0 = tile.box.x0 + warp % 2 * 8;
  tile.warp_box.y0 = tile.box.y0 + warp / 2 * 4;
  tile.warp_box.x1 = tile.warp_box.x0 + 7;
  tile.warp_box.y1 = tile.warp_box.y0 + 3;
  tile.x = tile.warp_box.x0 + lane % 8;
  tile.y = tile.warp_box.y0 + lane / 8;
  tile.inside = tile.x < p.width && tile.y < p.height;
  return tile;
}

// One warp per group. Faces that are off-screen, not finite or have an index out of range get the box nowhere().
template <typename Real>
__global__ void box_kernel(const Real* __restrict__ vertices,  // [B, V, 2 or 3]
                           const int64_t* __restrict__ faces,  // [F, 3] or [B, F, 3]
                           PixelBox* __restrict__ boxes,       // [B, F]
                           PixelBox* __restrict__ groups,      // [B, ceil(F / 32)]
                           M2sParams p) {
  const int64_t per_image = groups_of(p), warps = int64_t(gridDim.x) * (blockDim.x / kWarp);
  const int lane = threadIdx.x % kWarp;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x / kWarp) + threadIdx.x / kWarp; i < p.count * per_image;
       i += warps) {
    const int64_t image = i / per_image, f = (i - image * per_image) * kGroup + lane;
    double xy[6];
    PixelBox box;
    if (f >= p.faces ||
        !face_corners(p, vertices + image * p.vertices * p.components, faces + image * p.face_stride + 3 * f, xy) ||
        !face_box(p, xy, box)) {
      box = nowhere();
    }
    if (f < p.faces) boxes[image * p.faces + f] = box;
    for (int step = kWarp / 2; step > 0; step /= 2) {
      box.x0 = least(box.x0, __shfl_xor_sync(kFullWarp, box.x0, step));
      box.y0 = least(box.y0, __shfl_xor_sync(kFullWarp, box.y0, step));
      box.x1 = greatest(box.x1, __shfl_xor_sync(kFullWarp, box.x1, step));
      box.y1 = greatest(box.y1, __shfl_xor_sync(kFullWarp, box.y1, step));
    }
    if (lane == 0) groups[i] = box;
  }
}

// Writes the items of threads with `keep` to `kept`, in the order of the threads, and returns their number. All threads
// of the block must call it. `kept` may be read when it returns, and written again after a barrier.
template <typename Item>
__device__ int compact(bool keep, const Item& item, Item* kept) {
  __shared__ int counts[kTileThreads / kWarp];
  const unsigned int votes = __ballot_sync(kFullWarp, keep);
  const unsigned int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  if (lane == 0) counts[warp] = __popc(votes);
  __syncthreads();
  int before = 0, total = 0;
  for (unsigned int k = 0; k < blockDim.x / kWarp; ++k) {
    before += k < warp ? counts[k] : 0;
    total += counts[k];
  }
  if (keep) kept[before + __popc(votes & ((1u << lane) - 1u))] = item;
  __syncthreads();
  return total;
}

// Processes the faces that reach the tile, in order and up to kTileThreads at once: set_up(f, face) fills in a slot of
// `near`, which lies in shared memory, and returns false for a face that covers nothing. Then every warp calls
// draw(face) for the faces that reach its pixels. done() returns whether a pixel needs no more faces; the tile ends
// when all are done.
template <typename Face, typename SetUp, typename Draw, typename Done>
__device__ __forceinline__ void draw_faces(const Tile& tile, const M2sParams& p, const PixelBox* boxes,
                                           const PixelBox* groups, Face* near, SetUp&& set_up, Draw&& draw,
                                           Done&& done) {
  __shared__ int32_t near_groups[kTileThreads], near_faces[kTileThreads];
  const int32_t faces = static_cast<int32_t>(p.faces), per_image = static_cast<int32_t>(groups_of(p));
  const int32_t threads = blockDim.x, thread = threadIdx.x;
  const int32_t warps = threads / kWarp, warp = thread / kWarp, lane = thread % kWarp;
  boxes += tile.image * p.faces;
  groups += tile.image * per_image;
  for (int32_t start = 0; start < per_image; start += threads) {
    const int32_t group = start + thread;
    const int hits = compact(group < per_image && overlap(tile.box, groups[group]), group, near_groups);
    for (int32_t first = warp; first - warp < hits; first += warps) {
      const int32_t f = first < hits ? near_groups[first] * kGroup + lane : faces;
      const int32_t count = compact(f < faces && overlap(tile.box, boxes[f]), f, near_faces);
      if (thread < count) {
        const int32_t mine = near_faces[thread];
        near[thread].box = set_up(mine, near[thread]) ? boxes[mine] : nowhere();
      }
      __syncthreads();
      for (int32_t slot = 0; slot < count && __ballot_sync(kFullWarp, !done()); slot += kWarp) {
        unsigned int reach =
            __ballot_sync(kFullWarp, slot + lane < count && overlap(tile.warp_box, near[slot + lane].box));
        for (; reach; reach &= reach - 1) draw(near[slot + __ffs(reach) - 1]);
      }
      if (__syncthreads_and(done())) return;  // also guards the slots
    }
  }
}

}  // namespace topo
