// Runs of adjacent foreground pixels in the rows of an image, for connected components.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

constexpr int64_t kEdgeSlack = 4;  // find_runs may write this many edges too many

// The first pixels of the runs of a row and the pixels after their last, in turn: the set bits of `words`, or with
// `inverted` the others. Returns the number of runs.
TOPO_SIMD_DECLARE(int64_t find_runs(const uint64_t* words, int64_t width, bool inverted, uint16_t* edges))

// Unites the runs of a row with those of the row above that they touch. `parents` holds for each run an earlier run of
// its component, or the run itself; `first_above` and `first` are the first runs of the two rows. `higher` is the row
// above those, or null.
TOPO_SIMD_DECLARE(void unite_rows(const uint64_t* higher, const uint64_t* above, const uint64_t* here, int64_t width,
                                  bool inverted, bool diagonal, int32_t first_above, int32_t first, int32_t* parents))

// Writes one value for each run of a row, and 0 between them.
TOPO_SIMD_DECLARE(void write_runs(const uint16_t* edges, int64_t runs, const int32_t* values, int64_t width,
                                  int32_t* out))

}  // namespace topo
