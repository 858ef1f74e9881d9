// S2D, silhouette to distance map (Rakesh et al., NeurIPS 2021, eq. 2):
//   D = sum_{i=0..l} S_i,   S_0 = S,   S_{i+1} = relu(N * S_i - m)
// with N the full n x n box and m = n^2 - 1, or, with fill_holes, N without its centre and m = n^2 - 2.
//
// Binary image: D = min(ceil(d / r), l + 1), with r = (n - 1) / 2 and d the chessboard distance to the
// nearest background pixel; D = l + 1 if the image has no background. With fill_holes, a background pixel
// whose n^2 - 1 neighbours are all foreground gets 1. This holds for images one pixel high or wide as well,
// where the recursion would leave a checkerboard next to each hole. Pixels outside the image count as
// foreground, or as background with black_border. An image with a value other than 0 and 1 is soft and
// follows eq. 2 as printed.
//
// Backward, with g = dL/dD:
//   literal       the adjoint of the recursion. The gate of step i at u is open while S_i(u) > 0. This is
//                 monotone in i >= 1, so one count per pixel, survivals(u) = #{i >= 1 : S_i(u) > 0},
//                 describes all gates. On a binary image it equals D - S.
//   subgradient   g moves down D to the contour along shortest paths; ties share it. At the contour, half of
//                 it stays on the last foreground pixel and half goes to the adjacent background pixels.
//                 Saturated pixels (D = l + 1) pass no gradient. Soft images use the exact adjoint.
//
// The results are deterministic: every sum is gathered in a fixed order.

#pragma once

#include "common.h"

namespace topo {

constexpr uint16_t kFar = 0xFFFF;  // the chessboard distance if there is no background

struct S2dParams {
  int64_t height, width;
  int32_t radius;      // r
  int32_t iterations;  // l
  bool black_border, fill_holes;

  TOPO_HOST_DEVICE int64_t pixels() const {
    return height * width;
  }
};

inline S2dParams s2d_params(const Images& images, std::optional<int64_t> iterations, int64_t kernel_size,
                            bool black_border, bool fill_holes, const char* op = "s2d") {
  const int64_t radius = window_radius(op, "kernel_size", kernel_size);
  TOPO_CHECK(!iterations || *iterations >= 0, op, ": iterations must be at least 0 or None, got ",
             iterations.value_or(0));
  const int64_t deepest = images.height > images.width ? images.height - 1 : images.width - 1;
  const int64_t steps = iterations ? (*iterations < 65534 ? *iterations : 65534) : (deepest > 0 ? deepest : 0);
  return {
      images.height, images.width, static_cast<int32_t>(radius < 32768 ? radius : 32768), static_cast<int32_t>(steps),
      black_border,  fill_holes};
}

// The mask's dtype if it holds every depth exactly, and float32 otherwise. The dtype depends on the size of the image,
// not on its contents, which a caller on the GPU or under torch.compile could not know.
inline ScalarType s2d_result_dtype(ScalarType mask, std::optional<ScalarType> out_dtype, const S2dParams& p) {
  const int64_t deepest = p.iterations + 1;
  if (!out_dtype) return is_floating(mask) && largest_whole(mask) >= deepest ? mask : ScalarType::Float;
  TOPO_CHECK(largest_whole(*out_dtype) >= deepest,
             "s2d: out_dtype must be floating point, uint8, int16 or int32, and hold all distances up to ", deepest,
             " exactly, as torch.float32 does, got ", dtype_str(*out_dtype));
  return *out_dtype;
}

// The depth D of a pixel at chessboard distance d.
TOPO_HOST_DEVICE int32_t thinning_depth(const S2dParams& p, uint16_t d) {
  if (d == kFar) return p.iterations + 1;
  const int32_t steps = (d + p.radius - 1) / p.radius;
  return steps < p.iterations + 1 ? steps : p.iterations + 1;
}

// Chessboard distance at column x of a row, from the distances along the columns: the minimum over dx of
// max(|dx|, columns[x + dx]). The search stops at the smallest distance found so far.
TOPO_HOST_DEVICE uint16_t nearest_in_row(const S2dParams& p, const uint16_t* columns, int64_t x) {
  const uint16_t outside = p.black_border ? 0 : kFar;
  int32_t best = columns[x];
  for (int32_t dx = 1; dx < best && (dx <= x || dx < p.width - x); ++dx) {
    const uint16_t left = dx <= x ? columns[x - dx] : outside;
    const uint16_t right = dx < p.width - x ? columns[x + dx] : outside;
    const int32_t nearer = left < right ? left : right;
    const int32_t here = nearer > dx ? nearer : dx;
    if (here < best) best = here;
  }
  // With a black border the distance cannot exceed that of the first column outside the image.
  const int64_t edge = (x + 1 < p.width - x ? x + 1 : p.width - x);
  if (p.black_border && edge < best) best = static_cast<int32_t>(edge);
  return static_cast<uint16_t>(best);
}

// Calls visit(index) for each pixel of the n x n window around (y, x) that lies in the image.
template <typename Visit>
TOPO_HOST_DEVICE void for_window(const S2dParams& p, int64_t y, int64_t x, Visit&& visit) {
  visit_window(p.height, p.width, p.radius, y, x, visit);
}

// The number of window pixels outside the image.
TOPO_HOST_DEVICE int64_t outside_count(const S2dParams& p, int64_t y, int64_t x) {
  const int64_t y0 = y > p.radius ? y - p.radius : 0, y1 = y + p.radius < p.height ? y + p.radius : p.height - 1;
  const int64_t x0 = x > p.radius ? x - p.radius : 0, x1 = x + p.radius < p.width ? x + p.radius : p.width - 1;
  const int64_t side = 2 * static_cast<int64_t>(p.radius) + 1;
  return side * side - (y1 - y0 + 1) * (x1 - x0 + 1);
}

// Whether fill_holes sets this background pixel to 1. `foreground` is indexed like the image.
template <typename Foreground>
TOPO_HOST_DEVICE bool is_filled_hole(const S2dParams& p, const Foreground& foreground, int64_t y, int64_t x) {
  if (!p.fill_holes || p.iterations == 0 || foreground[y * p.width + x]) return false;
  if (p.black_border && outside_count(p, y, x) > 0) return false;
  int64_t background = 0;
  for_window(p, y, x, [&](int64_t i) { background += foreground[i] == 0; });
  return background == 1;  // the pixel itself
}

// One thinning step at a pixel: relu(N * S - m).
template <typename Real>
TOPO_HOST_DEVICE Real thin_pixel(const S2dParams& p, const Real* state, int64_t y, int64_t x) {
  const int64_t side = 2 * static_cast<int64_t>(p.radius) + 1;
  Real sum = p.black_border ? Real(0) : static_cast<Real>(outside_count(p, y, x));
  for_window(p, y, x, [&](int64_t i) { sum += state[i]; });
  if (p.fill_holes) sum -= state[y * p.width + x];
  const Real value = sum - static_cast<Real>(side * side - (p.fill_holes ? 2 : 1));
  return value > Real(0) ? value : Real(0);
}

// One step of the literal adjoint at a pixel: (g + N^T (gate_{step+1} . G))(y, x).
template <typename Real>
TOPO_HOST_DEVICE Real literal_pixel(const S2dParams& p, const Real* upstream, const Real* deeper,
                                    const uint16_t* survivals, int32_t step, int64_t y, int64_t x) {
  const int64_t here = y * p.width + x;
  Real sum = upstream[here];
  for_window(p, y, x, [&](int64_t i) {
    if (survivals[i] > step && !(p.fill_holes && i == here)) sum += deeper[i];
  });
  return sum;
}

// How the subgradient divides what arrives at a pixel.
template <typename Real>
struct RouteShare {
  Real kept;    // what stays on the pixel (level 1 only)
  Real handed;  // what each pixel of the next lower level in its window receives
};

// What a pixel receives from the pixels of `level` in its window.
template <typename Real>
TOPO_HOST_DEVICE Real route_taken(const S2dParams& p, const uint16_t* depth, const Real* handed, int32_t level,
                                  int64_t y, int64_t x) {
  Real sum = Real(0);
  for_window(p, y, x, [&](int64_t i) {
    if (depth[i] == level) sum += handed[i];
  });
  return sum;
}

template <typename Real>
TOPO_HOST_DEVICE RouteShare<Real> route_share(const S2dParams& p, const uint16_t* depth, const Real* handed,
                                              Real upstream, int64_t y, int64_t x) {
  const int32_t level = depth[y * p.width + x];
  if (level == p.iterations + 1) return {Real(0), Real(0)};
  int64_t lower = level == 1 && p.black_border ? outside_count(p, y, x) : 0;
  Real total = upstream;
  for_window(p, y, x, [&](int64_t i) {
    lower += depth[i] == level - 1;
    if (depth[i] == level + 1) total += handed[i];
  });
  if (lower == 0) return {total, Real(0)};  // happens only next to a filled hole
  if (level > 1) return {Real(0), total / static_cast<Real>(lower)};
  return {total / Real(2), total / static_cast<Real>(2 * lower)};
}

}  // namespace topo
