#include "cpu/s2d_simd.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

template <typename State>
constexpr int kTile = 16 / sizeof(State);

// Rows of `width` states with one padding state on both sides.
template <typename State>
struct Plane {
  State* data;
  int64_t height, width;

  int64_t stride() const {
    return width + 2;
  }
  State* row(int64_t y) const {
    return data + y * stride() + 1;
  }
};

// line = (min3(previous) + 1) where mask is all ones, 0 where it is 0. The largest state is "far" and stays so.
template <typename State>
void step(const State* previous, const State* mask, State* line, int64_t width, State pad) {
  constexpr State kFarState = static_cast<State>(~State(0));
  for (int64_t x = 0; x < width; ++x) {
    const State a = previous[x - 1], b = previous[x], c = previous[x + 1];
    const State ab = a < b ? a : b;
    const State least = ab < c ? ab : c;
    const State next = static_cast<State>(least + (least != kFarState));
    line[x] = next & mask[x];
  }
  line[-1] = pad;
  line[width] = pad;
}

// Down and up sweeps of `mask`, their minimum in `out`. `lines` holds three padded rows.
template <typename State>
void sweep(const Plane<State>& mask, const Plane<State>& out, State* lines, State pad) {
  const int64_t height = mask.height, width = mask.width;
  State* border = lines + 1;
  State* row[2] = {lines + (width + 2) + 1, lines + 2 * (width + 2) + 1};
  for (int64_t x = -1; x <= width; ++x) border[x] = pad;
  for (int64_t y = 0; y < height; ++y) {
    step(y ? out.row(y - 1) : border, mask.row(y), out.row(y), width, pad);
  }
  const State* below = border;
  for (int64_t y = height - 1; y >= 0; --y) {
    State* line = row[y & 1];
    step(below, mask.row(y), line, width, pad);
    State* result = out.row(y);
    for (int64_t x = 0; x < width; ++x) result[x] = line[x] < result[x] ? line[x] : result[x];
    below = line;
  }
}

// Transposes a tile of 16 bytes in each of kTile<State> lines. On x86-64, log2 rounds of interleaving line i with
// line i + half, which SSE2, always there, does in one instruction each.
template <typename State>
void transpose_tile(const State* from, int64_t from_stride, State* to, int64_t to_stride) {
  constexpr int tile = kTile<State>;
#ifdef __SSE2__
  __m128i lines[tile], mixed[tile];
  for (int i = 0; i < tile; ++i) lines[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
  for (int round = 1; round < tile; round *= 2) {
    for (int i = 0; i < tile / 2; ++i) {
      if constexpr (sizeof(State) == 1) {
        mixed[2 * i] = _mm_unpacklo_epi8(lines[i], lines[i + tile / 2]);
        mixed[2 * i + 1] = _mm_unpackhi_epi8(lines[i], lines[i + tile / 2]);
      } else {
        mixed[2 * i] = _mm_unpacklo_epi16(lines[i], lines[i + tile / 2]);
        mixed[2 * i + 1] = _mm_unpackhi_epi16(lines[i], lines[i + tile / 2]);
      }
    }
    for (int i = 0; i < tile; ++i) lines[i] = mixed[i];
  }
  for (int i = 0; i < tile; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), lines[i]);
#else
  for (int y = 0; y < tile; ++y) {
    for (int x = 0; x < tile; ++x) to[x * to_stride + y] = from[y * from_stride + x];
  }
#endif
}

template <typename State>
void transpose(const Plane<State>& from, const Plane<State>& to) {
  constexpr int64_t tile = kTile<State>;
  const int64_t whole_height = from.height / tile * tile, whole_width = from.width / tile * tile;
  for (int64_t y = 0; y < whole_height; y += tile) {
    for (int64_t x = 0; x < whole_width; x += tile) {
      transpose_tile(from.row(y) + x, from.stride(), to.row(x) + y, to.stride());
    }
  }
  for (int64_t y = 0; y < from.height; ++y) {
    for (int64_t x = y < whole_height ? whole_width : 0; x < from.width; ++x) to.row(x)[y] = from.row(y)[x];
  }
}

template <typename State>
void run(const uint8_t* foreground, int64_t height, int64_t width, bool black_border, uint16_t* distance,
         void* scratch) {
  constexpr State kFarState = static_cast<State>(~State(0));
  const State pad = black_border ? State(0) : kFarState;
  const int64_t area = (height + 2) * (width + 2);
  State* memory = static_cast<State*>(scratch);
  const Plane<State> mask{memory, height, width};
  const Plane<State> vertical{memory + area, height, width};
  const Plane<State> mask_t{memory + 2 * area, width, height};
  const Plane<State> horizontal_t{memory + 3 * area, width, height};
  State* lines = memory + 4 * area;

  for (int64_t y = 0; y < height; ++y) {
    State* row = mask.row(y);
    const uint8_t* source = foreground + y * width;
    for (int64_t x = 0; x < width; ++x) row[x] = source[x] ? kFarState : State(0);
  }
  transpose(mask, mask_t);
  sweep(mask, vertical, lines, pad);
  sweep(mask_t, horizontal_t, lines, pad);
  transpose(horizontal_t, mask);  // the mask is no longer needed
  for (int64_t y = 0; y < height; ++y) {
    const State *v = vertical.row(y), *h = mask.row(y);
    uint16_t* out = distance + y * width;
    for (int64_t x = 0; x < width; ++x) {
      const State least = v[x] < h[x] ? v[x] : h[x];
      out[x] = least == kFarState ? uint16_t(0xFFFF) : uint16_t(least);
    }
  }
}

}  // namespace

void chessboard_distance(const uint8_t* foreground, int64_t height, int64_t width, bool black_border,
                         uint16_t* distance, void* scratch) {
  // A distance is below max(H, W); 255 is the far state.
  if (height <= 255 && width <= 255) {
    run<uint8_t>(foreground, height, width, black_border, distance, scratch);
  } else {
    run<uint16_t>(foreground, height, width, black_border, distance, scratch);
  }
}

MaskBits read_mask_float(const float* mask, int64_t count, uint8_t* foreground) {
  uint32_t soft = 0, invalid = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float value = mask[i];
    const uint32_t zero = value == 0.0f, one = value == 1.0f, inside = (value >= 0.0f) & (value <= 1.0f);
    foreground[i] = static_cast<uint8_t>(1 - zero);
    soft |= 1 - (zero | one);
    invalid |= 1 - inside;  // NaN compares false
  }
  return {soft != 0, invalid != 0};
}

void cap_depth(uint16_t* distance, int64_t count, uint16_t cap) {
  for (int64_t i = 0; i < count; ++i) distance[i] = distance[i] < cap ? distance[i] : cap;
}

void write_float(const uint16_t* depth, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(static_cast<int32_t>(depth[i]));
}

}  // namespace TOPO_SIMD
}  // namespace topo
