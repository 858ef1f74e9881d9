// Chessboard distance of binary images to their nearest background pixel, on the GPU.
//
// Sides up to kMaxSide: one block per image, on chip (LevelPlanes). The four cone sweeps of cpu/s2d_simd.h, each by
// one warp that holds a whole line in registers: down and up on one plane of bytes, right and left on another, all at
// once. Opposite sweeps meet in the middle, each then goes on over the other's half and takes the minimum in place,
// which stays exact: every state is the length of some path. The distance is the minimum of the two planes.
// A step of 256 pixels is 34 (rows) or 38 (columns) instructions on sm_90, 8 of them packed minima; an image is `side`
// steps of at least 40 cycles deep. Elsewhere a packed minimum takes 2 to 6 instructions.
// Shared memory at 224 px: 108 KB a block, so 2 blocks a multiprocessor on sm_90, 1 on sm_80; sm_86, 89 and 120 have
// room up to 212 px and take larger images through global memory.
//
// Larger images: columns_kernel, then rows_kernel, through a plane of 16 bits in global memory.
//
// Kernels and device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/four.cuh"
#include "dtypes.h"
#include "s2d.h"

namespace topo {
namespace {

// ---- on chip ----

constexpr int kLevelThreads = 384;  // 2 blocks per multiprocessor leave 80 registers each
constexpr int kSweepWarps = 4;      // the others of the block read the next mask meanwhile: there must be some
constexpr int64_t kMaxSide = 254;
constexpr uint32_t kFarByte = 254;  // no background at all: above every distance, and 255 does not wrap yet
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

// Two planes of bytes, rows in order. Every fourth row is skewed by one bank, so that 32 lanes that each read the same
// word of four rows of their own hit 32 banks. Then a byte of mask bits per row and lane: the lane's pixels are
// 4 lane + {0..3} (low four bits) and 128 + 4 lane + {0..3}.
struct LevelPlanes {
  int32_t height, width;
  int32_t stride;  // of rows: the width, rounded up to words
  int32_t group;   // of four rows
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
  const int32_t group = (4 * stride + 123) / 128 * 128 + 4;  // 4 more than a multiple of 128 bytes
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

// Which of pixels x to x + 3 lie in a row, as bits.
__device__ uint32_t inside_bits(int32_t x, int32_t width) {
  return x + 4 <= width ? 15u : x < width ? 15u >> (x + 4 - width) : 0u;
}

// A lane's byte of a row of mask bits; pixels outside count as background with a black border only.
__device__ uint8_t row_bits(const LevelPlanes& planes, uint32_t low, uint32_t high) {
  const int32_t x = 4 * lane_index();
  const uint32_t inside = inside_bits(x, planes.width) | inside_bits(x + 128, planes.width) << 4;
  return static_cast<uint8_t>(((low | high << 4) & inside) | (planes.black_border ? 0u : ~inside));
}

// Bits of the foreground, and whether a value is neither 0 nor 1.
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

// Rows first, first + step, ... before last into the mask bits; `inverted`, those of 1 - mask. By one warp; returns
// whether a value is neither 0 nor 1.
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

// The whole of it, by the whole block, with the rows below the image that fill up the last group: all outside.
template <typename T>
__device__ bool read_bits(const LevelPlanes& planes, const T* mask, bool fours, bool inverted, uint8_t* bits) {
  const int32_t warps = blockDim.x / 32;
  for (int32_t i = 32 * planes.height + threadIdx.x; i < planes.bits_bytes(); i += blockDim.x) {
    bits[i] = planes.black_border ? 0 : 255;
  }
  return __syncthreads_or(read_bits(planes, mask, fours, inverted, warp_index(), planes.height, warps, bits));
}

// One half of it, by the warps that have no sweep.
template <typename T>
__device__ int read_bits_meanwhile(const LevelPlanes& planes, const T* mask, bool fours, bool inverted, int half,
                                   uint8_t* bits) {
  const int32_t middle = planes.height / 2, warps = blockDim.x / 32 - kSweepWarps;
  const int32_t first = (half ? middle : 0) + warp_index() - kSweepWarps;
  return read_bits(planes, mask, fours, inverted, first, half ? planes.height : middle, warps, bits);
}

// Both planes from the mask bits: far on foreground, 0 on background.
__device__ void lay_planes(const LevelPlanes& planes, const LevelMemory& memory) {
  const int warps = blockDim.x / 32, lane = lane_index();
  for (int32_t y = warp_index(); y < 4 * planes.groups; y += warps) {
    const uint32_t bits = memory.bits[y * 32 + lane];
    for (int half = 0; half < 2; ++half) {
      const int32_t x = 4 * lane + 128 * half;
      if (x >= planes.stride) continue;
      const uint32_t word = (((bits >> (4 * half) & 15u) * 0x00204081u) & 0x01010101u) * kFarByte;
      word_at(memory.vertical + planes.offset(y, x)) = word;
      word_at(memory.horizontal + planes.offset(y, x)) = word;
    }
  }
  __syncthreads();
}

// A line of 256 pixels in a warp's registers, each byte doubled to 16 bits: word j holds pixels 4 lane + j and
// 128 + 4 lane + j.
struct Line {
  uint32_t word[4];
};

// Line from bytes k of four words of pixels 4 lane + {0..3}, and of four of 128 + 4 lane + {0..3}; or, of a row, from
// its two words.
__device__ uint32_t spread(uint32_t low, uint32_t high, int k) {
  return __byte_perm(low, high, 0x4400 + 0x1111 * k);
}

__device__ Line row_line(uint32_t low, uint32_t high) {
  return {{spread(low, high, 0), spread(low, high, 1), spread(low, high, 2), spread(low, high, 3)}};
}

// Words a, b, c, d as bytes: the low halves, the high halves.
__device__ void gather(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t& low, uint32_t& high) {
  const uint32_t ab = __byte_perm(a, b, 0x6240), cd = __byte_perm(c, d, 0x6240);
  low = __byte_perm(ab, cd, 0x5410);
  high = __byte_perm(ab, cd, 0x7632);
}

// The line's neighbours in the lanes beside: pixels before word 0 and after word 3, `outside` at both ends. Pixel 127
// is in the last lane, 128 in the first.
struct Beside {
  uint32_t outside;
  int before_lane, after_lane;
  uint32_t before_bytes, after_bytes;

  __device__ explicit Beside(uint32_t outside)
      : outside(outside),
        before_lane((lane_index() + 31) % 32),
        after_lane((lane_index() + 1) % 32),
        before_bytes(lane_index() == 0 ? 0x1054 : 0x3210),
        after_bytes(lane_index() == 31 ? 0x5432 : 0x3210) {}

  __device__ uint32_t before(const Line& line) const {
    return __byte_perm(__shfl_sync(kAllLanes, line.word[3], before_lane), outside, before_bytes);
  }
  __device__ uint32_t after(const Line& line) const {
    return __byte_perm(__shfl_sync(kAllLanes, line.word[0], after_lane), outside, after_bytes);
  }
};

// The state of a sweep. One step: min3 of the last line, plus 1, at most the new line's own states.
struct Cone {
  Line line;
  Beside beside;

  __device__ explicit Cone(const LevelPlanes& planes) : beside(planes.black_border ? 0u : kFarByte * 0x01010101u) {
    for (uint32_t& word : line.word) word = beside.outside;
  }

  __device__ void step(const Line& own) {
    constexpr uint32_t one = 0x01010101u;
    const uint32_t before = beside.before(line), after = beside.after(line);
    const uint32_t a = __vimin3_u16x2(before, line.word[0], line.word[1]);
    const uint32_t b = __vimin3_u16x2(line.word[0], line.word[1], line.word[2]);
    const uint32_t c = __vimin3_u16x2(line.word[1], line.word[2], line.word[3]);
    const uint32_t d = __vimin3_u16x2(line.word[2], line.word[3], after);
    line.word[0] = __viaddmin_u16x2(a, one, own.word[0]);
    line.word[1] = __viaddmin_u16x2(b, one, own.word[1]);
    line.word[2] = __viaddmin_u16x2(c, one, own.word[2]);
    line.word[3] = __viaddmin_u16x2(d, one, own.word[3]);
  }
};

// A sweep over four lines at a time, quads `begin` to before `end`: rows down (step 1) or up (-1), or columns right or
// left. A quad is four words of each lane's low pixels and four of its high ones: a row of them each, or, of columns, a
// byte of them each. The next quad is read ahead. Lanes beyond the plane hold what is outside.
template <bool rows, int step>
__device__ void sweep_quads(const LevelPlanes& planes, uint8_t* plane, Cone& cone, int32_t begin, int32_t end) {
  const int lane = lane_index(), size = rows ? planes.stride / 4 : planes.groups;
  const bool has_low = lane < size, has_high = lane + 32 < size;
  const int32_t along = step * (rows ? planes.group : 4), across = rows ? 4 : planes.group, stride = planes.stride;
  uint8_t* at = plane + begin * step * along + lane * across;
  uint32_t low[4], high[4];
  const auto read = [&](uint8_t* quad) {
    for (int j = 0; j < 4; ++j) {
      low[j] = has_low ? word_at(quad + j * stride) : cone.beside.outside;
      high[j] = has_high ? word_at(quad + 32 * across + j * stride) : cone.beside.outside;
    }
  };
  if (begin != end) read(at);
  for (int32_t quad = begin; quad != end; quad += step, at += along) {
    Line own[4], swept[4];
    for (int k = 0; k < 4; ++k) {
      for (int j = 0; j < 4; ++j) own[k].word[j] = rows ? spread(low[k], high[k], j) : spread(low[j], high[j], k);
    }
    if (quad + step != end) read(at + along);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int k = step > 0 ? i : 3 - i;
      cone.step(own[k]);
      swept[k] = cone.line;
    }
    for (int j = 0; j < 4; ++j) {
      uint32_t new_low, new_high;
      if (rows) {
        gather(swept[j].word[0], swept[j].word[1], swept[j].word[2], swept[j].word[3], new_low, new_high);
      } else {
        gather(swept[0].word[j], swept[1].word[j], swept[2].word[j], swept[3].word[j], new_low, new_high);
      }
      if (has_low) word_at(at + j * stride) = new_low;
      if (has_high) word_at(at + 32 * across + j * stride) = new_high;
    }
  }
}

// The four sweeps over planes that lay_planes() laid, by the whole block. Warps without a sweep call `meanwhile(half)`
// for half = 0 and 1.
template <typename Meanwhile>
__device__ void sweep(const LevelPlanes& planes, const LevelMemory& memory, const Meanwhile& meanwhile) {
  Cone cone(planes);
  const int32_t groups = planes.groups, words = planes.stride / 4;
  const int32_t middle_group = groups / 2, middle_word = words / 2;
  for (int half = 0; half < 2; ++half) {
    switch (warp_index()) {
      case 0:
        sweep_quads<true, 1>(planes, memory.vertical, cone, half ? middle_group : 0, half ? groups : middle_group);
        break;
      case 1:
        sweep_quads<true, -1>(planes, memory.vertical, cone, (half ? middle_group : groups) - 1,
                              (half ? 0 : middle_group) - 1);
        break;
      case 2:
        sweep_quads<false, 1>(planes, memory.horizontal, cone, half ? middle_word : 0, half ? words : middle_word);
        break;
      case 3:
        sweep_quads<false, -1>(planes, memory.horizontal, cone, (half ? middle_word : words) - 1,
                               (half ? 0 : middle_word) - 1);
        break;
      default:
        meanwhile(half);
    }
    __syncthreads();
  }
}

// Distances of row y, at most `cap` (a byte, doubled and doubled again: 0x01010101 * cap).
__device__ Line distance_line(const LevelPlanes& planes, const LevelMemory& memory, int32_t y, uint32_t cap) {
  const int32_t x = 4 * lane_index();
  uint32_t a[2] = {0, 0}, b[2] = {0, 0};
  for (int half = 0; half < 2; ++half) {
    if (x + 128 * half >= planes.stride) continue;
    a[half] = word_at(memory.vertical + planes.offset(y, x + 128 * half));
    b[half] = word_at(memory.horizontal + planes.offset(y, x + 128 * half));
  }
  Line line;
  for (int j = 0; j < 4; ++j) {
    line.word[j] = __vimin3_u16x2(spread(a[0], a[1], j), spread(b[0], b[1], j), cap);
  }
  return line;
}

// Distance of one pixel, and its level D. Slow: for what distance_line() does not give.
__device__ uint16_t distance_at(const LevelPlanes& planes, const LevelMemory& memory, int32_t y, int32_t x) {
  const uint8_t a = memory.vertical[planes.offset(y, x)], b = memory.horizontal[planes.offset(y, x)];
  const uint8_t least = a < b ? a : b;
  return least == kFarByte ? kFar : least;
}

struct PlaneForeground {
  const LevelPlanes& planes;
  const uint8_t* plane;

  __device__ bool operator[](int64_t i) const {
    return plane[planes.offset(static_cast<int32_t>(i / planes.width), static_cast<int32_t>(i % planes.width))] != 0;
  }
};

__device__ int32_t level_at(const S2dParams& p, const LevelPlanes& planes, const LevelMemory& memory, int32_t y,
                            int32_t x) {
  if (is_filled_hole(p, PlaneForeground{planes, memory.vertical}, y, x)) return 1;
  return thinning_depth(p, distance_at(planes, memory, y, x));
}

// Whether distance_line() with level_cap() gives levels.
TOPO_HOST_DEVICE bool level_is_distance(const S2dParams& p) {
  return p.radius == 1 && !p.fill_holes && p.iterations + 1 <= static_cast<int32_t>(kFarByte);
}

TOPO_HOST_DEVICE uint32_t level_cap(const S2dParams& p) {
  const uint32_t cap = static_cast<uint32_t>(p.iterations) + 1;
  return (cap < kFarByte ? cap : kFarByte) * 0x01010101u;
}

// ---- through global memory ----

template <typename T>
struct MaskForeground {
  const T* mask;

  __device__ bool operator[](int64_t i) const {
    return static_cast<accumulate_t<T>>(mask[i]) != 0;
  }
};

// Distance along the column to the nearest background. A block takes 32 columns of one image, 32 rows at a time as a
// word of bits in shared memory (4 bytes per row). Per pixel: sizeof(T) bytes read, 2 written.
// soft[image] = 1 where a value is neither 0 nor 1.
template <typename T>
__global__ void columns_kernel(const T* __restrict__ mask,         // [B, H, W]
                               uint16_t* __restrict__ columns,     // [B, H, W]
                               int32_t* __restrict__ soft_images,  // [B], zeros
                               bool inverted, S2dParams p) {
  auto* background = reinterpret_cast<uint32_t*>(dynamic_shared());
  const int64_t strips = (p.width + 31) / 32, image = blockIdx.x / strips;
  const int64_t x = blockIdx.x % strips * 32 + lane_index();
  const int32_t height = static_cast<int32_t>(p.height), words = (height + 31) / 32;
  const int32_t warps = blockDim.x / 32;
  const T* column = mask + image * p.pixels() + x;
  uint16_t* result = columns + image * p.pixels() + x;
  int soft = 0;
  for (int32_t w = warp_index(); w < words; w += warps) {
    uint32_t bits = 0;
    for (int k = 0; k < 32 && x < p.width && 32 * w + k < height; ++k) {
      const auto value = static_cast<accumulate_t<T>>(column[(32 * int64_t(w) + k) * p.width]);
      if ((value == 0) != inverted) bits |= 1u << k;
      if constexpr (!std::is_same_v<T, uint8_t>) soft |= value != 0 && value != 1;
    }
    background[w * 32 + lane_index()] = bits;
  }
  if (__syncthreads_or(soft) && threadIdx.x == 0) soft_images[image] = 1;  // the same from every block
  if (x >= p.width) return;
  const int32_t none = 2 * 32768;  // farther than any row
  for (int32_t w = warp_index(); w < words; w += warps) {
    // The nearest background above and below this word.
    int32_t above = p.black_border ? -1 : -none, below = p.black_border ? height : none + height;
    for (int32_t v = w - 1; v >= 0; --v) {
      const uint32_t bits = background[v * 32 + lane_index()];
      if (bits) {
        above = 32 * v + 31 - __clz(bits);
        break;
      }
    }
    for (int32_t v = w + 1; v < words; ++v) {
      const uint32_t bits = background[v * 32 + lane_index()];
      if (bits) {
        below = 32 * v + __ffs(bits) - 1;
        break;
      }
    }
    const uint32_t bits = background[w * 32 + lane_index()];
    for (int k = 0; k < 32 && 32 * w + k < height; ++k) {
      const int32_t y = 32 * w + k;
      const uint32_t up = bits << (31 - k), down = bits >> k;
      const int32_t to_above = up ? __clz(up) : y - above, to_below = down ? __ffs(down) - 1 : below - y;
      const int32_t nearer = to_above < to_below ? to_above : to_below;
      result[y * p.width] = nearer < kFar ? static_cast<uint16_t>(nearer) : kFar;
    }
  }
}

// Levels from the distances along columns, one thread per pixel: min(D, W) reads of its row, which stay in L1.
template <typename T, typename Out>
__global__ void rows_kernel(const uint16_t* __restrict__ columns,  // [B, H, W]
                            const T* __restrict__ mask,            // [B, H, W], for fill_holes
                            Out* __restrict__ levels,              // [B, H, W]
                            int64_t count, S2dParams p) {
  const int64_t total = count * p.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += step) {
    const int64_t row = i / p.width, x = i - row * p.width, image = row / p.height, y = row - image * p.height;
    int32_t level = thinning_depth(p, nearest_in_row(p, columns + row * p.width, x));
    if (is_filled_hole(p, MaskForeground<T>{mask + image * p.pixels()}, y, x)) level = 1;
    if constexpr (std::is_same_v<Out, uint16_t>) {
      levels[i] = static_cast<uint16_t>(level);
    } else {
      levels[i] = static_cast<Out>(static_cast<float>(level));
    }
  }
}

}  // namespace
}  // namespace topo
