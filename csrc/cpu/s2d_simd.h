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
  return 4 * ((height + 2) * (width + 2) + (height + width + 8)) * 2 + 256;
}

// foreground (H, W) of 0 and 1 -> distance (H, W), 0xFFFF where the image has no background.
TOPO_SIMD_DECLARE(void chessboard_distance(const uint8_t* foreground, int64_t height, int64_t width, bool black_border,
                                           uint16_t* distance, void* scratch))

}  // namespace topo
