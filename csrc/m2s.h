// M2S, mesh to silhouette (soft rasterisation, Liu et al., ICCV 2019; PyTorch3D's soft silhouette):
//   A(p) = 1 - prod_j (1 - sigmoid(-d_j(p) / sigma)) = 1 - 1 / prod_j (1 + e_j),   e_j = exp(-d_j / sigma)
// over the faces with d_j(p) < blur_radius, d_j the signed squared distance in pixel^2 from the pixel's centre to
// face j, negative inside. Faces of both windings count. Faces whose doubled area is at most 1e-8 pixel^2 are ignored.
//
// Backward: dA/dd_j = -(1 - A) / sigma * e_j / (1 + e_j), and d_j changes with the nearest point of the face's outline.
// Only A is kept from the forward pass; the rest is computed again. A pixel with 1 - A < 1e-6 (1e-15 in double) is
// treated as covered and passes no gradient.
//
// The exact silhouette is 1 where a pixel's centre lies inside a face; the same pass computes it. Its backward takes
// dL/dA as a central difference at the outline, g being the gradient of the silhouette:
//   outside, next to the outline: (g + mean of g over the pixels inside among the 8 neighbours) / 2
//   elsewhere outside: g          inside: 0
// The reason: when the outline moves outward, the silhouette gains a pixel outside it; when it moves inward, it loses
// one inside. The coverage of many small faces, however, changes only outside the outline.
//
// Edges are computed in double for both dtypes and relative to a pixel of the face's own box, so that a face that
// extends far beyond the image keeps its precision.
//
// Empty meshes and images give zeros. Non-finite or huge coordinates and indices out of range are errors on the CPU; on
// CUDA such faces are skipped. The results are deterministic.

#pragma once

#include <tuple>

#include "common.h"
#include "m2s_pixel.h"

namespace topo {

// Beyond this coordinate float32 cannot represent every pixel.
constexpr double kLargestCoordinate = 16777216.0;
constexpr double kLargestDepth = 1.2676506002282294e30;  // 2^100
constexpr double kLeastDoubledArea = 1e-8;

struct M2sParams {
  int64_t count, vertices, components;  // vertices (count, vertices, components)
  int64_t faces, face_stride;           // faces (faces, 3); stride between images, 0 if they share their faces
  int64_t height, width;
  double sigma, blur, reach;  // reach: sqrt(blur)

  TOPO_HOST_DEVICE int64_t pixels() const {
    return height * width;
  }
};

// Checks a mesh and returns its sizes: vertices (B, V, components), faces (F, 3) or (B, F, 3), size (H, W).
inline M2sParams mesh_params(const char* op, const Tensor& vertices, const Tensor& faces,
                             const std::vector<int64_t>& size, bool needs_depth) {
  const auto type = vertices.scalar_type();
  TOPO_CHECK(type == ScalarType::Float || type == ScalarType::Double, op, ": vertices must be float32 or float64, got ",
             dtype_str(type));
  const bool shaped = vertices.dim() == 3 && (vertices.size(2) == 3 || (!needs_depth && vertices.size(2) == 2));
  TOPO_CHECK(shaped, op, ": vertices must have shape ", needs_depth ? "(B, V, 3)" : "(B, V, 2) or (B, V, 3)", ", got ",
             shape_str(vertices));
  TOPO_CHECK(faces.scalar_type() == ScalarType::Int || faces.scalar_type() == ScalarType::Long, op,
             ": faces must be int32 or int64, got ", dtype_str(faces.scalar_type()));
  const bool per_image = faces.dim() == 3 && faces.size(0) == vertices.size(0);
  TOPO_CHECK((faces.dim() == 2 || per_image) && faces.size(faces.dim() - 1) == 3, op,
             ": faces must have shape (F, 3) or (B, F, 3) with B = ", vertices.size(0), ", got ", shape_str(faces));
  check_same_device(op, "faces", faces, "vertices", vertices);
  TOPO_CHECK(size.size() == 2, op, ": size must be (height, width), got ", size.size(), " values");
  TOPO_CHECK(size[0] >= 0 && size[1] >= 0 && size[0] <= 32768 && size[1] <= 32768, op,
             ": size must be between 0 and 32768, got (", size[0], ", ", size[1], ")");
  const int64_t count = faces.size(faces.dim() - 2);
  TOPO_CHECK(count < (int64_t(1) << 31) / 3, op, ": faces must be fewer than 2^31 / 3, got ", count);
  return {vertices.size(0),
          vertices.size(1),
          vertices.size(2),
          count,
          per_image ? count * 3 : 0,
          size[0],
          size[1],
          0.0,
          0.0,
          0.0};
}

inline M2sParams m2s_params(const char* op, const Tensor& vertices, const Tensor& faces,
                            const std::vector<int64_t>& size, double sigma, std::optional<double> blur_radius) {
  M2sParams p = mesh_params(op, vertices, faces, size, false);
  TOPO_CHECK(sigma > 1e-6 && sigma < 1e12, op, ": sigma must be between 1e-6 and 1e12 pixel^2, got ", sigma);
  TOPO_CHECK(!blur_radius || *blur_radius >= 0, op, ": blur_radius must be at least 0 pixel^2 or None, got ",
             blur_radius.value_or(0));
  p.sigma = sigma;
  p.blur = blur_radius.value_or(9.210240366975849 * sigma);  // log(1 / 1e-4 - 1)
  p.reach = __builtin_sqrt(p.blur);
  return p;
}

inline M2sParams m2s_backward_params(const char* op, const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                                     const Tensor& coverage, double sigma, std::optional<double> blur_radius) {
  TOPO_CHECK(coverage.dim() == 4 && coverage.size(1) == 1, op, ": coverage must have shape (B, 1, H, W), got ",
             shape_str(coverage));
  check_same_shape(op, "grad", grad, "coverage", coverage);
  check_same_device(op, "grad", grad, "vertices", vertices);
  check_same_device(op, "coverage", coverage, "vertices", vertices);
  const M2sParams p = m2s_params(op, vertices, faces, {coverage.size(2), coverage.size(3)}, sigma, blur_radius);
  TOPO_CHECK(coverage.size(0) == p.count, op, ": coverage must hold one image per mesh, ", p.count, ", got ",
             coverage.size(0));
  return p;
}

// The parameters for the exact silhouette. A face must reach the pixels inside it even if the blur radius is 0.
inline M2sParams m2s_silhouette_params(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size,
                                       double sigma, std::optional<double> blur_radius) {
  M2sParams p = m2s_params("m2s", vertices, faces, size, sigma, blur_radius);
  const double touching = __builtin_sqrt(kTouching);
  if (p.reach < touching) p.reach = touching;
  return p;
}

template <typename Real>
Falloff<Real> m2s_falloff(const M2sParams& p) {
  const double largest = sizeof(Real) == 8 ? 1e300 : 1e30;
  return {static_cast<Real>(-1.4426950408889634 / p.sigma), static_cast<Real>(p.blur < largest ? p.blur : largest),
          static_cast<Real>(sizeof(Real) == 8 ? 1e15 : 1e6)};
}

// Corners of a face in the image, as x0 y0 x1 y1 x2 y2. False if an index is out of range.
template <typename Real>
TOPO_HOST_DEVICE bool face_corners(const M2sParams& p, const Real* vertices, const int64_t* face, double* xy) {
  for (int k = 0; k < 3; ++k) {
    if (face[k] < 0 || face[k] >= p.vertices) return false;
    xy[2 * k] = static_cast<double>(vertices[face[k] * p.components]);
    xy[2 * k + 1] = static_cast<double>(vertices[face[k] * p.components + 1]);
  }
  return true;
}

// Pixels whose centre lies in [low, high] along an axis of `length` pixels. False if there are none.
TOPO_HOST_DEVICE bool pixel_range(double low, double high, int64_t length, int32_t& first, int32_t& last) {
  low -= 0.5;
  high -= 0.5;
  if (!(low <= static_cast<double>(length - 1)) || !(high >= 0.0)) return false;
  first = low > 0.0 ? static_cast<int32_t>(low) : 0;
  first += static_cast<double>(first) < low;
  last = high < static_cast<double>(length - 1) ? static_cast<int32_t>(high) : static_cast<int32_t>(length - 1);
  return first <= last;
}

// The pixels within `reach` of the face's bounding box. False if there are none, or if a corner is not finite.
TOPO_HOST_DEVICE bool face_box(const M2sParams& p, const double* xy, PixelBox& box) {
  double low[2] = {xy[0], xy[1]}, high[2] = {xy[0], xy[1]};
  bool usable = true;
  for (int k = 0; k < 6; ++k) {
    usable &= xy[k] <= kLargestCoordinate && xy[k] >= -kLargestCoordinate;
    low[k & 1] = xy[k] < low[k & 1] ? xy[k] : low[k & 1];
    high[k & 1] = xy[k] > high[k & 1] ? xy[k] : high[k & 1];
  }
  return usable && pixel_range(low[0] - p.reach, high[0] + p.reach, p.width, box.x0, box.x1) &&
         pixel_range(low[1] - p.reach, high[1] + p.reach, p.height, box.y0, box.y1);
}

// The edges of a face. False for a face without area.
template <typename Real>
TOPO_HOST_DEVICE bool face_edges(const double* xy, const PixelBox& box, FaceEdges<Real>& face) {
  const double area = (xy[2] - xy[0]) * (xy[5] - xy[1]) - (xy[3] - xy[1]) * (xy[4] - xy[0]);
  if (!(area > kLeastDoubledArea || area < -kLeastDoubledArea)) return false;
  face.box = box;
  face.flipped = area < 0.0;
  const double x[4] = {xy[0], face.flipped ? xy[4] : xy[2], face.flipped ? xy[2] : xy[4], xy[0]};
  const double y[4] = {xy[1], face.flipped ? xy[5] : xy[3], face.flipped ? xy[3] : xy[5], xy[1]};
  for (int k = 0; k < 3; ++k) {
    const double ax = x[k], ay = y[k], bx = x[k + 1], by = y[k + 1];
    const double length = sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay)), inverse = 1.0 / length;
    const double ux = (bx - ax) * inverse, uy = (by - ay) * inverse;
    const double px = box.x0 + 0.5 - ax, py = box.y0 + 0.5 - ay;
    const double along = ux * px + uy * py;
    face.ux[k] = static_cast<Real>(ux);
    face.uy[k] = static_cast<Real>(uy);
    face.height[k] = static_cast<Real>(ux * py - uy * px);
    face.start[k] = static_cast<Real>(along);
    face.end[k] = static_cast<Real>(along - length);
    face.inv_length[k] = static_cast<Real>(inverse);
  }
  return true;
}

inline Tensor contiguous_int64(const Tensor& faces) {
  return torch::stable::contiguous(torch::stable::to(faces, ScalarType::Long));
}

template <typename Body>
void dispatch_real(const Tensor& vertices, Body&& body) {
  vertices.scalar_type() == ScalarType::Float ? body(float{}) : body(double{});
}

// The coverage on any device. It calls draw(real, p, vertices, faces, silhouette, coverage) with contiguous vertices of
// the type of `real` and contiguous int64 faces, if there is at least one pixel. `silhouette` is null.
template <typename Draw>
Tensor m2s_coverage(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size, double sigma,
                    std::optional<double> blur_radius, Draw&& draw) {
  const M2sParams p = m2s_params("m2s", vertices, faces, size, sigma, blur_radius);
  Tensor coverage = torch::stable::new_empty(vertices, {p.count, 1, p.height, p.width});
  if (coverage.numel() == 0) return coverage;
  const Tensor v = torch::stable::contiguous(vertices), f = contiguous_int64(faces);
  dispatch_real(vertices, [&](auto real) { draw(real, p, v, f, static_cast<decltype(real)*>(nullptr), coverage); });
  return coverage;
}

// The same with `silhouette` not null: silhouette and coverage.
template <typename Draw>
std::tuple<Tensor, Tensor> m2s_silhouette(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size,
                                          double sigma, std::optional<double> blur_radius, Draw&& draw) {
  const M2sParams p = m2s_silhouette_params(vertices, faces, size, sigma, blur_radius);
  Tensor coverage = torch::stable::new_empty(vertices, {p.count, 1, p.height, p.width});
  Tensor silhouette = torch::stable::new_empty(vertices, {p.count, 1, p.height, p.width});
  if (coverage.numel() == 0) return {silhouette, coverage};
  const Tensor v = torch::stable::contiguous(vertices), f = contiguous_int64(faces);
  dispatch_real(vertices, [&](auto real) {
    draw(real, p, v, f, static_cast<decltype(real)*>(silhouette.mutable_data_ptr()), coverage);
  });
  return {silhouette, coverage};
}

// The gradient of the vertices. It calls gather(real, p, grad, vertices, faces, silhouette, coverage, grad_vertices) in
// the same way, if there is also at least one face and one vertex. `silhouette` is null for the gradient of the
// coverage.
template <typename Gather>
Tensor m2s_backward(const char* op, const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                    const Tensor* silhouette, const Tensor& coverage, double sigma, std::optional<double> blur_radius,
                    Gather&& gather) {
  const M2sParams p = m2s_backward_params(op, grad, vertices, faces, coverage, sigma, blur_radius);
  if (silhouette) {
    check_same_shape(op, "silhouette", *silhouette, "coverage", coverage);
    check_same_device(op, "silhouette", *silhouette, "vertices", vertices);
  }
  if (coverage.numel() == 0 || vertices.numel() == 0 || p.faces == 0) {
    return torch::stable::new_zeros(vertices, {p.count, p.vertices, p.components});
  }
  const auto type = vertices.scalar_type();
  Tensor grad_vertices = torch::stable::new_empty(vertices, {p.count, p.vertices, p.components});
  const Tensor g = torch::stable::contiguous(torch::stable::to(grad, type));
  const Tensor a = torch::stable::contiguous(torch::stable::to(coverage, type));
  const Tensor s = silhouette ? torch::stable::contiguous(torch::stable::to(*silhouette, type)) : a;
  const Tensor v = torch::stable::contiguous(vertices), f = contiguous_int64(faces);
  dispatch_real(vertices, [&](auto real) {
    const auto* inside = silhouette ? static_cast<const decltype(real)*>(s.const_data_ptr()) : nullptr;
    gather(real, p, g, v, f, inside, a, grad_vertices);
  });
  return grad_vertices;
}

}  // namespace topo
