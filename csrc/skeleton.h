// Skeleton of a mask in one pass: T = d2t(s2d(S), S), with the 3 x 3 thinning of s2d.h, its border ignored and its
// holes left open, and the ridges of d2t.h. Half precision computes in float32 and rounds T alone.
//
// Binary image: D holds whole numbers, so T is binary: 1 where D is the largest of its window and S is 1.
//
// Backward: d2t's, then s2d's, each in the same mode; the gradient of S is the sum of both.

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
