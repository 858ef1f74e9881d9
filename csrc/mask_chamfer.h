// From a mask to the two terms of the chamfer (chamfer.h), without storing the maps in between:
//   pull = sum s2d(1 - X) . target,   push = sum target_distance . X,   X = pred, or skeleton(pred).
// The results are double if pred is double and float32 otherwise, summed in a fixed order as in chamfer.
//
// Backward: dL/dX = grad_push . target_distance - s2d_backward(grad_pull . target, 1 - X). With skeletons,
// skeleton_backward follows.

#pragma once

#include "chamfer.h"
#include "skeleton.h"

namespace topo {

struct MaskChamferArgs {
  Images images;
  SkeletonParams params;  // its thinning is that of s2d(pred) and of s2d(1 - X)
  ScalarType result;      // dtype of the sums
};

inline MaskChamferArgs mask_chamfer_args(const char* op, const Tensor& pred, const Tensor& target,
                                         const Tensor& target_distance, std::optional<int64_t> iterations) {
  const Images images = images_of(op, "pred", pred);
  check_mask_dtype(op, "pred", pred);
  check_mask_dtype(op, "target", target);
  check_floating(op, "target_distance", target_distance);
  check_same_shape(op, "target", target, "pred", pred);
  check_same_shape(op, "target_distance", target_distance, "pred", pred);
  check_same_device(op, "target", target, "pred", pred);
  check_same_device(op, "target_distance", target_distance, "pred", pred);
  return {images, skeleton_params(op, images, iterations, 3),
          pred.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float};
}

// Checks the gradient of one term, which has one value per image.
inline void check_image_sums(const char* op, const char* argument, const Tensor& sums, const Tensor& pred) {
  check_floating(op, argument, sums);
  check_same_device(op, argument, sums, "pred", pred);
  bool same = sums.dim() + 2 == pred.dim();
  for (int64_t i = 0; same && i < sums.dim(); ++i) same = sums.size(i) == pred.size(i);
  TOPO_CHECK(same, op, ": ", argument, " must have the leading shape of pred ", shape_str(pred), ", got ",
             shape_str(sums));
}

}  // namespace topo
