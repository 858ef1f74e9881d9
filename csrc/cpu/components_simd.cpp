#include "cpu/components_simd.h"

#include <cstddef>

namespace topo {
namespace TOPO_SIMD {
namespace {

#ifdef __AVX2__
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef int32_t Ints __attribute__((vector_size(kBytes)));
constexpr int64_t kInts = kBytes / 4;

inline __attribute__((always_inline)) void store(int32_t* out, Ints values) {
  __builtin_memcpy(out, &values, kBytes);
}

// The set bits of one row of words after the other, or with a flip the others, and bits beyond the row 0.
struct Words {
  const uint64_t* data;
  int64_t width;
  uint64_t flip;

  inline __attribute__((always_inline)) uint64_t operator[](int64_t i) const {
    const int64_t left = width - 64 * i;
    if (left <= 0) return 0;
    const uint64_t word = data[i] ^ flip;
    return left < 64 ? word & ((uint64_t(1) << left) - 1) : word;
  }
};

inline __attribute__((always_inline)) int32_t root_of(int32_t* parents, int32_t run) {
  int32_t parent = parents[run];
  while (parent != run) {
    const int32_t grandparent = parents[parent];
    parents[run] = grandparent;
    run = parent;
    parent = grandparent;
  }
  return run;
}

inline __attribute__((always_inline)) void unite(int32_t* parents, int32_t a, int32_t b) {
  if (parents[a] == parents[b]) return;
  a = root_of(parents, a);
  b = root_of(parents, b);
  // The earlier run stays the root.
  parents[a > b ? a : b] = a > b ? b : a;
}

}  // namespace

int64_t find_runs(const uint64_t* words, int64_t width, bool inverted, uint16_t* edges) {
  const uint64_t flip = inverted ? ~uint64_t(0) : 0;
  int64_t count = 0;
  uint64_t carry = 0;
  for (int64_t x = 0; x < width; x += 64) {
    uint64_t word = words[x / 64] ^ flip;
    if (width - x < 64) word &= (uint64_t(1) << (width - x)) - 1;
    uint64_t changes = word ^ (word << 1 | carry);
    carry = word >> 63;
    // Four at a time whether there are as many or not, since a branch per edge is hard to predict.
    const int64_t here = __builtin_popcountll(changes);
    for (int64_t k = 0; k < here; k += 4) {
      for (int i = 0; i < 4; ++i) {
        edges[count + k + i] = static_cast<uint16_t>(x + (changes ? __builtin_ctzll(changes) : 0));
        changes &= changes - 1;
      }
    }
    count += here;
  }
  if (carry) edges[count++] = static_cast<uint16_t>(width);
  return count / 2;
}

void unite_rows(const uint64_t* higher, const uint64_t* above, const uint64_t* here, int64_t width, bool inverted,
                bool diagonal, int32_t first_above, int32_t first, int32_t* parents) {
  const uint64_t flip = inverted ? ~uint64_t(0) : 0, corners = diagonal ? ~uint64_t(0) : 0;
  const Words upper{above, width, flip}, lower{here, width, flip};
  const Words highest{higher ? higher : above, width, flip};
  const uint64_t known = higher ? ~uint64_t(0) : 0;
  uint64_t a = upper[0], b = lower[0], a_before = 0, b_before = 0, c_before = 0;  // the words before
  for (int64_t x = 0; x < width; x += 64) {
    const uint64_t a_next = upper[x / 64 + 1], b_next = lower[x / 64 + 1];
    const uint64_t c = highest[x / 64] & known;
    const uint64_t a_left = a << 1 | a_before >> 63, b_left = b << 1 | b_before >> 63, c_left = c << 1 | c_before >> 63;
    const uint64_t a_right = a >> 1 | a_next << 63, b_right = b >> 1 | b_next << 63;
    const uint64_t a_starts = a & ~a_left, b_starts = b & ~b_left;
    // Each pair of runs that touch has one bit: where they begin to share columns, or at the corner where they meet.
    uint64_t shared = (a & b & ~(a_left & b_left)) | (b & ~a & a_left & ~b_left & corners);
    // Of two runs above with one pixel between them, which the row above those connects, the second is left out.
    const uint64_t a_second = a << 2 | a_before >> 62, b_second = b << 2 | b_before >> 62;
    const uint64_t around = c & (c << 2 | c_before >> 62) & b_second;
    shared &= ~(a_second & ~a_left & b_left & c_left & (around | corners));
    uint64_t right = b & ~a & a_right & ~b_right & corners;
    for (; shared; shared &= shared - 1) {
      const uint64_t up_to = shared ^ (shared - 1);
      unite(parents, first_above + __builtin_popcountll(a_starts & up_to) - 1,
            first + __builtin_popcountll(b_starts & up_to) - 1);
    }
    for (; right; right &= right - 1) {
      const uint64_t up_to = right ^ (right - 1);
      unite(parents, first_above + __builtin_popcountll(a_starts & up_to),
            first + __builtin_popcountll(b_starts & up_to) - 1);
    }
    first_above += __builtin_popcountll(a_starts);
    first += __builtin_popcountll(b_starts);
    a_before = a, b_before = b, c_before = c;
    a = a_next, b = b_next;
  }
}

void write_runs(const uint16_t* edges, int64_t runs, const int32_t* values, int64_t width, int32_t* out) {
  __builtin_memset(out, 0, static_cast<std::size_t>(width) * sizeof(int32_t));
  for (int64_t k = 0; k < runs; ++k) {
    const Ints value = Ints{} + values[k];
    int64_t x = edges[2 * k];
    const int64_t end = edges[2 * k + 1];
    if (end + kInts > width) {
      for (; x < end; ++x) out[x] = values[k];
      continue;
    }
    // Whole vectors, and zeros over what they write beyond the run.
    do store(out + x, value);
    while ((x += kInts) < end);
    store(out + end, Ints{});
  }
}

}  // namespace TOPO_SIMD
}  // namespace topo
