// The pixel loops of m2s, one vector of pixels of a row at a time.
//
// A plane holds rows of `pitch` values, at least kPlanePadding more than the image is wide. A box is walked in whole
// vectors; the pixels that they cover beyond the box are too far from the face to change.

#pragma once

#include <cstdint>

#include "cpu/simd.h"
#include "m2s_pixel.h"

namespace topo {

constexpr int64_t kPlanePadding = 16;

constexpr int64_t kFacesAtOnce = 64;  // set up and drawn together, so that they stay in the L1 cache

// Corners of faces in counter-clockwise order.
struct FaceCorners {
  double x[3][kFacesAtOnce], y[3][kFacesAtOnce];
};

// The pixels of a (height, width) image within `reach` of the bounding box of each face; x1 < x0 if there are none.
TOPO_SIMD_DECLARE(void m2s_boxes(const FaceCorners& corners, int64_t count, int64_t height, int64_t width, double reach,
                                 PixelBox* boxes))

// The edges of the faces as in face_edges() of m2s.h, except for `flipped`, which the caller sets.
TOPO_SIMD_DECLARE(void m2s_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count,
                                 FaceEdges<float>* faces);
                  void m2s_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count,
                                 FaceEdges<double>* faces))

// Multiplies product (H, pitch) by 1 + e of every face, in rows row_begin to row_end. `product` points to row 0. If
// `exact`, the product is made negative inside a face.
TOPO_SIMD_DECLARE(void m2s_multiply(const FaceEdges<float>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                                    const Falloff<float>& falloff, bool exact, float* product, int64_t pitch);
                  void m2s_multiply(const FaceEdges<double>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                                    const Falloff<double>& falloff, bool exact, double* product, int64_t pitch))

// Row y of weight (H, pitch) = scale * dL/dA * (1 - A), 0 where 1 - A < least. dL/dA is `grad` or, with a silhouette,
// the central difference of m2s.h, which needs 2 * (width + 2) scratch values.
TOPO_SIMD_DECLARE(void m2s_weigh(const float* grad, const float* silhouette, const float* coverage, int64_t height,
                                 int64_t width, int64_t y, float scale, float least, float* scratch, float* row);
                  void m2s_weigh(const double* grad, const double* silhouette, const double* coverage, int64_t height,
                                 int64_t width, int64_t y, double scale, double least, double* scratch, double* row))

// Whether weight (H, pitch) is not 0 anywhere in the box.
TOPO_SIMD_DECLARE(bool m2s_any_weight(const float* weight, int64_t pitch, const PixelBox& box);
                  bool m2s_any_weight(const double* weight, int64_t pitch, const PixelBox& box))

// The gradient of the corners of every face, (count, 3, 2): the sum over pixels of weight * e / (1 + e) times the
// derivative of d by the corner, from weight (H, pitch).
TOPO_SIMD_DECLARE(void m2s_gather(const FaceEdges<float>* faces, int64_t count, const Falloff<float>& falloff,
                                  const float* weight, int64_t pitch, float* grad);
                  void m2s_gather(const FaceEdges<double>* faces, int64_t count, const Falloff<double>& falloff,
                                  const double* weight, int64_t pitch, double* grad))

}  // namespace topo
