// Masked distance-map chamfer (Rakesh et al., NeurIPS 2021, eq. 5): per image, with D_out the outward maps,
//   pull = sum D_out(pred) . target,   push = sum D_out(target) . pred.
// Sums are accumulated in double in a fixed order; the result is double for double maps and float32 for all others.

#pragma once

#include "common.h"

namespace topo {

struct ChamferArgs {
  Images images;
  ScalarType type;    // dtype of the four maps
  ScalarType result;  // dtype of the sums
};

inline ChamferArgs chamfer_args(const Tensor& pred, const Tensor& target, const Tensor& pred_distance,
                                const Tensor& target_distance) {
  const Images images = images_of("chamfer", "pred", pred);
  check_mask_dtype("chamfer", "pred", pred);
  check_mask_dtype("chamfer", "target", target);
  check_floating("chamfer", "pred_distance", pred_distance);
  check_floating("chamfer", "target_distance", target_distance);
  check_same_shape("chamfer", "target", target, "pred", pred);
  check_same_shape("chamfer", "pred_distance", pred_distance, "pred", pred);
  check_same_shape("chamfer", "target_distance", target_distance, "pred", pred);
  check_same_device("chamfer", "target", target, "pred", pred);
  check_same_device("chamfer", "pred_distance", pred_distance, "pred", pred);
  check_same_device("chamfer", "target_distance", target_distance, "pred", pred);
  const ScalarType type = pred_distance.scalar_type();
  TOPO_CHECK(target_distance.scalar_type() == type, "chamfer: target_distance must have the dtype of pred_distance ",
             dtype_str(type), ", got ", dtype_str(target_distance.scalar_type()));
  return {images, type, type == ScalarType::Double ? ScalarType::Double : ScalarType::Float};
}

// An uninitialised result with the leading dimensions of `pred`.
inline Tensor chamfer_result(const Tensor& pred, ScalarType type) {
  return empty_like_leading(pred, pred.dim() - 2, type);
}

inline Tensor chamfer_map(const Tensor& map, ScalarType type) {
  return as_contiguous(as_dtype(foreground_bool(map), type));
}

}  // namespace topo
