// Sums of products of two maps in double, in the same order for every instruction set: pixel i goes to partial sum
// i % 16, and the partial sums are added in order. Products of these types are exact in double.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

TOPO_SIMD_DECLARE(double product_sum(const float* a, const float* b, int64_t count))
TOPO_SIMD_DECLARE(double product_sum(const uint8_t* a, const float* b, int64_t count))
TOPO_SIMD_DECLARE(double product_sum(const uint16_t* a, const float* b, int64_t count))

}  // namespace topo
