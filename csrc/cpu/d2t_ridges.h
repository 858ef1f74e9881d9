// The argument of the ridge kernel for d2t and the fused operators.

#pragma once

#include <algorithm>

#include "cpu/d2t_simd.h"
#include "d2t.h"

namespace topo {

// Once the window covers the whole image from every pixel, a larger radius changes nothing.
inline RidgeImage ridge_image(const D2tParams& p) {
  return {p.height, p.width, std::min(p.radius, std::max(p.height, p.width))};
}

}  // namespace topo
