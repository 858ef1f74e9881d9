// Dilation of strips of 64 columns, which hold one word per row: 64 pixels at a time across, and vectors of rows down.
// Bits beyond the image are 0.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

struct BitStrips {
  int64_t count, height;
  uint64_t last;  // the columns of the last strip that are in the image

  int64_t words() const {
    return count * height;
  }
};

// to = from, and from moved by `step` columns, or rows, in both directions.
TOPO_SIMD_DECLARE(void spread_columns(const BitStrips& strips, int64_t step, const uint64_t* from, uint64_t* to))
TOPO_SIMD_DECLARE(void spread_rows(const BitStrips& strips, int64_t step, const uint64_t* from, uint64_t* to))

// to = from moved by one row in both directions, and `more`.
TOPO_SIMD_DECLARE(void spread_and_add(const BitStrips& strips, const uint64_t* from, const uint64_t* more,
                                      uint64_t* to))

}  // namespace topo
