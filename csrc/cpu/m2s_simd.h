// The pixel loops of m2s, one vector of pixels of a row at a time.
//
// A plane holds rows of `pitch` values, at least kPlanePadding more than the image is wide: a box is walked in whole
// vectors, and what they cover beyond it lies too far from the face to count.

#pragma once

#include <cstdint>

#include "cpu/simd.h"
#include "m2s_pixel.h"

namespace topo {

constexpr int64_t kPlanePadding = 16;

// product (H, pitch): times 1 + e of every face, in rows row_begin to row_end. `product` points to row 0.
TOPO_SIMD_DECLARE(void m2s_multiply(const FaceEdges<float>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                                    const Falloff<float>& falloff, float* product, int64_t pitch);
                  void m2s_multiply(const FaceEdges<double>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                                    const Falloff<double>& falloff, double* product, int64_t pitch))

// Whether any of weight (H, pitch) is not 0 in the box.
TOPO_SIMD_DECLARE(bool m2s_any_weight(const float* weight, int64_t pitch, const PixelBox& box);
                  bool m2s_any_weight(const double* weight, int64_t pitch, const PixelBox& box))

// grad of every face, (count, 3, 2): sum over pixels of weight * e / (1 + e) * (how its corners move d), from
// weight (H, pitch).
TOPO_SIMD_DECLARE(void m2s_gather(const FaceEdges<float>* faces, int64_t count, const Falloff<float>& falloff,
                                  const float* weight, int64_t pitch, float* grad);
                  void m2s_gather(const FaceEdges<double>* faces, int64_t count, const Falloff<double>& falloff,
                                  const double* weight, int64_t pitch, double* grad))

}  // namespace topo
