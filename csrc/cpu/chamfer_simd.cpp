#include "cpu/chamfer_simd.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

constexpr int kSums = 16;

constexpr int kLanes = 4;

typedef double Doubles __attribute__((vector_size(kLanes * sizeof(double))));
typedef int32_t Integers __attribute__((vector_size(kLanes * sizeof(int32_t))));
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));

inline __attribute__((always_inline)) void load(const float* from, Doubles& to) {
  Floats values;
  __builtin_memcpy(&values, from, sizeof(values));
  to = __builtin_convertvector(values, Doubles);
}

template <typename Whole>
inline __attribute__((always_inline)) void load(const Whole* from, Doubles& to) {
  const Integers values = {from[0], from[1], from[2], from[3]};
  to = __builtin_convertvector(values, Doubles);
}

template <typename T>
inline __attribute__((always_inline)) bool all_zero(const T* from) {
  uint64_t words[kSums * sizeof(T) / 8], set = 0;
  __builtin_memcpy(words, from, sizeof(words));
  for (uint64_t word : words) set |= word;
  return set == 0;
}

// Masks are mostly background, so 16 pixels whose products are all zero are skipped. Zeros of `b` are only looked for
// if `a` holds whole numbers: a float times 0 may be NaN.
template <typename A, typename B>
inline __attribute__((always_inline)) bool adds_nothing(const A* a, const B* b) {
  if constexpr (sizeof(A) == 1) return all_zero(a);
  if constexpr (sizeof(A) == 2) return all_zero(b);
  return false;
}

template <typename A, typename B>
double sum_of(const A* a, const B* b, int64_t count) {
  Doubles partial[kSums / kLanes] = {}, x, y;
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    if (adds_nothing(a + i, b + i)) continue;
    for (int k = 0; k < kSums / kLanes; ++k) {
      load(a + i + k * kLanes, x), load(b + i + k * kLanes, y);
      partial[k] += x * y;
    }
  }
  double sums[kSums], total = 0;
  __builtin_memcpy(sums, partial, sizeof(sums));
  for (; i < count; ++i) sums[i % kSums] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  for (int k = 0; k < kSums; ++k) total += sums[k];
  return total;
}

}  // namespace

double product_sum(const float* a, const float* b, int64_t count) {
  return sum_of(a, b, count);
}

double product_sum(const uint8_t* a, const float* b, int64_t count) {
  return sum_of(a, b, count);
}

double product_sum(const uint16_t* a, const float* b, int64_t count) {
  return sum_of(a, b, count);
}

}  // namespace TOPO_SIMD
}  // namespace topo
