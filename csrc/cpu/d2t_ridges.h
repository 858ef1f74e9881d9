// What d2t and the fused operators hand to the ridge kernel.

#pragma once

#include <algorithm>

#include "cpu/d2t_simd.h"
#include "d2t.h"

namespace topo {

// A window that reaches past the image on all sides is the whole of it.
inline RidgeImage ridge_image(const D2tParams& p) {
  return {p.height, p.width, std::min(p.radius, std::max(p.height, p.width))};
}

}  // namespace topo
