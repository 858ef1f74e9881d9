// Whole-image passes of the subgradient of s2d (cpu/s2d_backward.h). A padded plane has one pixel more on every side:
// rows of width + 2, pixel (y, x) at (y + 1) * (width + 2) + x + 1.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// Padded planes of depth, `outside` around it; of the gradient, 0 on background, saturated pixels and around the image;
// and of whether that is not 0. Returns the deepest level that carries a gradient, 0 for none.
TOPO_SIMD_DECLARE(uint16_t start_route(const uint16_t* depth, const float* upstream, int64_t height, int64_t width,
                                       uint16_t saturated, uint16_t outside, uint16_t* padded, float* flow,
                                       uint8_t* carries))
TOPO_SIMD_DECLARE(uint16_t start_route(const uint16_t* depth, const double* upstream, int64_t height, int64_t width,
                                       uint16_t saturated, uint16_t outside, uint16_t* padded, double* flow,
                                       uint8_t* carries))

// The indices of non-zero marks, and of levels from 1 to `deepest`, in order. `list` has room for 16 more than there
// are values. Returns how many.
TOPO_SIMD_DECLARE(int64_t list_marked(const uint8_t* marks, int64_t count, uint32_t* list))
TOPO_SIMD_DECLARE(int64_t list_levels(const uint16_t* depth, int64_t count, uint16_t deepest, uint32_t* list))

// lower, padded: which of a pixel's eight neighbours are one level lower, a bit each in raster order.
TOPO_SIMD_DECLARE(void find_lower(const uint16_t* padded, int64_t height, int64_t width, uint16_t* lower))

// Rows [top, bottom) of grad: what the neighbours of background hand it, what the contour kept in `flow`, else 0.
TOPO_SIMD_DECLARE(void finish_route(const uint16_t* depth, const float* handed, const float* flow, int64_t width,
                                    int64_t top, int64_t bottom, float* grad))
TOPO_SIMD_DECLARE(void finish_route(const uint16_t* depth, const double* handed, const double* flow, int64_t width,
                                    int64_t top, int64_t bottom, double* grad))

}  // namespace topo
