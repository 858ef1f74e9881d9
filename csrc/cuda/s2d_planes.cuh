// The on-chip data of one image in s2d: the mask as bits, and two planes of bytes that the sweeps of s2d_levels.cuh
// turn into distances.
//
// A block needs 108 KB of shared memory at 224 px. sm_90 then runs 2 blocks per multiprocessor and sm_80 one. On sm_86,
// sm_89 and sm_120 images of up to 212 px fit; larger ones go through global memory (s2d_large.cuh).

#pragma once

#include "cuda/four.cuh"
#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

constexpr int kLevelThreads = 384;  // 2 blocks per multiprocessor leave 80 registers each
constexpr int kSweepWarps = 4;      // the other warps of the block, at least one, read the next mask meanwhile
constexpr int64_t kMaxSide = 254;
constexpr uint32_t kFarByte = 254;  // no background: above every distance, and adding 1 does not wrap
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

// The layout of shared memory: two planes of bytes, row by row. A group of four rows is padded by one bank, so that 32
// lanes that read the same word of 32 different groups hit 32 banks. The planes are followed by one byte of mask bits
// per row and lane. Its low four bits are pixels 4 lane + {0..3}, its high four bits pixels 128 + 4 lane + {0..3}.
struct LevelPlanes {
  int32_t height, width;
  int32_t stride;  // bytes of a row: the width, rounded up to words
  int32_t group;   // bytes of four rows, with padding
  int32_t groups;
  bool black_border;

  TOPO_HOST_DEVICE int32_t offset(int32_t y, int32_t x) const {
    return (y >> 2) * group + (y & 3) * stride + x;
  }
  TOPO_HOST_DEVICE int32_t plane_bytes() const {
    return groups * group;
  }
  TOPO_HOST_DEVICE int32_t bits_bytes() const {
    return groups * 4 * 32;
  }
  TOPO_HOST_DEVICE int32_t shared_bytes() const {
    return 2 * plane_bytes() + bits_bytes();
  }
};

inline LevelPlanes level_planes(const S2dParams& p) {
  const int32_t height = static_cast<int32_t>(p.height), width = static_cast<int32_t>(p.width);
  const int32_t stride = (width + 3) / 4 * 4;
  const int32_t group = (4 * stride + 123) / 128 * 128 + 4;  // one bank more than a multiple of 128 bytes
  return {height, width, stride, group, (height + 3) / 4, p.black_border};
}

// The dynamic shared memory of the block.
struct LevelMemory {
  uint8_t *vertical, *horizontal;  // planes
  uint8_t* bits;

  __device__ LevelMemory(uint8_t* shared, const LevelPlanes& planes)
      : vertical(shared), horizontal(shared + planes.plane_bytes()), bits(shared + 2 * planes.plane_bytes()) {}
};

#ifdef __CUDACC__
__device__ uint8_t* dynamic_shared() {
  extern __shared__ uint4 dynamic_shared_memory[];
  return reinterpret_cast<uint8_t*>(dynamic_shared_memory);
}
#endif

__device__ int lane_index() {
  return threadIdx.x % 32;
}

__device__ int warp_index() {
  return threadIdx.x / 32;
}

__device__ uint32_t& word_at(uint8_t* bytes) {
  return *reinterpret_cast<uint32_t*>(bytes);
}

// Bits of the pixels x to x + 3 that lie in the image.
__device__ uint32_t inside_bits(int32_t x, int32_t width) {
  return x + 4 <= width ? 15u : x < width ? 15u >> (x + 4 - width) : 0u;
}

// A lane's byte of a row of mask bits. Pixels outside the image are foreground, or background with a black border.
__device__ uint8_t row_bits(const LevelPlanes& planes, uint32_t low, uint32_t high) {
  const int32_t x = 4 * lane_index();
  const uint32_t inside = inside_bits(x, planes.width) | inside_bits(x + 128, planes.width) << 4;
  return static_cast<uint8_t>(((low | high << 4) & inside) | (planes.black_border ? 0u : ~inside));
}

// Bits of the foreground. Sets `soft` if a value is neither 0 nor 1.
template <typename T>
__device__ uint32_t foreground_bits(const Four<T>& pixels, int& soft) {
  uint32_t bits = 0;
  for (int k = 0; k < 4; ++k) {
    const auto value = static_cast<accumulate_t<T>>(pixels.value[k]);
    bits |= value != 0 ? 1u << k : 0u;
    if constexpr (!std::is_same_v<T, uint8_t>) soft |= value != 0 && value != 1;
  }
  return bits;
}

// One warp reads rows first, first + step, ... below last into the mask bits, or those of 1 - mask if `inverted`.
// Returns whether a value of the lane is neither 0 nor 1.
template <typename T>
__device__ int read_bits(const LevelPlanes& planes, const T* mask, bool fours, bool inverted, int32_t first,
                         int32_t last, int32_t step, uint8_t* bits) {
  int soft = 0;
  const int32_t x = 4 * lane_index(), width = planes.width;
  const auto read = [&](int32_t y, bool whole) {
    const T* row = mask + int64_t(y) * width;
    const Four<T> near = load_four(row, x, width, whole), far = load_four(row, x + 128, width, whole);
    const uint32_t flip = inverted ? 15u : 0u;
    const uint32_t low = foreground_bits(near, soft) ^ flip, high = foreground_bits(far, soft) ^ flip;
    bits[y * 32 + lane_index()] = row_bits(planes, low, high);
  };
  if (fours) {
#pragma unroll 4
    for (int32_t y = first; y < last; y += step) read(y, true);
  } else {
    for (int32_t y = first; y < last; y += step) read(y, false);
  }
  return soft;
}

// The whole block reads the whole mask. The rows below the image that complete the last group are outside the image.
template <typename T>
__device__ bool read_bits(const LevelPlanes& planes, const T* mask, bool fours, bool inverted, uint8_t* bits) {
  const int32_t warps = blockDim.x / 32;
  for (int32_t i = 32 * planes.height + threadIdx.x; i < planes.bits_bytes(); i += blockDim.x) {
    bits[i] = planes.black_border ? 0 : 255;
  }
  return __syncthreads_or(read_bits(planes, mask, fours, inverted, warp_index(), planes.height, warps, bits));
}

// The warps without a sweep read one half of a mask.
template <typename T>
__device__ int read_bits_meanwhile(const LevelPlanes& planes, const T* mask, bool fours, bool inverted, int half,
                                   uint8_t* bits) {
  const int32_t middle = planes.height / 2, warps = blockDim.x / 32 - kSweepWarps;
  const int32_t first = (half ? middle : 0) + warp_index() - kSweepWarps;
  return read_bits(planes, mask, fours, inverted, first, half ? planes.height : middle, warps, bits);
}

// Sets both planes from the mask bits: kFarByte on foreground, 0 on background.
__device__ void lay_planes(const LevelPlanes& planes, const LevelMemory& memory) {
  const int warps = blockDim.x / 32, lane = lane_index();
  for (int32_t y = warp_index(); y < 4 * planes.groups; y += warps) {
    const uint32_t bits = memory.bits[y * 32 + lane];
    for (int half = 0; half < 2; ++half) {
      const int32_t x = 4 * lane + 128 * half;
      if (x >= planes.stride) continue;
      // The product spreads four bits over the lowest bits of four bytes.
      const uint32_t word = (((bits >> (4 * half) & 15u) * 0x00204081u) & 0x01010101u) * kFarByte;
      word_at(memory.vertical + planes.offset(y, x)) = word;
      word_at(memory.horizontal + planes.offset(y, x)) = word;
    }
  }
  __syncthreads();
}

}  // namespace
}  // namespace topo
