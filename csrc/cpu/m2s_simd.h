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

constexpr int64_t kFacesAtOnce = 64;  // set up, then drawn, while in L1

// Corners of faces in counter-clockwise order.
struct FaceCorners {
  double x[3][kFacesAtOnce], y[3][kFacesAtOnce];
};

// The pixels of a (height, width) image within `reach` of the bounding box of each face; none: x1 < x0.
TOPO_SIMD_DECLARE(void m2s_boxes(const FaceCorners& corners, int64_t count, int64_t height, int64_t width, double reach,
                                 PixelBox* boxes))

// The edges of the faces, as face_edges in m2s.h has them, which sets `flipped` too.
TOPO_SIMD_DECLARE(void m2s_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count,
                                 FaceEdges<float>* faces);
                  void m2s_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count,
                                 FaceEdges<double>* faces))

// product (H, pitch): times 1 + e of every face, in rows row_begin to row_end. `product` points to row 0. If `exact`,
// it is made negative inside of a face.
TOPO_SIMD_DECLARE(void m2s_multiply(const FaceEdges<float>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                                    const Falloff<float>& falloff, bool exact, float* product, int64_t pitch);
                  void m2s_multiply(const FaceEdges<double>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                                    const Falloff<double>& falloff, bool exact, double* product, int64_t pitch))

// Row y of weight (H, pitch) = scale * dL/dA * (1 - A), 0 where 1 - A < least. dL/dA is `grad`, or where there is a
// silhouette the central difference of m2s.h; scratch then holds 2 * (width + 2) values.
TOPO_SIMD_DECLARE(void m2s_weigh(const float* grad, const float* silhouette, const float* coverage, int64_t height,
                                 int64_t width, int64_t y, float scale, float least, float* scratch, float* row);
                  void m2s_weigh(const double* grad, const double* silhouette, const double* coverage, int64_t height,
                                 int64_t width, int64_t y, double scale, double least, double* scratch, double* row))

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
