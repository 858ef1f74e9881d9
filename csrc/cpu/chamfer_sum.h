// The sum of a . b over one image for maps of any two dtypes, accumulated in double in a fixed order. Non-zero bytes
// count as 1.

#pragma once

#include "cpu/chamfer_simd.h"
#include "dtypes.h"

namespace topo {

template <typename T>
double map_value(T value) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    return value;
  } else {
    return static_cast<double>(static_cast<accumulate_t<T>>(value));
  }
}

// If `a` holds bytes, they must be 0 and 1.
template <typename A, typename B>
double map_sum(const A* a, const B* b, int64_t count) {
  constexpr bool narrow = std::is_same_v<A, float> || std::is_same_v<A, uint8_t> || std::is_same_v<A, uint16_t>;
  if constexpr (narrow && std::is_same_v<B, float>) {
    return TOPO_SIMD_CALL(product_sum, a, b, count);
  } else {
    double sums[4] = {0, 0, 0, 0};
    for (int64_t i = 0; i < count; ++i) sums[i % 4] += map_value(a[i]) * map_value(b[i]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

}  // namespace topo
