// Ridges of one image: T = relu(D - max + 1) * S, the maximum over the window of D cut to the image. Separable: the
// maximum of the window's rows, then of that line's columns in log2(window) steps.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// Elements of `line`, scratch of the type of D.
inline int64_t ridge_line(int64_t width, int64_t radius) {
  return width + 2 * radius;
}

struct RidgeImage {
  int64_t height, width, radius;
};

TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const float* distance, const float* mask, float* skeleton,
                              float* line))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const float* distance, const uint8_t* mask, float* skeleton,
                              float* line))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const double* distance, const double* mask, double* skeleton,
                              double* line))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const double* distance, const uint8_t* mask, double* skeleton,
                              double* line))
// Levels of a binary image: T is 1 where S is and D is the largest of its window.
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, uint8_t* skeleton,
                              uint16_t* line))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, float* skeleton,
                              uint16_t* line))

}  // namespace topo
