#include "cpu/edt_simd.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

// Vectors of the compiler, so that one source serves every instruction set. 512 bits were no faster.
#ifdef __AVX2__
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef int16_t Shorts __attribute__((vector_size(kBytes)));
typedef uint32_t Words __attribute__((vector_size(kBytes)));
typedef int32_t Ints __attribute__((vector_size(kBytes)));
constexpr int kShorts = kBytes / 2, kWords = kBytes / 4;

template <typename V, typename T>
inline __attribute__((always_inline)) V load(const T* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}

template <typename V, typename T>
inline __attribute__((always_inline)) void store(T* to, V v) {
  __builtin_memcpy(to, &v, sizeof(V));
}

template <typename V>
inline __attribute__((always_inline)) V least(V a, V b) {
  return a < b ? a : b;
}

// Whether a lane of the mask is set.
inline __attribute__((always_inline)) bool any(Shorts mask) {
#if defined(__AVX2__)
  return _mm256_movemask_epi8(reinterpret_cast<__m256i>(mask)) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_epi8(reinterpret_cast<__m128i>(mask)) != 0;
#else
  uint64_t words[kBytes / 8], all = 0;
  __builtin_memcpy(words, &mask, kBytes);
  for (uint64_t word : words) all |= word;
  return all != 0;
#endif
}

// A bit for each lane of the mask that is set.
inline __attribute__((always_inline)) unsigned bits_of(Ints mask) {
#if defined(__AVX2__)
  return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#elif defined(__SSE2__)
  return static_cast<unsigned>(_mm_movemask_ps(reinterpret_cast<__m128>(mask)));
#else
  unsigned bits = 0;
  for (int i = 0; i < kWords; ++i) bits |= (mask[i] != 0) << i;
  return bits;
#endif
}

inline __attribute__((always_inline)) Ints lanes() {
  Ints result = {};
  for (int i = 0; i < kWords; ++i) result[i] = i;
  return result;
}

constexpr int16_t kFarSquare = kEdtReach * kEdtReach - 1;  // sums of this and a square in reach fit into 16 bits

// The search. Returns false if a pixel is out of reach, or if it takes more than `most` steps.
bool search_row(EdtRows& rows, int64_t most, uint32_t* squared) {
  const int16_t* row = rows.square + kEdtPadding;
  int64_t steps = 0;
  for (int64_t x = 0; x < rows.width; x += kShorts) {
    Shorts best = load<Shorts>(row + x);
    for (int64_t i = rows.width - x; i < kShorts; ++i) best[i] = 0;  // beyond the row
    if (any(best != 0)) {
      Shorts square = {};
      square += 1;
      Shorts odd = {};
      odd += 3;
      int64_t dx = 1;
      while (any(best > square)) {
        // Two steps for each test.
        best = least(best, least(load<Shorts>(row + x - dx), load<Shorts>(row + x + dx)) + square);
        square += odd;
        odd += 2;
        best = least(best, least(load<Shorts>(row + x - dx - 1), load<Shorts>(row + x + dx + 1)) + square);
        square += odd;
        odd += 2;
        dx += 2;
      }
      steps += dx;
      if (steps > most || any(best >= kFarSquare)) return false;
    }
    int16_t lanes[kShorts];
    store(lanes, best);
    for (int i = 0; i < kShorts; ++i) squared[x + i] = static_cast<uint32_t>(static_cast<int32_t>(lanes[i]));
  }
  rows.search_steps = steps;
  return true;
}

// The listed column from `low` to `high` with the least distance to pixel x.
int32_t best_column(const EdtRows& rows, int32_t x, int32_t low, int32_t high) {
  // Lanes beyond `high` are never nearer, and of equally near columns the first counts.
  Words best = {};
  best -= 1;
  Ints where = {}, index = lanes() + low;
  for (int32_t k = low; k <= high; k += kWords) {
    const Ints offset = load<Ints>(rows.column + k) - x;
    const Words cost = load<Words>(rows.cost + k) + reinterpret_cast<Words>(offset * offset);
    const auto nearer = cost < best;
    best = nearer ? cost : best;
    where = nearer ? index : where;
    index += kWords;
  }
  uint32_t least_cost = best[0];
  int32_t result = where[0];
  for (int i = 1; i < kWords; ++i) {
    if (best[i] < least_cost || (best[i] == least_cost && where[i] < result)) least_cost = best[i], result = where[i];
  }
  return result;
}

void divide_row(EdtRows& rows, uint32_t* squared) {
  const int64_t width = rows.width;
  const auto blocks = static_cast<int32_t>((width + kEdtBlock - 1) / kEdtBlock);
  constexpr int32_t side = kEdtBlock;
  int32_t* edge = rows.edge;
  edge[0] = best_column(rows, 0, 0, static_cast<int32_t>(rows.columns - 1));
  edge[blocks] = best_column(rows, blocks * side, edge[0], static_cast<int32_t>(rows.columns - 1));
  int32_t stride = 1;
  while (stride < blocks) stride *= 2;
  for (stride /= 2; stride > 0; stride /= 2) {
    for (int32_t e = stride; e < blocks; e += 2 * stride) {
      const int32_t after = e + stride < blocks ? e + stride : blocks;
      edge[e] =
          edge[e - stride] == edge[after] ? edge[after] : best_column(rows, e * side, edge[e - stride], edge[after]);
    }
  }
  constexpr int parts = kEdtBlock / kWords;
  const uint32_t* table = rows.table + width + kEdtBlock;
  for (int32_t block = 0; block < blocks; ++block) {
    const int64_t x = block * kEdtBlock;
    Words best[parts];
    for (int i = 0; i < parts; ++i) best[i] = Words{} - 1;
    for (int32_t k = edge[block]; k <= edge[block + 1]; ++k) {
      const uint32_t* squares = table + x - rows.column[k];
      const uint32_t cost = rows.cost[k];
      for (int i = 0; i < parts; ++i) best[i] = least(best[i], load<Words>(squares + i * kWords) + cost);
    }
    for (int i = 0; i < parts; ++i) store(squared + x + i * kWords, best[i]);
  }
}

// The first column from `column` on at distance sqrt(squared) of pixel x; `width` if there is none.
int32_t first_at(const uint16_t* distance, int32_t width, int32_t column, int32_t x, uint32_t squared) {
  typedef uint16_t Halves __attribute__((vector_size(kBytes / 2)));
  Words across = reinterpret_cast<Words>(lanes() + (column - x));
  for (; column < width; column += kWords, across += kWords) {
    const Words along = __builtin_convertvector(load<Halves>(distance + column), Words);
    // Where a column has no target all bits are set, which no distance has.
    const Words costs = (along * along + across * across) | reinterpret_cast<Words>(along == 0xFFFF);
    const unsigned equal = bits_of(reinterpret_cast<Ints>(costs == squared));
    if (equal) return column + __builtin_ctz(equal) < width ? column + __builtin_ctz(equal) : width;
  }
  return width;
}

// The first pixel from x on that is not at the distance of a target `along` in `column`.
int32_t end_of_run(const uint32_t* squared, int32_t width, int32_t x, int32_t column, int32_t along) {
  Words across = reinterpret_cast<Words>(lanes() + (x - column));
  const uint32_t least_cost = static_cast<uint32_t>(along) * static_cast<uint32_t>(along);
  for (; x < width; x += kWords, across += kWords) {
    const unsigned equal = bits_of(reinterpret_cast<Ints>(load<Words>(squared + x) == across * across + least_cost));
    const unsigned other = ~equal & ((1u << kWords) - 1);
    if (other) return x + __builtin_ctz(other) < width ? x + __builtin_ctz(other) : width;
  }
  return width;
}

template <typename T>
void write_row(const uint32_t* squared, int64_t width, double scale, bool root, bool negative, T* result) {
  const double factor = negative ? -scale : scale;
  for (int64_t x = 0; x < width; ++x) {
    const double value = static_cast<double>(static_cast<int32_t>(squared[x]));
    const double distance = factor * (root ? __builtin_sqrt(value) : value);
    if (!negative || squared[x]) result[x] = static_cast<T>(distance);
  }
}

}  // namespace

void edt_columns(const uint8_t* foreground, int64_t height, int64_t width, int64_t begin, int64_t end, bool inverted,
                 bool ring, uint16_t* distance) {
  const uint16_t at_border = ring ? 1 : 0xFFFF;
  const uint8_t flip = inverted ? 1 : 0;
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* here = foreground + y * width;
    uint16_t* row = distance + y * width;
    const uint16_t* above = row - width;
    if (y == 0) {
      for (int64_t x = begin; x < end; ++x) row[x] = (here[x] != flip) ? at_border : 0;
    } else {
      for (int64_t x = begin; x < end; ++x) {
        const uint16_t next = static_cast<uint16_t>(above[x] + (above[x] != 0xFFFF));
        row[x] = (here[x] != flip) ? next : 0;
      }
    }
  }
  for (int64_t y = height - 1; y >= 0; --y) {
    uint16_t* row = distance + y * width;
    const uint16_t* below = row + width;
    if (y == height - 1) {
      for (int64_t x = begin; x < end; ++x) row[x] = row[x] < at_border ? row[x] : at_border;
    } else {
      for (int64_t x = begin; x < end; ++x) {
        const uint16_t next = static_cast<uint16_t>(below[x] + (below[x] != 0xFFFF));
        row[x] = row[x] < next ? row[x] : next;
      }
    }
  }
}

void start_edt_rows(const uint16_t* first, EdtRows* rows) {
  const auto width = static_cast<int32_t>(rows->width);
  int32_t count = 0;
  if (rows->ring) rows->column[count] = -1, rows->cost[count] = 0, ++count;
  for (int32_t x = 0; x < width; ++x) {
    rows->column[count] = x;
    count += first[x] != 0xFFFF;
  }
  if (rows->ring) rows->column[count] = width, rows->cost[count] = 0, ++count;
  rows->columns = count;
  for (int i = 0; i < 16; ++i) {
    rows->column[count + i] = 0;
    rows->cost[count + i] = 0x80000000u;  // with a square, still more than any distance and below 2^32
  }
  const int16_t outside = rows->ring ? 0 : kFarSquare;
  for (int64_t i = 0; i < kEdtPadding; ++i) {
    rows->square[i] = rows->square[kEdtPadding + width + i] = outside;
  }
  for (int32_t i = 0; i < 2 * width + 64; ++i) {
    const auto offset = i - width - static_cast<int32_t>(kEdtBlock);
    rows->table[i] = static_cast<uint32_t>(offset) * static_cast<uint32_t>(offset);
  }
  rows->search_steps = 0;
}

void edt_row(const uint16_t* distance, EdtRows* rows, uint32_t* squared) {
  const int64_t width = rows->width, blocks = (width + kEdtBlock - 1) / kEdtBlock;
  const int64_t divide_steps = rows->columns + 12 * blocks;
  if (rows->search_steps <= divide_steps) {
    int16_t* row = rows->square + kEdtPadding;
    for (int64_t x = 0; x < width; ++x) {
      const uint16_t d = distance[x] < kEdtReach ? distance[x] : 0;
      row[x] = static_cast<int16_t>(distance[x] < kEdtReach ? d * d : kFarSquare);
    }
    if (search_row(*rows, 2 * divide_steps, squared)) return;
  }
  const int64_t begin = rows->ring ? 1 : 0, end = rows->columns - begin;
  for (int64_t k = begin; k < end; ++k) {
    const uint32_t d = distance[rows->column[k]];
    rows->cost[k] = d * d;
  }
  divide_row(*rows, squared);
  int64_t steps = 0;
  for (int64_t x = kEdtBlock / 2; x < width; x += kEdtBlock) {
    steps += static_cast<int64_t>(__builtin_sqrtf(static_cast<float>(squared[x]))) + 8;
  }
  rows->search_steps = steps;
}

int64_t edt_runs(const uint16_t* distance, const uint32_t* squared, const EdtRows& rows, EdtRun* runs) {
  const auto width = static_cast<int32_t>(rows.width);
  int64_t count = 0;
  // The column never decreases from pixel to pixel.
  int32_t column = rows.ring ? -1 : 0;
  for (int32_t x = 0; x < width;) {
    if (squared[x] == 0) {
      while (x + kWords < width && bits_of(load<Ints>(squared + x + 1) != 0) == 0) x += kWords;
      while (x + 1 < width && squared[x + 1] == 0) ++x;
      column = x;
    } else if (column >= 0 || static_cast<uint32_t>(x + 1) * static_cast<uint32_t>(x + 1) != squared[x]) {
      column = first_at(distance, width, column < 0 ? 0 : column, x, squared[x]);
    }
    const int32_t begin = x, along = column < 0 || column == width ? 0 : distance[column];
    x = end_of_run(squared, width, x + 1, column, along);
    if (x > begin + 1 || squared[begin] != 0) runs[count++] = {begin, x, column};
  }
  return count;
}

void write_edt_row(const uint32_t* squared, int64_t width, double scale, bool root, bool negative, float* result) {
  // Up to 2^24 a float holds the square, and the root is then correctly rounded in single precision as well.
  uint32_t most = 0;
  for (int64_t x = 0; x < width; ++x) most |= squared[x];
  if (scale != 1 || most >> 24) return write_row(squared, width, scale, root, negative, result);
  if (negative) {
    for (int64_t x = 0; x < width; ++x) {
      const float value = static_cast<float>(static_cast<int32_t>(squared[x]));
      if (squared[x]) result[x] = root ? -__builtin_sqrtf(value) : -value;
    }
  } else if (root) {
    for (int64_t x = 0; x < width; x += kEdtBlock) {
      const int64_t count = x + kEdtBlock <= width ? kEdtBlock : width - x;
      uint32_t depth = 0;
      for (int64_t i = 0; i < count; ++i) depth |= squared[x + i];
      if (depth == 0) {
        for (int64_t i = 0; i < count; ++i) result[x + i] = 0;
      } else {
        for (int64_t i = 0; i < count; ++i) {
          result[x + i] = __builtin_sqrtf(static_cast<float>(static_cast<int32_t>(squared[x + i])));
        }
      }
    }
  } else {
    for (int64_t x = 0; x < width; ++x) result[x] = static_cast<float>(static_cast<int32_t>(squared[x]));
  }
}

void write_edt_row(const uint32_t* squared, int64_t width, double scale, bool root, bool negative, double* result) {
  write_row(squared, width, scale, root, negative, result);
}

}  // namespace TOPO_SIMD
}  // namespace topo
