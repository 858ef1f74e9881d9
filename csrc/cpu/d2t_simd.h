// Ridges of one image: T = relu(D - max + 1) * S, with the maximum over the part of the window inside the image. The
// maximum is separable: first over the window's rows, then over the columns of the result in log2(window) steps.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// Number of elements of `lines`, which is scratch of the type of D.
inline int64_t ridge_lines(int64_t width, int64_t radius) {
  return 2 * (width + 2 * radius);
}

struct RidgeImage {
  int64_t height, width, radius;
};

TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const float* distance, const float* mask, float* skeleton,
                              float* lines))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const float* distance, const uint8_t* mask, float* skeleton,
                              float* lines))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const double* distance, const double* mask, double* skeleton,
                              double* lines))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const double* distance, const uint8_t* mask, double* skeleton,
                              double* lines))
// Levels of a binary image, with S of 0 and 1: T is 1 where S is 1 and D is the maximum of its window.
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, uint8_t* skeleton,
                              uint16_t* lines))
TOPO_SIMD_DECLARE(void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, float* skeleton,
                              uint16_t* lines))

}  // namespace topo
