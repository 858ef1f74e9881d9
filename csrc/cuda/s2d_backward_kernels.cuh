// Backward of s2d, one block per image. Three pieces, which the fused operators use too:
//   walk       pixels listed by their level and visited from deep to shallow, one barrier a level. A counting sort
//              makes the list, for as many levels at a time as it holds; a level too big for it is found by looking
//              at every pixel. Where a pixel stands within its level does not show: visits of one level are
//              independent, and each gathers in a fixed order.
//   route      the subgradient. A pixel adds up what its deeper neighbours hand over and divides it among its lower
//              ones. The plane of what is handed over is the result itself: only levels 0 and 1 keep anything.
//   adjoint    the exact one. Step i of the recursion reaches only pixels that survive i - 1 steps, a prefix of the
//              same list: the work is the depth actually visited.
// Kernels only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/levels.cuh"
#include "cuda/thinning.cuh"
#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

// ---- levels, in global memory ----

// Foreground bytes of one image, and whether any value is neither 0 nor 1.
template <typename T>
__device__ bool read_mask(const T* mask, int64_t count, uint8_t* foreground) {
  int soft = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    const auto value = static_cast<accumulate_t<T>>(mask[i]);
    foreground[i] = value != 0;
    if constexpr (!std::is_same_v<T, uint8_t>) soft |= value != 0 && value != 1;
  }
  return __syncthreads_or(soft);
}

// Chessboard distance along columns, then the nearest along rows: max(|dx|, column distance at x + dx).
// The search stops at the distance found, so a pixel costs min(d, W) reads of its row, which stay in L1.
__device__ void column_distances(const S2dParams& p, const uint8_t* foreground, uint16_t* columns) {
  const uint16_t border = p.black_border ? 0 : kFar;
  for (int64_t x = threadIdx.x; x < p.width; x += blockDim.x) {
    uint16_t run = border;
    for (int64_t y = 0; y < p.height; ++y) {
      const int64_t i = y * p.width + x;
      run = foreground[i] ? static_cast<uint16_t>(run + (run != kFar)) : 0;
      columns[i] = run;
    }
    run = border;
    for (int64_t y = p.height - 1; y >= 0; --y) {
      const int64_t i = y * p.width + x;
      run = foreground[i] ? static_cast<uint16_t>(run + (run != kFar)) : 0;
      if (run < columns[i]) columns[i] = run;
    }
  }
  __syncthreads();
}

__device__ void binary_depth(const S2dParams& p, const uint8_t* foreground, uint16_t* columns, uint16_t* depth) {
  column_distances(p, foreground, columns);
  for (int64_t i = threadIdx.x; i < p.pixels(); i += blockDim.x) {
    const int64_t y = i / p.width, x = i - y * p.width;
    uint16_t level = static_cast<uint16_t>(thinning_depth(p, nearest_in_row(p, columns + y * p.width, x)));
    if (is_filled_hole(p, foreground, y, x)) level = 1;
    depth[i] = level;
  }
  __syncthreads();
}

// ---- walk ----

// Levels of an image in global memory.
struct WidePlane {
  const uint16_t* data;
  int32_t height, width, radius;
  using Entry = uint32_t;  // of a list: y << (half its bits) | x

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

// Levels of an image in shared memory, for 3 x 3 windows: a frame of kOutside makes all pixels alike, and rows an odd
// number of words apart spread a column over the banks.
struct FramedPlane {
  const uint8_t* data;  // of pixel (0, 0)
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

// visit(y, x) for every pixel; a warp takes a piece of a row.
template <typename Visit>
__device__ void for_pixels(int32_t height, int32_t width, Visit&& visit) {
  const int32_t lanes = blockDim.x < 32 ? blockDim.x : 32;
  for (int32_t y = threadIdx.x / lanes; y < height; y += blockDim.x / lanes) {
    for (int32_t x = threadIdx.x % lanes; x < width; x += lanes) visit(y, x);
  }
}

// No distance is larger: levels beyond it are saturated.
TOPO_HOST_DEVICE int32_t deepest_level(const S2dParams& p) {
  const int32_t longest = static_cast<int32_t>(p.height > p.width ? p.height : p.width);
  return p.iterations < longest ? p.iterations : longest;
}

// Room for a walk.
template <typename Entry>
struct LevelList {
  Entry* pixels;
  int32_t capacity;  // at least 1
  int32_t* next;     // [deepest + 2] where the next pixel of a level goes
  int32_t* ends;     // [deepest + 2] pixels of this level and of deeper ones
};

template <typename Plane>
class LevelWalk {
 public:
  using Entry = typename Plane::Entry;

  __device__ LevelWalk(const Plane& plane, const LevelList<Entry>& list) : plane_(plane), list_(list) {}

  // In this order, by all threads: clear; count pixels, barrier; run or sort.
  __device__ void clear(int32_t levels) {
    for (int32_t k = threadIdx.x; k <= levels + 1; k += blockDim.x) list_.next[k] = 0;
    __syncthreads();
  }

  __device__ void count(int32_t level) {
    atomicAdd(&list_.next[level], 1);
  }

  // visit(y, x, level) for the pixels of levels deepest..1, a barrier after each level.
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

  // All levels at once, where the list holds every pixel.
  __device__ void sort(int32_t deepest) {
    place(deepest);
    if (deepest > 0) fill(deepest);
  }

  // visit(y, x) for the pixels of a level that `fill` has listed last.
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

  // Four pixels of a row a thread, the threads of a warp along a diagonal: these seldom share a level, so that
  // their atomics seldom wait for each other.
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

// The largest of the threads' values. The barriers also order what was written before.
__device__ int32_t block_max(int32_t mine) {
  __shared__ int32_t result;
  if (threadIdx.x == 0) result = mine;
  __syncthreads();
  atomicMax(&result, mine);  // of integers: the order does not show
  __syncthreads();
  const int32_t all = result;
  __syncthreads();
  return all;
}

// ---- route ----

// The subgradient of a binary image from its levels; upstream(i) is dL/dD at pixel i. `flow` becomes the result; it
// may be where `upstream` reads, since a pixel is read for the last time before it is written.
template <typename Plane, typename Real, typename Upstream>
__device__ void route_image(const S2dParams& p, const Plane& plane, const LevelList<typename Plane::Entry>& list,
                            const Upstream& upstream, Real* flow) {
  const int32_t width = plane.width;
  LevelWalk<Plane> walk(plane, list);
  walk.clear(deepest_level(p));
  int32_t deepest = 0;  // of the levels that have a gradient: beyond it there is nothing to visit
  for_pixels(plane.height, width, [&](int32_t y, int32_t x) {
    const int32_t level = plane.at(y, x);
    if (level == 0 || level > p.iterations) return;
    walk.count(level);
    // Read in any case: it brings the gradient near.
    if (upstream(y * width + x) != Real(0) && level > deepest) deepest = level;
  });
  deepest = block_max(deepest);

  walk.run(deepest, [&](int32_t y, int32_t x, int32_t level) {
    const int32_t above = level < deepest ? level + 1 : -1;
    int32_t lower = level == 1 && p.black_border ? static_cast<int32_t>(outside_count(p, y, x)) : 0;
    Real total = upstream(y * width + x);
    plane.around(y, x, [&](int32_t there, int32_t v, int32_t u) {
      lower += there == level - 1;
      total += there == above ? flow[v * width + u] : Real(0);
    });
    if (level == 1) lower *= 2;                                              // half stays
    flow[y * width + x] = lower ? total / static_cast<Real>(lower) : total;  // all stays beside a filled hole only
  });

  for_pixels(plane.height, width, [&](int32_t y, int32_t x) {
    if (deepest == 0 || plane.at(y, x) != 1) flow[y * width + x] = Real(0);
  });
  __syncthreads();
  if (deepest == 0) return;
  // Background takes from the contour. The first contour pixel of its window sees to it.
  walk.visit_level(1, [&](int32_t y, int32_t x) {
    plane.around(y, x, [&](int32_t there, int32_t v, int32_t u) {
      if (there != 0) return;
      int32_t first = -1;
      Real sum = Real(0);
      plane.around(v, u, [&](int32_t level, int32_t b, int32_t a) {
        if (level != 1) return;
        if (first < 0) first = b * width + a;
        sum += flow[b * width + a];
      });
      if (first == y * width + x) flow[v * width + u] = sum;
    });
  });
  __syncthreads();
  walk.visit_level(1, [&](int32_t y, int32_t x) {
    int32_t lower = p.black_border ? static_cast<int32_t>(outside_count(p, y, x)) : 0;
    plane.around(y, x, [&](int32_t there, int32_t, int32_t) { lower += there == 0; });
    if (lower) flow[y * width + x] *= static_cast<Real>(lower);
  });
  __syncthreads();
}

// ---- adjoint ----

// The exact gradient, from the survivals (s2d.h); the list must hold every pixel. `a` and `b` are scratch planes.
template <typename Plane, typename Real, typename Upstream>
__device__ void adjoint_image(const S2dParams& p, const Plane& survivals, const LevelList<typename Plane::Entry>& list,
                              const Upstream& upstream, Real* a, Real* b, Real* grad) {
  const int32_t width = survivals.width;
  LevelWalk<Plane> walk(survivals, list);
  walk.clear(p.iterations);
  int32_t longest = 0;
  for_pixels(survivals.height, width, [&](int32_t y, int32_t x) {
    const int32_t steps = survivals.at(y, x);
    if (steps) walk.count(steps);
    longest = steps > longest ? steps : longest;
  });
  longest = block_max(longest);

  // G after `step` at a pixel; `deeper` is valid where more steps are survived.
  const auto gather = [&](const Real* deeper, int32_t step, int32_t y, int32_t x) {
    Real sum = upstream(y * width + x);
    if (!p.fill_holes && survivals.at(y, x) > step) sum += deeper[y * width + x];
    survivals.around(y, x, [&](int32_t steps, int32_t v, int32_t u) {
      if (steps > step) sum += deeper[v * width + u];
    });
    return sum;
  };
  walk.sort(longest);
  if (longest > 0) {  // with nothing to list, the list is not written
    walk.visit_down_to(longest, [&](int32_t y, int32_t x) { a[y * width + x] = upstream(y * width + x); });
  }
  __syncthreads();
  for (int32_t step = longest - 1; step >= 1; --step) {
    walk.visit_down_to(step, [&](int32_t y, int32_t x) { b[y * width + x] = gather(a, step, y, x); });
    __syncthreads();
    Real* swap = a;
    a = b;
    b = swap;
  }
  for_pixels(survivals.height, width, [&](int32_t y, int32_t x) { grad[y * width + x] = gather(a, 0, y, x); });
  __syncthreads();
}

// ---- kernels ----

// Carves arrays out of a block's memory; with a null start, measures.
struct Room {
  uint8_t* at;

  template <typename T>
  TOPO_HOST_DEVICE T* take(int64_t count) {
    auto* result = reinterpret_cast<T*>(at);
    at += (count * static_cast<int64_t>(sizeof(T)) + 15) / 16 * 16;
    return result;
  }

  TOPO_HOST_DEVICE int64_t taken() const {
    return reinterpret_cast<int64_t>(at);
  }
};

template <typename Entry>
TOPO_HOST_DEVICE LevelList<Entry> take_list(Room& room, int64_t levels, int64_t capacity) {
  auto *next = room.take<int32_t>(levels + 2), *ends = room.take<int32_t>(levels + 2);
  return {room.take<Entry>(capacity), static_cast<int32_t>(capacity), next, ends};
}

// Shared memory of a block for images on chip (levels.cuh). Sweeping takes vertical, horizontal and bits; then the
// levels move from `horizontal` to the framed plane, whose memory `vertical` was, and a list fills `horizontal`. The
// mask bits stay. 111 KB at 224 x 224: two blocks per multiprocessor of sm_90, one of sm_80.
struct ChipMemory {
  LevelPlanes planes;
  int32_t stride, framed_bytes;
  uint8_t* start;
  int32_t *next, *ends;

  TOPO_HOST_DEVICE ChipMemory(const LevelPlanes& level_planes, Room& room) : planes(level_planes) {
    const int32_t words = planes.width / 4 + 1, longest = planes.height > planes.width ? planes.height : planes.width;
    stride = 4 * (words + 1 - words % 2);
    framed_bytes = (4 + (planes.height + 2) * stride + 15) / 16 * 16;
    if (framed_bytes < planes.plane_bytes()) framed_bytes = (planes.plane_bytes() + 15) / 16 * 16;
    start = room.take<uint8_t>(framed_bytes + planes.plane_bytes() + planes.bits_bytes());
    next = room.take<int32_t>(longest + 2);
    ends = room.take<int32_t>(longest + 2);
  }

  __device__ LevelMemory levels() const {
    LevelMemory memory(start, planes);
    memory.horizontal = start + framed_bytes;
    memory.bits = memory.horizontal + planes.plane_bytes();
    return memory;
  }

  __device__ FramedPlane framed() const {
    return {start + 4 + stride, planes.height, planes.width, stride};
  }

  __device__ LevelList<uint16_t> list() const {
    return {reinterpret_cast<uint16_t*>(start + framed_bytes), planes.plane_bytes() / 2, next, ends};
  }

  // The framed levels of the foreground in the mask bits; meanwhile() runs on warps that have nothing to sweep.
  template <typename Meanwhile>
  __device__ void fill(const S2dParams& p, const Meanwhile& meanwhile) const {
    const LevelMemory memory = levels();
    lay_planes(planes, memory);
    sweep(planes, memory, meanwhile);
    const int32_t lane = lane_index(), warps = blockDim.x / 32;
    for (int32_t y = warp_index(); y < planes.height; y += warps) {
      const Line line = distance_line(planes, memory, y, level_cap(p));
      uint32_t word[2];
      gather(line.word[0], line.word[1], line.word[2], line.word[3], word[0], word[1]);
      for (int32_t half = 0; half < 2; ++half) {
        const int32_t x = 4 * lane + 128 * half;
        if (x < planes.stride) word_at(memory.horizontal + planes.offset(y, x)) = word[half];
      }
    }
    __syncthreads();
    for (int32_t y = warp_index() - 1; y <= planes.height; y += warps) {
      uint8_t* row = start + 4 + (y + 1) * stride;
      for (int32_t x = 4 * lane; x < stride; x += 128) {
        const int32_t inside = y < 0 || y == planes.height ? 0 : planes.width - x;  // pixels from here
        uint32_t word = inside > 0 ? word_at(memory.horizontal + planes.offset(y, x)) : 0;
        if (inside < 4) word |= 0xFFFFFFFFu << (inside > 0 ? 8 * inside : 0);
        word_at(row + x) = word;
      }
    }
    if (threadIdx.x == 0) start[3] = FramedPlane::kOutside;  // left of the frame's first row
    __syncthreads();
  }
};

// Levels are distances below kFarByte, which means none.
inline S2dParams chip_params(S2dParams p) {
  if (p.iterations > kMaxSide - 1) p.iterations = kMaxSide - 1;
  return p;
}

__device__ void prefetch([[maybe_unused]] const void* address) {
#ifdef __CUDA_ARCH__
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
#endif
}

// Brings the gradient of the foreground near, while others sweep.
template <typename T>
struct Prefetch {
  const ChipMemory& chip;
  const T* pixels;

  __device__ void operator()(int half) const {
    const int32_t height = chip.planes.height, lane = lane_index();
    const uint8_t* bits = chip.levels().bits;
    const int32_t first = half ? height / 2 : 0, last = half ? height : height / 2;
    for (int32_t y = first + warp_index() - kSweepWarps; y < last; y += blockDim.x / 32 - kSweepWarps) {
      for (int32_t part = 0; part < 2; ++part) {
        const int32_t x = 4 * lane + 128 * part;
        if (x < chip.planes.width && (bits[y * 32 + lane] >> 4 * part & 15)) {
          prefetch(pixels + y * chip.planes.width + x);
        }
      }
    }
  }
};

// Subgradient of images on chip. Float32, per pixel: 4 bytes of mask read, 4 of gradient where there is foreground, 4
// written; what is handed over goes through the result and stays in L2. Thread instructions, estimated: 60 for the
// levels and the passes over all pixels, 75 a foreground pixel more, 400 a contour pixel more. 80 registers; 88 bytes
// spilled on sm_80, none on sm_90 and sm_120. A barrier a level.
template <typename Real>
__global__ void __launch_bounds__(kLevelThreads, 2)
    s2d_route_kernel(const Real* __restrict__ grad,  // [B, H, W]
                     const Real* __restrict__ mask,  // [B, H, W]
                     uint8_t* __restrict__ soft,     // [B], set where nothing else is done
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

// Subgradient of images too large for shared memory, or with a window larger than 3 x 3. Scratch of a block: levels
// and a list of an eighth of the pixels, 2.5 bytes per pixel; what their making needs lies where the result will be.
// The same work as on chip, through L2; a window of n x n takes n^2 reads a foreground pixel. No spills.
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
__global__ void s2d_route_large_kernel(const Real* __restrict__ grad,  // [B, H, W]
                                       const Real* __restrict__ mask,  // [B, H, W]
                                       uint8_t* scratch,               // [gridDim, block_bytes]
                                       int64_t block_bytes,
                                       uint8_t* __restrict__ soft,  // [B], set where nothing else is done
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
// float32.
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

  // Thins one image: its levels, where it is binary and the subgradient is wanted, else its survivals. D into
  // `distance`, where that is not null. Returns whether the adjoint is to follow.
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

  // The gradient of the image that was thinned.
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

// The exact gradient of soft images, or of all: `soft` is null then. Estimated: 45 thread instructions for each step
// that a pixel survives, on top of the thinning of soft images, which takes all pixels every step. No spills.
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
