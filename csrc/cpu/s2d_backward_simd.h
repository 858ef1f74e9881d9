// Whole-image passes of the subgradient of s2d (cpu/s2d_backward.h). A padded plane has one more pixel on every side:
// its rows hold width + 2 values, and pixel (y, x) is at (y + 1) * (width + 2) + x + 1.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// Writes three padded planes: the depth, with `outside` around the image; the gradient, 0 on background, on saturated
// pixels and around the image; and whether the gradient is not 0. Returns the deepest level that carries a gradient, 0
// if none does.
TOPO_SIMD_DECLARE(uint16_t start_route(const uint16_t* depth, const float* upstream, int64_t height, int64_t width,
                                       uint16_t saturated, uint16_t outside, uint16_t* padded, float* flow,
                                       uint8_t* carries))
TOPO_SIMD_DECLARE(uint16_t start_route(const uint16_t* depth, const double* upstream, int64_t height, int64_t width,
                                       uint16_t saturated, uint16_t outside, uint16_t* padded, double* flow,
                                       uint8_t* carries))

// Lists the indices of non-zero marks, and of levels from 1 to `deepest`, in order, and returns their number. `list`
// needs room for 16 more indices than there are values.
TOPO_SIMD_DECLARE(int64_t list_marked(const uint8_t* marks, int64_t count, uint32_t* list))
TOPO_SIMD_DECLARE(int64_t list_levels(const uint16_t* depth, int64_t count, uint16_t deepest, uint32_t* list))

// lower, a padded plane: which of a pixel's eight neighbours are one level lower, one bit each in raster order.
TOPO_SIMD_DECLARE(void find_lower(const uint16_t* padded, int64_t height, int64_t width, uint16_t* lower))

// Rows [top, bottom) of grad: on background what its neighbours hand over, on the contour what stays there (`flow`),
// elsewhere 0.
TOPO_SIMD_DECLARE(void finish_route(const uint16_t* depth, const float* handed, const float* flow, int64_t width,
                                    int64_t top, int64_t bottom, float* grad))
TOPO_SIMD_DECLARE(void finish_route(const uint16_t* depth, const double* handed, const double* flow, int64_t width,
                                    int64_t top, int64_t bottom, double* grad))

}  // namespace topo
