// Whole-image passes of the subgradient of s2d (cpu/s2d_backward.h). A padded plane has a pixel more on every side:
// rows of width + 2, the first pixel at width + 3.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// padded = depth with `outside` around it.
TOPO_SIMD_DECLARE(void pad_depth(const uint16_t* depth, int64_t height, int64_t width, uint16_t outside,
                                 uint16_t* padded))

// lower, padded: how many of a pixel's eight neighbours are one level lower.
TOPO_SIMD_DECLARE(void count_lower(const uint16_t* padded, int64_t height, int64_t width, uint16_t* lower))

// marked, padded: whether a pixel is neither background nor saturated. Returns how many are.
TOPO_SIMD_DECLARE(int64_t mark_inside(const uint16_t* depth, int64_t height, int64_t width, uint16_t saturated,
                                      uint8_t* marked))

// marked &= upstream != 0. Returns how many are left.
TOPO_SIMD_DECLARE(int64_t keep_nonzero(const float* upstream, int64_t height, int64_t width, uint8_t* marked))
TOPO_SIMD_DECLARE(int64_t keep_nonzero(const double* upstream, int64_t height, int64_t width, uint8_t* marked))

// grad of background in rows [top, bottom), columns [left, right): what its neighbours hand over; `handed` is padded.
TOPO_SIMD_DECLARE(void take_background(const uint16_t* depth, const float* handed, int64_t width, int64_t top,
                                       int64_t bottom, int64_t left, int64_t right, float* grad))
TOPO_SIMD_DECLARE(void take_background(const uint16_t* depth, const double* handed, int64_t width, int64_t top,
                                       int64_t bottom, int64_t left, int64_t right, double* grad))

}  // namespace topo
