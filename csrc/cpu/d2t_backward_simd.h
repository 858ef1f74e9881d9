// The subgradient of d2t with a 3 x 3 window (defined in d2t.h), streamed over the rows of one image: three rows of the
// maps at a time, combined first along the columns, then along the row. Only the bounding box of the pixels that carry
// a gradient is visited.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// Number of scratch values that ridge_backward() needs.
inline int64_t ridge_scratch(int64_t width) {
  return 16 * (width + 2);
}

// All planes (H, W).
TOPO_SIMD_DECLARE(void ridge_backward(const float* grad, const float* distance, const float* mask,
                                      const float* skeleton, int64_t height, int64_t width, float* scratch,
                                      float* grad_distance, float* grad_mask))
TOPO_SIMD_DECLARE(void ridge_backward(const double* grad, const double* distance, const double* mask,
                                      const double* skeleton, int64_t height, int64_t width, double* scratch,
                                      double* grad_distance, double* grad_mask))

}  // namespace topo
