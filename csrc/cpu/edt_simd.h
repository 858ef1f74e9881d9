// Passes of the exact Euclidean distance over one image, on vectors.
//
// Along a row the squared distance is the minimum over the columns c of costs[c] + (x - c)^2. Two methods give it:
//   search   around each vector of pixels, with growing |x - c|, until (x - c)^2 reaches the largest minimum of the
//            vector. In 16 bits. The cost grows with the depth, so it suits shallow rows.
//   divide   the best column never decreases with x. Bisection finds it at the edges of blocks of pixels, and the
//   pixels
//            of a block then try the columns between those of its edges: O(W log W) at any depth.
// Both are exact. Neighbouring rows have similar depths, so the last row tells which method is cheaper for the next.

#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace topo {

constexpr int64_t kEdtBlock = 16;     // pixels between edges
constexpr int64_t kEdtReach = 128;    // the search covers distances below this
constexpr int64_t kEdtPadding = 160;  // around a row of squares: the reach and a vector

// Scratch and state of the rows of one image; filled by start_edt_rows.
struct EdtRows {
  int64_t width;
  bool ring;             // whether columns -1 and `width` are targets in every row
  int64_t columns;       // the number of columns with a target, including the ring's
  int32_t* column;       // [width + 2], their positions
  uint32_t* cost;        // [width + 2 + 16], the squares of the distances in them
  int16_t* square;       // [width + 2 * kEdtPadding], the same, for the search; row[0] is at kEdtPadding
  uint32_t* table;       // [2 * width + 64], squares of -width - 16 and up
  int32_t* edge;         // [width / kEdtBlock + 2], the best column at each edge
  int64_t search_steps;  // that the last row took or would have taken
};

// Distances (H, W) along columns to the nearest target, kNoTarget without; for the columns from `begin` to `end`.
// Targets are where foreground is 0, or not 0 if `inverted`. With a ring, the rows outside are targets as well.
TOPO_SIMD_DECLARE(void edt_columns(const uint8_t* foreground, int64_t height, int64_t width, int64_t begin, int64_t end,
                                   bool inverted, bool ring, uint16_t* distance))

// Prepares rows of an image; `first` is any row of the distances along columns.
TOPO_SIMD_DECLARE(void start_edt_rows(const uint16_t* first, EdtRows* rows))

// Squared distances of one row from the distances along columns. At least one column has a target.
TOPO_SIMD_DECLARE(void edt_row(const uint16_t* distance, EdtRows* rows, uint32_t* squared))

// Adjacent pixels of a row with the same target, and its column: -1 or `width` in the ring.
struct EdtRun {
  int32_t begin, end, column;
};

// The runs of a row, from its squared distances, with the leftmost of equally near columns. Leaves out targets that are
// no other pixel's target. Reads up to 8 values beyond both rows. Returns the number of runs.
TOPO_SIMD_DECLARE(int64_t edt_runs(const uint16_t* distance, const uint32_t* squared, const EdtRows& rows,
                                   EdtRun* runs))

// Writes one row of results: scale * sqrt(squared), or scale * squared. With `negative` the results are negated, and
// only those that are not 0 are written.
TOPO_SIMD_DECLARE(void write_edt_row(const uint32_t* squared, int64_t width, double scale, bool root, bool negative,
                                     float* result))
TOPO_SIMD_DECLARE(void write_edt_row(const uint32_t* squared, int64_t width, double scale, bool root, bool negative,
                                     double* result))

}  // namespace topo
