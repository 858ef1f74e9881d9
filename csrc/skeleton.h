// Skeleton of a mask in one pass: T = d2t(s2d(S), S), with the 3 x 3 thinning of s2d.h (without black_border and
// fill_holes) and the ridges of d2t.h. Half precision is computed in float32; only T is rounded.
//
// Binary image: D holds whole numbers, so T is binary: 1 where S is 1 and D is the maximum of its window.
//
// Backward: that of d2t, then that of s2d, in the same mode. The gradient of S is the sum of both.

#pragma once

#include "d2t.h"
#include "s2d.h"

namespace topo {

struct SkeletonParams {
  S2dParams thinning;
  D2tParams ridges;

  TOPO_HOST_DEVICE int64_t pixels() const {
    return thinning.pixels();
  }
};

inline SkeletonParams skeleton_params(const char* op, const Images& images, std::optional<int64_t> iterations,
                                      int64_t pool_size) {
  return {s2d_params(images, iterations, 3, false, false, op), d2t_params(op, images, pool_size)};
}

inline ScalarType skeleton_dtype(ScalarType mask) {
  return is_floating(mask) ? mask : ScalarType::Float;
}

}  // namespace topo
