#include "cpu/s2d_simd.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

constexpr int64_t kTile = 16;

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

template <typename State>
void transpose(const Plane<State>& from, const Plane<State>& to) {
  for (int64_t y0 = 0; y0 < from.height; y0 += kTile) {
    const int64_t y1 = y0 + kTile < from.height ? y0 + kTile : from.height;
    for (int64_t x0 = 0; x0 < from.width; x0 += kTile) {
      const int64_t x1 = x0 + kTile < from.width ? x0 + kTile : from.width;
      for (int64_t x = x0; x < x1; ++x) {
        State* target = to.row(x);
        for (int64_t y = y0; y < y1; ++y) target[y] = from.row(y)[x];
      }
    }
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

}  // namespace TOPO_SIMD
}  // namespace topo
