// Rasterisation of triangle meshes: the nearest face at every pixel's centre, with its barycentrics and depth.
//
// A face covers the centres inside it and those within 1e-8 pixels of an edge, so that rounding leaves no hole where
// faces meet. Faces of both windings count; faces whose doubled area is at most 1e-8 pixel^2 are ignored.
// Barycentrics and depth are affine in the image (weak perspective). The face with the smallest z wins; among equals,
// the one with the smallest index. Both dtypes are computed in double. The operator is not differentiable.
// Where there is no face, the face index is -1, the barycentrics are 0 and the depth is +inf. The results are
// deterministic. Non-finite or huge coordinates and indices out of range are errors on the CPU; on CUDA such faces are
// skipped.

#pragma once

#include <tuple>

#include "m2s.h"

namespace topo {

constexpr double kOnEdge = 1e-8;  // pixels: more than the rounding error of double for corners at up to 2^24

// Barycentric k at a pixel is (base[k] + step_x[k] * dx + step_y[k] * dy), dx and dy counted from pixel (x0, y0).
struct RasterFace {
  PixelBox box;
  double base[3], step_x[3], step_y[3];
  double depth[3];
};

// Face index (B, H, W) int64, barycentrics (B, H, W, 3), depth (B, H, W).
using RasterResult = std::tuple<Tensor, Tensor, Tensor>;

// The operator on any device; see m2s_coverage in m2s.h.
template <typename Draw>
RasterResult rasterize_meshes(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size,
                              Draw&& draw) {
  M2sParams p = mesh_params("rasterize", vertices, faces, size, true);
  p.reach = kOnEdge;
  RasterResult result{torch::stable::new_empty(vertices, {p.count, p.height, p.width}, ScalarType::Long),
                      torch::stable::new_empty(vertices, {p.count, p.height, p.width, 3}),
                      torch::stable::new_empty(vertices, {p.count, p.height, p.width})};
  if (p.count * p.pixels() == 0) return result;
  const Tensor v = torch::stable::contiguous(vertices), f = contiguous_int64(faces);
  dispatch_real(vertices, [&](auto real) { draw(real, p, v, f, result); });
  return result;
}

struct RasterHit {
  double weight[3];
  double depth;
};

// The face ready for raster_pixel(). False if it covers no pixel.
template <typename Real>
TOPO_HOST_DEVICE bool raster_face(const M2sParams& p, const Real* vertices, const int64_t* corners, RasterFace& face) {
  double xy[6];
  if (!face_corners(p, vertices, corners, xy) || !face_box(p, xy, face.box)) return false;
  const double area = (xy[2] - xy[0]) * (xy[5] - xy[1]) - (xy[3] - xy[1]) * (xy[4] - xy[0]);
  if (!(area > kLeastDoubledArea || area < -kLeastDoubledArea)) return false;
  for (int k = 0; k < 3; ++k) {
    // Barycentric k is the height over the opposite edge, from corner a to corner b, as a fraction of the whole.
    const int a = 2 * ((k + 1) % 3), b = 2 * ((k + 2) % 3);
    const double ex = xy[b] - xy[a], ey = xy[b + 1] - xy[a + 1];
    const double px = face.box.x0 + 0.5 - xy[a], py = face.box.y0 + 0.5 - xy[a + 1];
    face.base[k] = (ex * py - ey * px) / area;
    face.step_x[k] = -ey / area;
    face.step_y[k] = ex / area;
    face.depth[k] = static_cast<double>(vertices[corners[k] * p.components + 2]);
    if (!(face.depth[k] <= kLargestDepth && face.depth[k] >= -kLargestDepth)) return false;
  }
  return true;
}

// The face at one pixel. False if it does not cover the pixel's centre.
TOPO_HOST_DEVICE bool raster_pixel(const RasterFace& face, int64_t x, int64_t y, RasterHit& hit) {
  const double dx = static_cast<double>(x - face.box.x0), dy = static_cast<double>(y - face.box.y0);
  double whole = 1.0;
  for (int k = 0; k < 3; ++k) {
    const double sx = face.step_x[k], sy = face.step_y[k], weight = face.base[k] + sx * dx + sy * dy;
    // A barycentric grows by the length of (sx, sy) per pixel of distance from its edge.
    if (!(weight >= 0.0) && !(weight * weight <= kOnEdge * kOnEdge * (sx * sx + sy * sy))) return false;
    hit.weight[k] = weight >= 0.0 ? weight : 0.0;
    whole += hit.weight[k] - weight;
  }
  hit.depth = 0.0;
  for (int k = 0; k < 3; ++k) {
    if (whole != 1.0) hit.weight[k] /= whole;
    hit.depth += hit.weight[k] * face.depth[k];
  }
  return true;
}

}  // namespace topo
