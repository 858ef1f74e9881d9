#include "cpu/s2d_simd.h"

#include "cpu/lanes.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

// Closeness of an image, with a row of padding above and below it and a vector of padding before and after each row.
template <typename State>
struct Plane {
  State* data;
  int64_t height, padded_width;

  State* row(int64_t y) const {
    return data + (y + 1) * stride() + Lanes<State>::kCount;
  }
  int64_t stride() const {
    return padded_width + Lanes<State>::kCount;
  }
};

// out[x] = mask[x] == 0 ? zero : static_cast<uint8_t>(zero + 1). Returns whether all values are 0 or 1.
template <uint8_t zero>
bool read_values(const float* mask, int64_t count, uint8_t* out) {
  constexpr uint8_t other = static_cast<uint8_t>(zero + 1);
  bool binary = true;
  int64_t x = 0;
#if defined(__AVX2__)
  const __m256 one = _mm256_set1_ps(1.0f);
  __m256 known = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  for (; x + 32 <= count; x += 32) {
    __m256i is_zero[4];
    for (int i = 0; i < 4; ++i) {
      const __m256 value = _mm256_loadu_ps(mask + x + 8 * i);
      const __m256 equal = _mm256_cmp_ps(value, _mm256_setzero_ps(), _CMP_EQ_OQ);
      known = _mm256_and_ps(known, _mm256_or_ps(equal, _mm256_cmp_ps(value, one, _CMP_EQ_OQ)));
      is_zero[i] = _mm256_castps_si256(equal);
    }
    const __m256i low = _mm256_packs_epi32(is_zero[0], is_zero[1]), high = _mm256_packs_epi32(is_zero[2], is_zero[3]);
    // The pack instructions work within 128-bit halves: put the groups of four back in order.
    const __m256i minus_one =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x),
                        _mm256_add_epi8(minus_one, _mm256_set1_epi8(static_cast<char>(other))));
  }
  binary = _mm256_movemask_ps(known) == 255;
#elif defined(__SSE2__)
  const __m128 one = _mm_set1_ps(1.0f);
  __m128 known = _mm_castsi128_ps(_mm_set1_epi32(-1));
  for (; x + 16 <= count; x += 16) {
    __m128i is_zero[4];
    for (int i = 0; i < 4; ++i) {
      const __m128 value = _mm_loadu_ps(mask + x + 4 * i);
      const __m128 equal = _mm_cmpeq_ps(value, _mm_setzero_ps());
      known = _mm_and_ps(known, _mm_or_ps(equal, _mm_cmpeq_ps(value, one)));
      is_zero[i] = _mm_castps_si128(equal);
    }
    const __m128i low = _mm_packs_epi32(is_zero[0], is_zero[1]), high = _mm_packs_epi32(is_zero[2], is_zero[3]);
    const __m128i minus_one = _mm_packs_epi16(low, high);  // where 0
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + x),
                     _mm_add_epi8(minus_one, _mm_set1_epi8(static_cast<char>(other))));
  }
  binary = _mm_movemask_ps(known) == 15;
#endif
  for (; x < count; ++x) {
    out[x] = mask[x] == 0.0f ? zero : other;
    binary &= mask[x] == 0.0f || mask[x] == 1.0f;
  }
  return binary;
}

// background[x] = 255 where mask[x] is 0, else 0. Returns whether all values are 0 or 1.
bool read_row(const float* mask, int64_t width, uint8_t* background) {
  return read_values<255>(mask, width, background);
}

bool read_row(const uint8_t* mask, int64_t width, uint8_t* background) {
  for (int64_t x = 0; x < width; ++x) background[x] = mask[x] ? 0 : 255;
  return true;
}

// One of the steps by which closeness spreads within a block.
template <int k, typename State>
inline __attribute__((always_inline)) typename Lanes<State>::V spread(typename Lanes<State>::V v) {
  using L = Lanes<State>;
  if constexpr (k < L::kBlock) {
    return L::greatest(v, L::minus(L::greatest(L::template up<k>(v), L::template down<k>(v)), L::fill(k)));
  }
  return v;
}

// Distances, in states, that a carry is reduced by.
template <typename State>
struct Ramps {
  typename Lanes<State>::V forth, back;                // from each state to the block before, and to the one after
  typename Lanes<State>::V forth_blocks, back_blocks;  // from the last state of each block, and from the first
  Ramps() {
    using L = Lanes<State>;
    State table[4][L::kCount];
    for (int i = 0; i < L::kCount; ++i) {
      table[0][i] = static_cast<State>(i % L::kBlock + 1);
      table[1][i] = static_cast<State>(L::kBlock - i % L::kBlock);
      table[2][i] = static_cast<State>((i / L::kBlock + 1) * L::kBlock);
      table[3][i] = static_cast<State>(L::kCount - i / L::kBlock * L::kBlock);
    }
    forth = L::load(table[0]), back = L::load(table[1]);
    forth_blocks = L::load(table[2]), back_blocks = L::load(table[3]);
  }
};

// One row of the sweep down: the closeness to the background of this row and the rows above. `background` holds bytes,
// 255 for background.
template <typename State>
void down_row(const uint8_t* background, int64_t padded_width, State outside, const Ramps<State>& ramps, State* row,
              const State* above) {
  using L = Lanes<State>;
  using V = typename L::V;
  V carry = L::fill(outside);
  for (int64_t x = 0; x < padded_width; x += L::kCount) {
    V v = L::widen(background + x);
    if (!L::uniform(v)) {  // most vectors of a silhouette are uniform
      v = spread<1, State>(v);
      v = spread<2, State>(v);
      v = spread<4, State>(v);
      v = spread<8, State>(v);
    }
    const V ends = L::greatest(L::carry_up(L::last_of_blocks(v)), L::minus(carry, ramps.forth_blocks));
    L::store(row + x, L::greatest(v, L::minus(L::shift_block_in(carry, ends), ramps.forth)));
    carry = L::last_block(ends);
  }
  carry = L::fill(outside);
  const V one = L::fill(1);
  for (int64_t x = padded_width - L::kCount; x >= 0; x -= L::kCount) {
    const V v = L::load(row + x);
    const V ends = L::greatest(L::carry_down(L::first_of_blocks(v)), L::minus(carry, ramps.back_blocks));
    const V near = L::greatest(v, L::minus(L::shift_block_out(ends, carry), ramps.back));
    carry = L::first_block(ends);
    const V nearest = L::greatest(L::greatest(L::load(above + x - 1), L::load(above + x + 1)), L::load(above + x));
    L::store(row + x, L::greatest(near, L::minus(nearest, one)));
  }
}

// One row of the sweep up: the closeness to the background of all rows, and the distances, at most `cap`. Returns the
// largest distance before it is capped.
template <typename State>
State up_row(State* row, const State* below, int64_t padded_width, State cap, State* distance) {
  using L = Lanes<State>;
  using V = typename L::V;
  const V one = L::fill(1), far = L::fill(static_cast<State>(~State(0))), most = L::fill(cap);
  V deepest = L::fill(0);
  for (int64_t x = 0; x < padded_width; x += L::kCount) {
    const V nearest = L::greatest(L::greatest(L::load(below + x - 1), L::load(below + x + 1)), L::load(below + x));
    const V v = L::greatest(L::load(row + x), L::minus(nearest, one));
    L::store(row + x, v);
    const V d = L::minus(far, v);
    deepest = L::greatest(deepest, d);
    L::store(distance + x, L::least(d, most));
  }
  State lanes[L::kCount], result = 0;
  L::store(lanes, deepest);
  for (int i = 0; i < L::kCount; ++i) result = lanes[i] > result ? lanes[i] : result;
  return result;
}

template <typename State, typename Out>
void write_row(const State* __restrict distance, int64_t width, Out* __restrict out) {
  for (int64_t x = 0; x < width; ++x) out[x] = static_cast<Out>(static_cast<int32_t>(distance[x]));
}

template <typename Out>
void prefetch_for_writing(const Out* row, int64_t width) {
  constexpr int64_t line = 64 / sizeof(Out);
  for (int64_t x = 0; x < width; x += line) __builtin_prefetch(row + x, 1);
}

template <typename State>
void fill_row(State* row, int64_t count, State value) {
  for (int64_t x = 0; x < count; ++x) row[x] = value;
}

enum class Swept { kDone, kNotBinary, kTooDeep };

template <typename State, typename In, typename Out>
Swept sweep(const Chessboard& image, const In* mask, Out* distance, void* scratch) {
  constexpr int64_t lanes = Lanes<State>::kCount;
  constexpr State far = static_cast<State>(~State(0));
  const State outside = image.black_border ? far : State(0),
              cap = image.cap < far ? static_cast<State>(image.cap) : far;
  const int64_t width = image.width, padded_width = (width + lanes - 1) / lanes * lanes;
  State* line = static_cast<State*>(scratch);
  uint8_t* background = reinterpret_cast<uint8_t*>(line);
  const Plane<State> plane{line + padded_width, image.height, padded_width};
  const Ramps<State> ramps;

  fill_row(background + width, padded_width - width, static_cast<uint8_t>(outside));
  fill_row(plane.row(-1) - lanes, plane.stride() + lanes, outside);
  fill_row(plane.row(image.height) - lanes, plane.stride() + lanes, outside);
  bool binary = true;
  for (int64_t y = 0; y < image.height; ++y) {
    binary &= read_row(mask + y * width, width, background);
    fill_row(plane.row(y) + padded_width, lanes, outside);
    down_row(background, padded_width, outside, ramps, plane.row(y), plane.row(y - 1));
  }
  if (!binary) return Swept::kNotBinary;  // not tested in the loop, since most masks are binary
  for (int64_t y = image.height - 1; y >= 0; --y) {
    // Hardware prefetches pages upwards only, and a fresh result is in no cache.
    if (y > 0) prefetch_for_writing(distance + (y - 1) * width, width);
    const State deepest = up_row(plane.row(y), plane.row(y + 1), padded_width, cap, line);
    if (deepest == far && cap < image.cap) return Swept::kTooDeep;
    write_row(line, width, distance + y * width);
  }
  return Swept::kDone;
}

template <typename In, typename Out>
bool sweep_in_bytes_first(const Chessboard& image, const In* mask, Out* distance, void* scratch) {
  const Swept result = sweep<uint8_t>(image, mask, distance, scratch);
  if (result == Swept::kTooDeep) sweep<uint16_t>(image, mask, distance, scratch);
  return result != Swept::kNotBinary;
}

}  // namespace

bool chessboard_distance(const Chessboard& image, const float* mask, float* distance, void* scratch) {
  return sweep_in_bytes_first(image, mask, distance, scratch);
}

bool chessboard_distance(const Chessboard& image, const uint8_t* mask, float* distance, void* scratch) {
  return sweep_in_bytes_first(image, mask, distance, scratch);
}

bool chessboard_distance(const Chessboard& image, const uint8_t* mask, uint16_t* distance, void* scratch) {
  return sweep_in_bytes_first(image, mask, distance, scratch);
}

bool read_mask_float(const float* mask, int64_t count, uint8_t* foreground) {
  return read_values<0>(mask, count, foreground);
}

}  // namespace TOPO_SIMD
}  // namespace topo
