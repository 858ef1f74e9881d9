// Connected components of masks, and the operators that select some of them. A floating mask is foreground where it
// exceeds 0.5.
//
//   connectivity   8: pixels that share an edge or a corner are adjacent; 4: an edge. The background has the other one,
//                  so that an outline separates what is inside of it from what is outside.
//   labels         0 on background; the components of an image are 1, 2, ... in the raster order of their first pixels.
//   areas          the number of pixels of the component of each pixel, 0 on background.
//   remove_small   the pixels of components of fewer than `area` pixels become 0.
//   largest        the pixels of all components but the largest become 0; of equally large ones the first stays.
//   fill_holes     the background components that do not touch the border of the image are filled, if they have fewer
//                  than `area` pixels: with 1, in masks of bytes with the byte to the left of the first pixel.
//
// All other pixels keep their value. The gradient is therefore that of the pixels that keep their value.

#pragma once

#include "common.h"

namespace topo {

enum class Selection { kFillHoles, kRemoveSmall, kLargest };

struct ComponentParams {
  int64_t height, width;
  bool diagonal;  // whether pixels that share a corner are adjacent

  TOPO_HOST_DEVICE int64_t pixels() const {
    return height * width;
  }
};

inline ComponentParams component_params(const char* op, const Images& images, int64_t connectivity) {
  TOPO_CHECK(connectivity == 4 || connectivity == 8, op, ": connectivity must be 4 or 8, got ", connectivity);
  return {images.height, images.width, connectivity == 8};
}

inline void check_area(const char* op, int64_t area) {
  TOPO_CHECK(area >= 0, op, ": area must be at least 0, got ", area);
}

constexpr int64_t kAnyArea = int64_t(1) << 62;

}  // namespace topo
