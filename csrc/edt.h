// EDT, exact Euclidean distance of masks: for each foreground pixel, the distance of its centre to the centre of the
// nearest background pixel, its target; 0 on background. A floating mask is foreground where it exceeds 0.5.
//
//   signed         background pixels get minus the distance to the nearest foreground pixel.
//   black_border   the image is surrounded by a ring of background pixels; their centres lie one pixel outside.
//   sampling       (sy, sx), the distance of neighbouring rows and of neighbouring columns.
//   Ties           of equally near targets the leftmost counts, and of those the topmost. Pixels of the ring take part.
//   No target      the length of the diagonal of the image, hypot(sy H, sx W), which exceeds every distance in it.
//
// Computation: the distance along the column to the nearest target, for all pixels; then along each row the minimum
// over all columns c of (distance in column c)^2 + (x - c)^2. The column that attains it never decreases with x.
//
// Subgradient, with g = dL/dD at a pixel p and t its target: half of g goes to t, and half to the last pixel before t
// on the line from p to t, which is the neighbour of t in the direction of p. It is on the same side of the outline as
// p, since t is the nearest. Both signs of a signed map move their outline alike. The gradient of a ring pixel is
// dropped, and a pixel without target passes none. `sampling` multiplies g by the length of the line over its length in
// pixels. A soft mask gets the gradient as if it were binary (straight-through).

#pragma once

#include <cmath>

#include "common.h"

namespace topo {

constexpr uint16_t kNoTarget = 0xFFFF;  // distance along a column without target

struct EdtParams {
  int64_t height, width;
  bool is_signed, squared, black_border;
  double pitch_y, pitch_x;

  TOPO_HOST_DEVICE int64_t pixels() const {
    return height * width;
  }
  TOPO_HOST_DEVICE bool isotropic() const {
    return pitch_y == pitch_x;
  }
  // The distance, or squared distance, of pixels without target.
  double without_target() const {
    const double y = pitch_y * static_cast<double>(height), x = pitch_x * static_cast<double>(width);
    return squared ? y * y + x * x : std::sqrt(y * y + x * x);
  }
};

inline EdtParams edt_params(const char* op, const Images& images, bool is_signed, bool squared,
                            const std::optional<std::vector<double>>& sampling, bool black_border) {
  if (!sampling) return {images.height, images.width, is_signed, squared, black_border, 1.0, 1.0};
  TOPO_CHECK(sampling->size() == 2, op, ": sampling must be two numbers (sy, sx) or None, got ", sampling->size());
  const double y = (*sampling)[0], x = (*sampling)[1];
  // Beyond these limits a squared distance could overflow or vanish in float32.
  TOPO_CHECK(y >= 1e-12 && y <= 1e12 && x >= 1e-12 && x <= 1e12, op, ": sampling must be between 1e-12 and 1e12, got (",
             y, ", ", x, ")");
  return {images.height, images.width, is_signed, squared, black_border, y, x};
}

inline ScalarType edt_result_dtype(ScalarType mask) {
  return mask == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// The neighbour of a target, seen from it, that a line from `dy` rows below and `dx` columns to the right of the target
// passes last. Diagonal if the line is steeper than 1 : 2 and flatter than 2 : 1.
struct EdtStep {
  int y, x;
};

TOPO_HOST_DEVICE EdtStep edt_step(int64_t dy, int64_t dx) {
  const int64_t v = dy < 0 ? -dy : dy, h = dx < 0 ? -dx : dx;
  return {2 * v > h ? (dy > 0) - (dy < 0) : 0, 2 * h > v ? (dx > 0) - (dx < 0) : 0};
}

}  // namespace topo
