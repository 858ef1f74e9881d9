// Connected components by union-find in global memory: each pixel holds an earlier pixel of its component, the first
// one holds itself. Pixels of a word of a row start united, neighbouring rows are united by an atomic minimum (after
// Playne and Hawick, IEEE TPDS 2018), and the first pixels are numbered in raster order. The roots are the first pixels
// in whatever order the unions happen, so the results do not depend on it.
//
// Kernels and device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "components.h"
#include "cuda/words.cuh"

namespace topo {
namespace {

constexpr int32_t kNoComponent = -1;
constexpr int32_t kManyPixels = 0x7FFFFFFF;

// Each pixel of a component points to the first of its run within 32 pixels. With `inverted`, components are those of
// the background.
template <typename T>
__global__ void component_words_kernel(const T* __restrict__ mask,  // [B, H, W]
                                       int32_t* parents,            // [B, H, W]
                                       int64_t count, ComponentParams p, bool inverted) {
  visit_words(count * p.height, p.width, [&](int64_t row, int64_t x, bool in) {
    const int64_t i = row * p.width + x;
    const bool set = in && is_foreground(mask[i]) != inverted;
    const uint32_t others = ~__ballot_sync(kAllLanes, set) & ((1u << lane_index()) - 1);
    const int32_t back = lane_index() - (32 - __clz(others));  // to the first pixel of the run
    if (in) parents[i] = set ? static_cast<int32_t>(row % p.height * p.width + x - back) : kNoComponent;
  });
}

// A parent that other threads may change at the same time. An old one is a later pixel of the same component.
__device__ int32_t load_parent(const int32_t* parents, int64_t pixel) {
#ifdef __CUDA_ARCH__
  return static_cast<const volatile int32_t*>(parents)[pixel];
#else
  return __atomic_load_n(parents + pixel, __ATOMIC_RELAXED);
#endif
}

__device__ int32_t component_root(const int32_t* parents, int32_t pixel) {
  for (int32_t parent = load_parent(parents, pixel); parent != pixel; parent = load_parent(parents, pixel)) {
    pixel = parent;
  }
  return pixel;
}

__device__ void unite_pixels(int32_t* parents, int32_t a, int32_t b) {
  for (;;) {
    a = component_root(parents, a);
    b = component_root(parents, b);
    if (a == b) return;
    const int32_t low = a < b ? a : b, high = a < b ? b : a;
    const int32_t before = atomicMin(&parents[high], low);
    if (before == high) return;
    // Another thread has united `high` with `before`, which may now be lost.
    a = low, b = before;
  }
}

// Unites adjacent pixels, as few pairs as connect all. Parents are those of each image.
__global__ void component_unite_kernel(int32_t* batch_parents,  // [B, H, W]
                                       int64_t count, ComponentParams p, bool diagonal) {
  const int64_t n = p.pixels(), width = p.width, step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    const int64_t image = i / n;
    int32_t* parents = batch_parents + image * n;
    const auto pixel = static_cast<int32_t>(i - image * n);
    if (load_parent(parents, pixel) == kNoComponent) continue;
    const int64_t y = pixel / width, x = pixel - y * width;
    const auto set = [&](int64_t v, int64_t u) {
      return v >= 0 && u >= 0 && u < width && load_parent(parents, v * width + u) != kNoComponent;
    };
    const bool left = set(y, x - 1), up = set(y - 1, x), up_left = set(y - 1, x - 1);
    if (left && x % 32 == 0) unite_pixels(parents, pixel, pixel - 1);
    const auto above = static_cast<int32_t>(pixel - width);
    if (up && !(left && up_left)) unite_pixels(parents, pixel, above);
    if (!diagonal || up) continue;
    if (up_left && !left) unite_pixels(parents, pixel, above - 1);
    if (set(y - 1, x + 1) && !set(y, x + 1)) unite_pixels(parents, pixel, above + 1);
  }
}

// Afterwards each pixel of a component points to its first pixel.
__global__ void component_roots_kernel(int32_t* batch_parents,  // [B, H, W]
                                       int64_t count, ComponentParams p) {
  const int64_t n = p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    int32_t* parents = batch_parents + i / n * n;
    const int32_t parent = load_parent(batch_parents, i);
    // A root is never later than a parent, so the minimum stores it.
    if (parent != kNoComponent) atomicMin(&batch_parents[i], component_root(parents, parent));
  }
}

__device__ bool is_root(const int32_t* parents, const ComponentParams& p, int64_t row, int64_t x, bool in) {
  return in && parents[row * p.width + x] == row % p.height * p.width + x;
}

// How many components begin in each row.
__global__ void component_rows_kernel(const int32_t* __restrict__ parents,  // [B, H, W]
                                      int32_t* __restrict__ begun,          // [B, H]
                                      int64_t count, ComponentParams p) {
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t row = int64_t(blockIdx.x) * (blockDim.x / 32) + warp_index(); row < count * p.height; row += warps) {
    int32_t sum = 0;
    for (int64_t x = lane_index(); x - lane_index() < p.width; x += 32) {
      sum += __popc(__ballot_sync(kAllLanes, is_root(parents, p, row, x, x < p.width)));
    }
    if (lane_index() == 0) begun[row] = sum;
  }
}

// Replaces the numbers of components of the rows of an image by those of the rows before. A warp takes an image.
__global__ void component_sums_kernel(int32_t* __restrict__ begun,  // [B, H]
                                      int64_t count, ComponentParams p) {
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t image = int64_t(blockIdx.x) * (blockDim.x / 32) + warp_index(); image < count; image += warps) {
    int32_t before = 0;
    for (int64_t first = 0; first < p.height; first += 32) {
      const int64_t y = first + lane_index();
      const int32_t mine = y < p.height ? begun[image * p.height + y] : 0;
      int32_t sum = mine;  // of the lanes up to this one
      for (int bits = 1; bits < 32; bits *= 2) {
        const int32_t other = __shfl_sync(kAllLanes, sum, (lane_index() + 32 - bits) % 32);
        if (lane_index() >= bits) sum += other;
      }
      if (y < p.height) begun[image * p.height + y] = before + sum - mine;
      before += __shfl_sync(kAllLanes, sum, 31);
    }
  }
}

// The number of each component at its first pixel. Other pixels are not written.
__global__ void component_numbers_kernel(const int32_t* __restrict__ parents,  // [B, H, W]
                                         const int32_t* __restrict__ before,   // [B, H]
                                         int32_t* __restrict__ numbers,        // [B, H, W]
                                         int64_t count, ComponentParams p) {
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t row = int64_t(blockIdx.x) * (blockDim.x / 32) + warp_index(); row < count * p.height; row += warps) {
    int32_t sum = before[row];
    for (int64_t x = lane_index(); x - lane_index() < p.width; x += 32) {
      const bool root = is_root(parents, p, row, x, x < p.width);
      const uint32_t roots = __ballot_sync(kAllLanes, root);
      if (root) numbers[row * p.width + x] = sum + __popc(roots & ((2u << lane_index()) - 1));
      sum += __popc(roots);
    }
  }
}

// The pixels of each component at its first pixel, whose entries were 0. Whole numbers, so the order does not show.
__global__ void component_areas_kernel(const int32_t* __restrict__ parents,  // [B, H, W]
                                       int32_t* areas,                       // [B, H, W]
                                       int64_t count, ComponentParams p) {
  visit_words(count * p.height, p.width, [&](int64_t row, int64_t x, bool in) {
    const int64_t first = row / p.height * p.pixels();
    const int32_t root = in ? parents[row * p.width + x] : kNoComponent;
    const uint32_t set = __ballot_sync(kAllLanes, root != kNoComponent);
    const bool begins = root != kNoComponent && (lane_index() == 0 || !(set >> (lane_index() - 1) & 1));
    if (!begins) return;
    const uint32_t from_here = ~(set >> lane_index());
    const int length = from_here ? __ffs(from_here) - 1 : 32;
    atomicAdd(&areas[first + root], length);
  });
}

// Makes components at the border of the image too large for a hole.
__global__ void component_border_kernel(const int32_t* __restrict__ parents,  // [B, H, W]
                                        int32_t* __restrict__ areas,          // [B, H, W]
                                        int64_t count, ComponentParams p) {
  const int64_t n = p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    const int64_t image = i / n, y = (i - image * n) / p.width, x = i - image * n - y * p.width;
    if (y > 0 && x > 0 && y + 1 < p.height && x + 1 < p.width) continue;
    if (parents[i] != kNoComponent) atomicMax(&areas[image * n + parents[i]], kManyPixels);
  }
}

// The largest component of each image, as area << 32 | ~first pixel, so that of equals the first one counts.
__global__ void component_largest_kernel(const int32_t* __restrict__ parents,  // [B, H, W]
                                         const int32_t* __restrict__ areas,    // [B, H, W]
                                         unsigned long long* best,             // [B], zeros
                                         int64_t count, ComponentParams p) {
  const int64_t n = p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    const int64_t image = i / n;
    const auto pixel = static_cast<uint32_t>(i - image * n);
    if (parents[i] != static_cast<int32_t>(pixel)) continue;
    const unsigned long long mine = static_cast<unsigned long long>(areas[i]) << 32 | (0xFFFFFFFFu - pixel);
    atomicMax(&best[image], mine);
  }
}

// result[i] = the value at the first pixel of the component, 0 on background. May write where it reads, since the first
// pixel gets the value that it has; entries of other pixels are not read.
__global__ void component_spread_kernel(const int32_t* parents,  // [B, H, W]
                                        const int32_t* values,   // [B, H, W]
                                        int32_t* result,         // [B, H, W]
                                        int64_t count, ComponentParams p) {
  const int64_t n = p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    const int32_t root = parents[i];
    const int32_t value = root == kNoComponent ? 0 : values[i / n * n + root];
    // First pixels, which others read, are not written in place.
    if (result[i] != value) result[i] = value;
  }
}

// What a selection makes of the mask. `best` is that of component_largest_kernel, for largest.
template <typename T>
__global__ void component_select_kernel(const T* __restrict__ mask,                   // [B, H, W]
                                        const int32_t* __restrict__ parents,          // [B, H, W]
                                        const int32_t* __restrict__ areas,            // [B, H, W]
                                        const unsigned long long* __restrict__ best,  // [B]
                                        T* __restrict__ result,                       // [B, H, W]
                                        int64_t count, ComponentParams p, Selection selection, int32_t area) {
  const int64_t n = p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    const int64_t image = i / n;
    const int32_t root = parents[i];
    T value = mask[i];
    if (root != kNoComponent) {
      if (selection == Selection::kLargest) {
        if (static_cast<uint32_t>(root) != 0xFFFFFFFFu - static_cast<uint32_t>(best[image])) value = T(0);
      } else if (areas[image * n + root] < area) {
        if (selection == Selection::kRemoveSmall) {
          value = T(0);
        } else if constexpr (std::is_same_v<T, uint8_t>) {
          value = mask[image * n + root - 1];  // not at the border
        } else {
          value = static_cast<T>(1.0f);
        }
      }
    }
    result[i] = value;
  }
}

}  // namespace
}  // namespace topo
