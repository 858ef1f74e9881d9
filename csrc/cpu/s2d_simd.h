// Chessboard distance of one image by four cone sweeps.
//
// The nearest background pixel lies in one of the four 90-degree cones of a pixel, and max(|dx|, |dy|)
// moves that stay in the cone reach it. So v = min3(previous line) + 1, zero on background, swept down,
// up, right and left, and the minimum of the four is exact: O(1) per pixel at any depth, with a whole
// line as the vector direction. The two horizontal sweeps run on the transposed image.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

// Bytes of scratch that chessboard_distance() needs.
inline int64_t chessboard_scratch(int64_t height, int64_t width) {
  const int64_t state = height <= 255 && width <= 255 ? 1 : 2;
  return 4 * ((height + 2) * (width + 2) + (height + width + 8)) * state + 256;
}

// foreground (H, W) of 0 and 1 -> distance (H, W), 0xFFFF where the image has no background.
TOPO_SIMD_DECLARE(void chessboard_distance(const uint8_t* foreground, int64_t height, int64_t width, bool black_border,
                                           uint16_t* distance, void* scratch))

// Whether a mask holds values other than 0 and 1, or values that are not in [0, 1].
struct MaskBits {
  bool soft, invalid;
};

// foreground[i] = (mask[i] != 0).
TOPO_SIMD_DECLARE(MaskBits read_mask_float(const float* mask, int64_t count, uint8_t* foreground))

// distance[i] = min(distance[i], cap).
TOPO_SIMD_DECLARE(void cap_depth(uint16_t* distance, int64_t count, uint16_t cap))

TOPO_SIMD_DECLARE(void write_float(const uint16_t* depth, int64_t count, float* out))

}  // namespace topo
