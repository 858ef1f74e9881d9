// Thinning: pixels are removed from the outline in two alternating passes, until neither removes one. What is left is
// thin and as connected as the mask. Whether a pixel is removed depends on its eight neighbours; pixels outside the
// image are background. A floating mask is foreground where it exceeds 0.5.
//
//   zhang-suen   Zhang and Suen, Communications of the ACM 27(3), 1984, with the changes of scikit-image's table
//                (skeletonize, version 0.26): corners of staircases are removed, and the last pixels of squares and
//                diagonals stay.
//   guo-hall     Guo and Hall, Communications of the ACM 32(3), 1989, algorithm A1.
//
// The rules are formulas of words, which decide all pixels of a word at once.

#pragma once

#include "common.h"

namespace topo {

enum class ThinMethod { kZhangSuen, kGuoHall };

inline ThinMethod thin_method(const char* op, StringArgument argument) {
  const std::string name = take_string(argument);
  TOPO_CHECK(name == "zhang-suen" || name == "guo-hall", op, ": method must be 'zhang-suen' or 'guo-hall', got '", name,
             "'");
  return name == "zhang-suen" ? ThinMethod::kZhangSuen : ThinMethod::kGuoHall;
}

}  // namespace topo
