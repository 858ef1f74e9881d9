// Chessboard distance d of one image, exact at any depth, in two sweeps over its rows: O(1) per pixel.
//
// Let r be the distance to the background of the own row. The distance to background in the own row and above is
//   a = min(r, min3(a of the row above) + 1),
// since a path to a pixel above may take its first step, straight or diagonal, to the row above. Going up again,
//   d = min(a, min3(d of the row below) + 1).
// r takes log2(lanes) steps of shifting and comparing within a vector and one carry between vectors, both ways.
//
// Kept as closeness, far - d, with far the largest state: saturating subtraction leaves "none" at 0, and 0 is what
// shifts bring in. What lies outside the image is foreground of no closeness, so shortest paths gain nothing there,
// or, with a black border, background. States are bytes; only where one is not enough, the image is done again in 16
// bits.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

struct Chessboard {
  int64_t height, width;
  bool black_border;
  uint16_t cap;  // distances saturate here; also the result where there is no background
};

// Bytes of scratch.
inline int64_t chessboard_scratch(int64_t height, int64_t width) {
  return 2 * (height + 3) * (width + 128) + 512;
}

// mask (H, W), non-zero is foreground -> min(d, cap) (H, W). A float mask that holds any value other than 0 and 1 is
// not binary: the result is false and `distance` undefined.
TOPO_SIMD_DECLARE(bool chessboard_distance(const Chessboard& image, const float* mask, float* distance, void* scratch))
TOPO_SIMD_DECLARE(bool chessboard_distance(const Chessboard& image, const uint8_t* mask, float* distance,
                                           void* scratch))
TOPO_SIMD_DECLARE(bool chessboard_distance(const Chessboard& image, const uint8_t* mask, uint16_t* distance,
                                           void* scratch))

// foreground[i] = (mask[i] != 0). Whether all values are 0 or 1.
TOPO_SIMD_DECLARE(bool read_mask_float(const float* mask, int64_t count, uint8_t* foreground))

}  // namespace topo
