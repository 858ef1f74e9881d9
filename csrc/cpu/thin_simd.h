// Passes of thinning over strips of 64 columns. A strip holds one word per row, so that a vector holds the words of
// consecutive rows, and the neighbours of its pixels are in the vectors one row further and in the strips beside it.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

constexpr int64_t kThinBlock = 8;  // rows that are worked on or left alone together; a multiple of every vector

struct ThinStrips {
  int64_t strips;  // without an empty one at each side
  int64_t blocks;  // per strip, without an empty one at each end
  // Words from one strip to the next, and words of all.
  int64_t stride() const {
    return (blocks + 2) * kThinBlock;
  }
  int64_t words() const {
    return (strips + 2) * stride();
  }
  int64_t flags() const {
    return (strips + 2) * (blocks + 2);
  }
};

// One pass: `to` is `from` without the pixels that it removes. A block is worked on if `recent` is set for it or one of
// its neighbours; otherwise `to` must hold it already. Sets `changed` where it removes a pixel, and returns whether it
// does anywhere. method: 0 Zhang and Suen, 1 Guo and Hall; pass: 0 or 1.
TOPO_SIMD_DECLARE(bool thin_pass(const ThinStrips& strips, int method, int pass, const uint64_t* from, uint64_t* to,
                                 const uint8_t* recent, uint8_t* changed))

}  // namespace topo
