// Dilation and erosion of masks by squares and discs, and what is made of them. A floating mask is foreground where it
// exceeds 0.5.
//
//   dilate, erode   whether any, or every, pixel is foreground within the element around a pixel.
//   open, close     erode, then dilate; dilate, then erode.
//   band            dilate without erode: pixels whose element reaches across the outline. inner_band and outer_band
//                   are its parts in the foreground and in the background.
//   disc            pixels whose centres are at most `radius` away.
//   square          pixels at most `radius` rows and columns away, rounded down.
//   black_border    pixels outside the image are background; otherwise they are ignored.

#pragma once

#include <cmath>

#include "common.h"

namespace topo {

enum class Morphology { kDilate, kErode, kOpen, kClose, kBand, kInnerBand, kOuterBand };

struct MorphologyNames {
  Morphology operation;
  bool disc;
};

// Takes both strings, so kernels call this first.
inline MorphologyNames morphology_names(const char* op, StringArgument operation, StringArgument shape) {
  const std::string name = take_string(operation), element = take_string(shape);
  constexpr const char* names[] = {"dilate", "erode", "open", "close", "band", "inner_band", "outer_band"};
  int index = 0;
  while (index < 7 && name != names[index]) ++index;
  TOPO_CHECK(index < 7, op, ": operation must be dilate, erode, open, close, band, inner_band or outer_band, got '",
             name, "'");
  TOPO_CHECK(element == "disc" || element == "square", op, ": shape must be 'disc' or 'square', got '", element, "'");
  return {static_cast<Morphology>(index), element == "disc"};
}

struct MorphologyParams {
  Morphology operation;
  bool disc, black_border;
  int32_t reach;     // in rows and columns
  uint32_t squared;  // the largest squared distance in a disc
};

inline MorphologyParams morphology_params(const char* op, const MorphologyNames& names, const Images& images,
                                          double radius, bool black_border) {
  TOPO_CHECK(radius >= 0 && std::isfinite(radius), op, ": radius must be at least 0 and finite, got ", radius);
  // Larger elements reach no more of an image.
  const double most = static_cast<double>(images.height + images.width), used = radius < most ? radius : most;
  // The squared distances in an image of 2^15 x 2^15 pixels are below 2^31.
  const double squared = used * used < 2147483648.0 ? used * used : 2147483648.0;
  return {names.operation, names.disc, black_border, static_cast<int32_t>(used), static_cast<uint32_t>(squared)};
}

}  // namespace topo
