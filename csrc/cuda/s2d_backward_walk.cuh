// The walk of s2d's backward over the levels of one image, by one block: pixels are listed by their level and visited
// from deep to shallow, with one barrier per level. A counting sort makes the list for as many levels at a time as it
// can hold. A level that is too large for the list is found by testing every pixel. The order of the pixels within a
// level does not affect the result: the visits of a level are independent, and each gathers in a fixed order.

#pragma once

#include "s2d.h"

namespace topo {
namespace {

// Levels of an image in global memory.
struct WidePlane {
  const uint16_t* data;
  int32_t height, width, radius;
  using Entry = uint32_t;  // entry of a list: y << (half its bits) | x

  __device__ int32_t at(int32_t y, int32_t x) const {
    return data[y * width + x];
  }

  // visit(level there, row, column) for the other pixels in the window of (y, x), in raster order.
  template <typename Visit>
  __device__ void around(int32_t y, int32_t x, const Visit& visit) const {
    const int32_t y1 = y + radius < height ? y + radius : height - 1, x1 = x + radius < width ? x + radius : width - 1;
    for (int32_t v = y > radius ? y - radius : 0; v <= y1; ++v) {
      for (int32_t u = x > radius ? x - radius : 0; u <= x1; ++u) {
        if (v != y || u != x) visit(at(v, u), v, u);
      }
    }
  }
};

// Levels of an image in shared memory, for 3 x 3 windows. A frame of kOutside saves tests for the border, and a stride
// of an odd number of words spreads a column over the banks.
struct FramedPlane {
  const uint8_t* data;  // pixel (0, 0)
  int32_t height, width, stride;
  using Entry = uint16_t;
  static constexpr int32_t kOutside = 255;

  __device__ int32_t at(int32_t y, int32_t x) const {
    return data[y * stride + x];
  }

  template <typename Visit>
  __device__ __forceinline__ void around(int32_t y, int32_t x, const Visit& visit) const {
    const uint8_t *here = data + y * stride + x, *above = here - stride, *below = here + stride;
    visit(above[-1], y - 1, x - 1), visit(above[0], y - 1, x), visit(above[1], y - 1, x + 1);
    visit(here[-1], y, x - 1), visit(here[1], y, x + 1);
    visit(below[-1], y + 1, x - 1), visit(below[0], y + 1, x), visit(below[1], y + 1, x + 1);
  }
};

// Calls visit(y, x) for every pixel; a warp takes consecutive pixels of a row.
template <typename Visit>
__device__ void for_pixels(int32_t height, int32_t width, Visit&& visit) {
  const int32_t lanes = blockDim.x < 32 ? blockDim.x : 32;
  for (int32_t y = threadIdx.x / lanes; y < height; y += blockDim.x / lanes) {
    for (int32_t x = threadIdx.x % lanes; x < width; x += lanes) visit(y, x);
  }
}

// The deepest level that is not saturated: no distance is larger than the longer side.
TOPO_HOST_DEVICE int32_t deepest_level(const S2dParams& p) {
  const int32_t longest = static_cast<int32_t>(p.height > p.width ? p.height : p.width);
  return p.iterations < longest ? p.iterations : longest;
}

// Memory of a walk.
template <typename Entry>
struct LevelList {
  Entry* pixels;
  int32_t capacity;  // at least 1
  int32_t* next;     // [deepest + 2] where the next pixel of each level goes
  int32_t* ends;     // [deepest + 2] number of pixels of each level and all deeper ones
};

template <typename Plane>
class LevelWalk {
 public:
  using Entry = typename Plane::Entry;

  __device__ LevelWalk(const Plane& plane, const LevelList<Entry>& list) : plane_(plane), list_(list) {}

  // All threads call, in this order: clear(); count() for each pixel and a barrier; run() or sort().
  __device__ void clear(int32_t levels) {
    for (int32_t k = threadIdx.x; k <= levels + 1; k += blockDim.x) list_.next[k] = 0;
    __syncthreads();
  }

  __device__ void count(int32_t level) {
    atomicAdd(&list_.next[level], 1);
  }

  // Calls visit(y, x, level) for the pixels of levels deepest..1, with a barrier after each level.
  template <typename Visit>
  __device__ void run(int32_t deepest, Visit&& visit) {
    place(deepest);
    for (int32_t level = deepest; level >= 1;) {
      const int32_t shallowest = fill(level);
      for (; level >= shallowest; --level) {
        visit_level(level, [&](int32_t y, int32_t x) { visit(y, x, level); });
        __syncthreads();
      }
    }
  }

  // Lists all levels at once; the list must hold every pixel.
  __device__ void sort(int32_t deepest) {
    place(deepest);
    if (deepest > 0) fill(deepest);
  }

  // Calls visit(y, x) for the pixels of a level of those that fill() listed last.
  template <typename Visit>
  __device__ void visit_level(int32_t level, Visit&& visit) const {
    if (listed_) {
      visit_list(list_.ends[level + 1] - base_, list_.ends[level] - base_, visit);
    } else {
      for_pixels(plane_.height, plane_.width, [&](int32_t y, int32_t x) {
        if (plane_.at(y, x) == level) visit(y, x);
      });
    }
  }

  // The same for this level and all deeper ones; the list must hold every pixel.
  template <typename Visit>
  __device__ void visit_down_to(int32_t level, Visit&& visit) const {
    visit_list(0, list_.ends[level], visit);
  }

 private:
  static constexpr int32_t kShift = 4 * sizeof(Entry);

  template <typename Visit>
  __device__ void visit_list(int32_t begin, int32_t end, Visit&& visit) const {
    for (int32_t k = begin + threadIdx.x; k < end; k += blockDim.x) {
      const uint32_t pixel = list_.pixels[k];
      visit(static_cast<int32_t>(pixel >> kShift), static_cast<int32_t>(pixel & ((1u << kShift) - 1)));
    }
  }

  __device__ void place(int32_t deepest) {
    for (int32_t level = 1 + threadIdx.x; level <= deepest + 1; level += blockDim.x) {
      int32_t sum = 0;
      for (int32_t k = level; k <= deepest; ++k) sum += list_.next[k];
      list_.ends[level] = sum;
    }
    __syncthreads();
    for (int32_t level = 1 + threadIdx.x; level <= deepest; level += blockDim.x) {
      list_.next[level] = list_.ends[level + 1];
    }
    __syncthreads();
  }

  // Lists the pixels of `level` and of the levels below it that fit; returns the last of these.
  __device__ int32_t fill(int32_t level) {
    base_ = list_.ends[level + 1];
    listed_ = list_.ends[level] - base_ <= list_.capacity;
    int32_t low = 1, high = level;
    while (low < high) {
      const int32_t middle = (low + high) / 2;
      if (list_.ends[middle] - base_ <= list_.capacity) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    if (listed_) scatter(low, level);
    __syncthreads();
    return low;
  }

  // A thread takes four pixels of a row, and the threads of a warp lie along a diagonal. They rarely share a level, so
  // that their atomics rarely conflict.
  __device__ void scatter(int32_t shallowest, int32_t deepest) {
    for_pixels(plane_.height, (plane_.width + 3) / 4, [&](int32_t row, int32_t word) {
      int32_t y = row + word;
      while (y >= plane_.height) y -= plane_.height;
      int32_t levels[5];
      for (int32_t j = 0; j < 4; ++j) levels[j] = 4 * word + j < plane_.width ? plane_.at(y, 4 * word + j) : -1;
      levels[4] = -1;
      int32_t run = 0;
      for (int32_t j = 0; j < 4; ++j) {
        ++run;
        if (levels[j] == levels[j + 1]) continue;
        if (levels[j] >= shallowest && levels[j] <= deepest) {
          Entry* at = list_.pixels + (atomicAdd(&list_.next[levels[j]], run) - base_);
          for (int32_t k = 0; k < run; ++k) {
            at[k] = static_cast<Entry>(static_cast<uint32_t>(y) << kShift | (4 * word + j - k));
          }
        }
        run = 0;
      }
    });
  }

  Plane plane_;
  LevelList<Entry> list_;
  int32_t base_ = 0;
  bool listed_ = false;
};

// The largest of the threads' values. Its barriers also make earlier writes visible.
__device__ int32_t block_max(int32_t mine) {
  __shared__ int32_t result;
  if (threadIdx.x == 0) result = mine;
  __syncthreads();
  atomicMax(&result, mine);  // for integers the order does not matter
  __syncthreads();
  const int32_t all = result;
  __syncthreads();
  return all;
}

}  // namespace
}  // namespace topo
