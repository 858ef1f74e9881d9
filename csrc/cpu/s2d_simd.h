// Chessboard distance d of one image, exact at any depth, in two sweeps over its rows: O(1) per pixel.
//
// Let r be the distance to the background in a pixel's own row. The distance to the background in this row and the rows
// above is
//   a = min(r, min3(a of the row above) + 1),
// since a path to a pixel above may take its first step, straight or diagonal, to the row above. The second sweep, from
// the last row up, gives
//   d = min(a, min3(d of the row below) + 1).
// r takes log2(lanes) steps of shifting and comparing within a vector and one carry between vectors, in each direction.
//
// The sweeps store the closeness far - d, with far the largest state, instead of d. Saturating subtraction then keeps
// "no background" at 0, and 0 is also what shifts bring in. Pixels outside the image have closeness 0, so that no path
// through them is shorter; with a black border they are background. States are bytes. If an image turns out to be too
// deep for bytes, it is swept again with 16 bits.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

struct Chessboard {
  int64_t height, width;
  bool black_border;
  uint16_t cap;  // distances saturate at this value, which is also the result without any background
};

// Bytes of scratch.
inline int64_t chessboard_scratch(int64_t height, int64_t width) {
  return 2 * (height + 3) * (width + 128) + 512;
}

// From mask (H, W), non-zero is foreground, to min(d, cap) (H, W). Returns false, with `distance` undefined, if a float
// mask is not binary, that is, if it holds a value other than 0 and 1.
TOPO_SIMD_DECLARE(bool chessboard_distance(const Chessboard& image, const float* mask, float* distance, void* scratch))
TOPO_SIMD_DECLARE(bool chessboard_distance(const Chessboard& image, const uint8_t* mask, float* distance,
                                           void* scratch))
TOPO_SIMD_DECLARE(bool chessboard_distance(const Chessboard& image, const uint8_t* mask, uint16_t* distance,
                                           void* scratch))

// foreground[i] = (mask[i] != 0). Returns whether all values are 0 or 1.
TOPO_SIMD_DECLARE(bool read_mask_float(const float* mask, int64_t count, uint8_t* foreground))

}  // namespace topo
