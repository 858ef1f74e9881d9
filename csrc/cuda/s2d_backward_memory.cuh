// The memory of a block in the backward of s2d and of the fused operators, and the levels computed in it: ChipMemory
// for images on chip, binary_depth() for images in global memory.

#pragma once

#include "cuda/s2d_backward_walk.cuh"
#include "cuda/s2d_levels.cuh"

namespace topo {
namespace {

// Allocates arrays from a block's memory, one after the other. With a null start, taken() is the size needed.
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

// Shared memory of a block for images on chip (s2d_levels.cuh). The sweeps use both planes and the mask bits. Then the
// levels move from the horizontal plane to the framed plane, which overlays the vertical plane, and the list of the
// walk takes the horizontal plane's memory. The mask bits stay. It takes 111 KB at 224 x 224: two blocks per
// multiprocessor on sm_90, one on sm_80.
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

  // Computes the framed levels from the mask bits. The warps without a sweep run meanwhile().
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

// Limits the iterations, so that levels stay below kFarByte, which stands for "no background".
inline S2dParams chip_params(S2dParams p) {
  if (p.iterations > kMaxSide - 1) p.iterations = kMaxSide - 1;
  return p;
}

__device__ void prefetch([[maybe_unused]] const void* address) {
#ifdef __CUDA_ARCH__
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
#endif
}

// Prefetches the gradient of the foreground into L2 while other warps sweep.
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

// ---- levels, in global memory ----

// Reads the foreground of one image as bytes. Returns whether any value is neither 0 nor 1.
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

// Distances along the columns, for the chessboard distance min over dx of max(|dx|, columns[x + dx]) (nearest_in_row()
// in s2d.h). That search stops at the distance found, so that a pixel reads min(d, W) values of its row, from L1.
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

// Levels of a binary image; `columns` is scratch.
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

}  // namespace
}  // namespace topo
