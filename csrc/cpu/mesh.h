// The checks of a mesh that the CPU renderers run before their loops.

#pragma once

#include <cmath>

#include "m2s.h"

namespace topo {

// Throws if a coordinate is not finite or huge, or if an index is out of range. z is checked only if `needs_depth`.
template <typename Real>
void check_mesh(const char* op, const M2sParams& p, const Real* vertices, const int64_t* faces, bool needs_depth) {
  const int64_t checked = needs_depth ? 3 : 2;
  bool wrong = false;  // one flag, without a branch per coordinate; !(a <= b) is true for NaN
  for (int64_t i = 0; i < p.count * p.vertices; ++i) {
    const Real* vertex = vertices + i * p.components;
    wrong |= !(std::abs(vertex[0]) <= Real(kLargestCoordinate)) | !(std::abs(vertex[1]) <= Real(kLargestCoordinate));
    if (needs_depth) wrong |= !(std::abs(vertex[2]) <= Real(kLargestDepth));
  }
  for (int64_t i = 0; wrong && i < p.count * p.vertices; ++i) {
    for (int64_t c = 0; c < checked; ++c) {
      const double value = static_cast<double>(vertices[i * p.components + c]);
      const double largest = c < 2 ? kLargestCoordinate : kLargestDepth;
      if (value <= largest && value >= -largest) continue;
      fail(op, ": vertices must be finite, within 2^24 pixels and 2^100 in depth, got ", value, " at (", i / p.vertices,
           ", ", i % p.vertices, ", ", c, ")");
    }
  }
  const int64_t indices = (p.face_stride ? p.count : 1) * p.faces * 3;
  wrong = false;  // again without a branch per index
  for (int64_t i = 0; i < indices; ++i) wrong |= faces[i] < 0 || faces[i] >= p.vertices;
  for (int64_t i = 0; wrong && i < indices; ++i) {
    TOPO_CHECK(faces[i] >= 0 && faces[i] < p.vertices, op,
               ": faces must hold indices from 0 to V - 1 = ", p.vertices - 1, ", got ", faces[i], " in face ",
               i / 3 % p.faces);
  }
}

// The number of bands of rows into which each image is divided if there are fewer images than threads.
inline int64_t row_bands(const M2sParams& p) {
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t bands = p.count >= threads ? 1 : (threads + p.count - 1) / p.count;
  return bands < p.height ? bands : p.height;
}

}  // namespace topo
