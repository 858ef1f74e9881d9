// Chessboard distance of binary images to their nearest background pixel, on chip, one block per image: sides up to
// kMaxSide (s2d_planes.cuh).
//
// Four sweeps run at the same time: down and up on one plane of bytes, right and left on the other. One warp does each
// of them and holds a whole line in registers. A step takes the minimum over three neighbours in the line before, plus
// 1, so that a sweep finds the background in a cone of 90 degrees behind it; the four cones cover all directions.
// Opposite sweeps start at opposite ends and meet in the middle. Each then continues over the other's half and takes
// the minimum with the states there. That is exact, because every state is the length of some path to the background.
// The distance is the minimum of the two planes. A step of 256 pixels is 34 (rows) or 38 (columns) instructions on
// sm_90, 8 of them packed minima. An image takes `side` steps of at least 40 cycles. On other architectures a packed
// minimum takes 2 to 6 instructions.
//
// Device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_planes.cuh"

namespace topo {
namespace {

// A line of 256 pixels in a warp's registers, each byte doubled to 16 bits: word j holds pixels 4 lane + j and
// 128 + 4 lane + j.
struct Line {
  uint32_t word[4];
};

// A word of a line: byte k of `low` in its low 16 bits and byte k of `high` in its high 16 bits, each twice.
__device__ uint32_t spread(uint32_t low, uint32_t high, int k) {
  return __byte_perm(low, high, 0x4400 + 0x1111 * k);
}

// The inverse: the bytes in the low halves of words a, b, c and d, and those in the high halves.
__device__ void gather(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t& low, uint32_t& high) {
  const uint32_t ab = __byte_perm(a, b, 0x6240), cd = __byte_perm(c, d, 0x6240);
  low = __byte_perm(ab, cd, 0x5410);
  high = __byte_perm(ab, cd, 0x7632);
}

// The pixels of the adjacent lanes: those before word 0 and after word 3, and `outside` at both ends of the line. Pixel
// 127 is in the last lane and pixel 128 in the first, so the shuffles wrap around.
struct Neighbours {
  uint32_t outside;
  int before_lane, after_lane;
  uint32_t before_bytes, after_bytes;

  __device__ explicit Neighbours(uint32_t outside)
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

// The state of a sweep. One step takes the minimum over three neighbours in the last line, plus 1, and the minimum of
// that with the new line's own states.
struct Cone {
  Line line;
  Neighbours neighbours;

  __device__ explicit Cone(const LevelPlanes& planes) : neighbours(planes.black_border ? 0u : kFarByte * 0x01010101u) {
    for (uint32_t& word : line.word) word = neighbours.outside;
  }

  __device__ void step(const Line& own) {
    constexpr uint32_t one = 0x01010101u;
    const uint32_t before = neighbours.before(line), after = neighbours.after(line);
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

// A sweep over four lines at a time, from quad `begin` to before quad `end`: rows down (step 1) or up (-1), or columns
// right or left. A quad is four words of each lane's low pixels and four of its high ones. Each word belongs to one
// row, or, for columns, each byte to one column. The next quad is read ahead. Lanes beyond the plane hold the value
// outside.
template <bool rows, int step>
__device__ void sweep_quads(const LevelPlanes& planes, uint8_t* plane, Cone& cone, int32_t begin, int32_t end) {
  const int lane = lane_index(), size = rows ? planes.stride / 4 : planes.groups;
  const bool has_low = lane < size, has_high = lane + 32 < size;
  const int32_t along = step * (rows ? planes.group : 4), across = rows ? 4 : planes.group, stride = planes.stride;
  uint8_t* at = plane + begin * step * along + lane * across;
  uint32_t low[4], high[4];
  const auto read = [&](uint8_t* quad) {
    for (int j = 0; j < 4; ++j) {
      low[j] = has_low ? word_at(quad + j * stride) : cone.neighbours.outside;
      high[j] = has_high ? word_at(quad + 32 * across + j * stride) : cone.neighbours.outside;
    }
  };
  if (begin != end) read(at);
  for (int32_t quad = begin; quad != end; quad += step, at += along) {
    Line own[4], swept[4];
    for (int k = 0; k < 4; ++k) {
      for (int j = 0; j < 4; ++j) own[k].word[j] = rows ? spread(low[k], high[k], j) : spread(low[j], high[j], k);
    }
    if (quad + step != end) read(at + along);  // before the steps, which hide its latency
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

// The four sweeps over the planes that lay_planes() has set, by the whole block. Warps without a sweep call
// meanwhile(half) for half = 0 and 1.
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

// Distances of row y, at most `cap`, which is repeated in all four bytes.
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

// Distance of one pixel; kFar if there is no background. Slower than distance_line(), for what that does not cover.
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

// Level D of one pixel.
__device__ int32_t level_at(const S2dParams& p, const LevelPlanes& planes, const LevelMemory& memory, int32_t y,
                            int32_t x) {
  if (is_filled_hole(p, PlaneForeground{planes, memory.vertical}, y, x)) return 1;
  return thinning_depth(p, distance_at(planes, memory, y, x));
}

// Whether distance_line() with level_cap() returns the levels.
TOPO_HOST_DEVICE bool level_is_distance(const S2dParams& p) {
  return p.radius == 1 && !p.fill_holes && p.iterations + 1 <= static_cast<int32_t>(kFarByte);
}

TOPO_HOST_DEVICE uint32_t level_cap(const S2dParams& p) {
  const uint32_t cap = static_cast<uint32_t>(p.iterations) + 1;
  return (cap < kFarByte ? cap : kFarByte) * 0x01010101u;
}

}  // namespace
}  // namespace topo
