#include "m2s.h"

#include <algorithm>
#include <cmath>

#include "cpu/m2s_simd.h"
#include "cpu/mesh.h"

namespace topo {
namespace {

constexpr int64_t kFacesAtOnce = 64;     // set up, then drawn, while in L1
constexpr int64_t kFacesPerTask = 1024;  // of the backward; fixed, so that threads do not show in the result

int64_t pitch_of(const M2sParams& p) {
  return p.width + kPlanePadding;
}

// Rows row_begin to row_end of one image. `product` is scratch for that many rows.
template <typename Real>
void coverage_rows(const M2sParams& p, const Real* vertices, const int64_t* faces, int64_t row_begin, int64_t row_end,
                   std::vector<Real>& product, Real* coverage) {
  const int64_t pitch = pitch_of(p);
  product.assign((row_end - row_begin) * pitch, Real(1));
  Real* row_zero = product.data() - row_begin * pitch;
  const Falloff<Real> falloff = m2s_falloff<Real>(p);
  FaceEdges<Real> edges[kFacesAtOnce];
  int64_t ready = 0;
  for (int64_t f = 0; f < p.faces; ++f) {
    double xy[6];
    PixelBox box;
    if (face_corners(p, vertices, faces + 3 * f, xy) && face_box(p, xy, box) && box.y0 < row_end &&
        box.y1 >= row_begin) {
      ready += face_edges(xy, box, edges[ready]);
    }
    if (ready == kFacesAtOnce || f + 1 == p.faces) {
      TOPO_SIMD_CALL(m2s_multiply, edges, ready, row_begin, row_end, falloff, row_zero, pitch);
      ready = 0;
    }
  }
  for (int64_t y = row_begin; y < row_end; ++y) {
    const Real* source = row_zero + y * pitch;
    for (int64_t x = 0; x < p.width; ++x) coverage[y * p.width + x] = Real(1) - Real(1) / source[x];
  }
}

template <typename Real>
void coverage_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, Tensor& coverage) {
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  Real* out = static_cast<Real*>(coverage.mutable_data_ptr());
  check_mesh("m2s", p, v, f, false);
  const int64_t bands = row_bands(p);
  torch::stable::parallel_for(0, p.count * bands, 1, [&](int64_t begin, int64_t end) {
    std::vector<Real> product;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / bands, band = task % bands;
      coverage_rows(p, v + image * p.vertices * p.components, f + image * p.face_stride, band * p.height / bands,
                    (band + 1) * p.height / bands, product, out + image * p.pixels());
    }
  });
}

// weight = 2 / sigma * dL/dA * (1 - A), 0 where the pixel is covered.
template <typename Real>
void weight_plane(const M2sParams& p, const Real* grad, const Real* coverage, Real* weight) {
  const Real scale = static_cast<Real>(2.0 / p.sigma), least = Real(1) / m2s_falloff<Real>(p).saturated;
  for (int64_t y = 0; y < p.height; ++y) {
    Real* row = weight + y * pitch_of(p);
    for (int64_t x = 0; x < p.width; ++x) {
      const Real open = Real(1) - coverage[y * p.width + x];
      row[x] = open < least ? Real(0) : scale * grad[y * p.width + x] * open;
    }
    std::fill(row + p.width, row + pitch_of(p), Real(0));
  }
}

// grad (F, 3, 2) of faces face_begin to face_end, which comes in as zeros.
template <typename Real>
void face_grads(const M2sParams& p, const Real* vertices, const int64_t* faces, int64_t face_begin, int64_t face_end,
                const Real* weight, Real* grad) {
  const Falloff<Real> falloff = m2s_falloff<Real>(p);
  FaceEdges<Real> edges[kFacesAtOnce];
  int64_t index[kFacesAtOnce];
  Real found[kFacesAtOnce * 6];
  int64_t ready = 0;
  for (int64_t f = face_begin; f < face_end; ++f) {
    double xy[6];
    PixelBox box;
    if (face_corners(p, vertices, faces + 3 * f, xy) && face_box(p, xy, box) &&
        TOPO_SIMD_CALL(m2s_any_weight, weight, pitch_of(p), box)) {
      index[ready] = f;
      ready += face_edges(xy, box, edges[ready]);
    }
    if (ready == kFacesAtOnce || f + 1 == face_end) {
      TOPO_SIMD_CALL(m2s_gather, edges, ready, falloff, weight, pitch_of(p), found);
      for (int64_t k = 0; k < ready; ++k) std::copy(found + 6 * k, found + 6 * k + 6, grad + 6 * index[k]);
      ready = 0;
    }
  }
}

template <typename Real>
void backward_images(const M2sParams& p, const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                     const Tensor& coverage, Tensor& grad_vertices) {
  const Real* g = static_cast<const Real*>(grad.const_data_ptr());
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  const Real* a = static_cast<const Real*>(coverage.const_data_ptr());
  Real* out = static_cast<Real*>(grad_vertices.mutable_data_ptr());
  check_mesh("m2s_backward", p, v, f, false);

  const int64_t plane = p.height * pitch_of(p), tasks = (p.faces + kFacesPerTask - 1) / kFacesPerTask;
  std::vector<Real> weight(p.count * plane), per_face(p.count * p.faces * 6, Real(0));
  torch::stable::parallel_for(0, p.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      weight_plane(p, g + image * p.pixels(), a + image * p.pixels(), weight.data() + image * plane);
    }
  });
  torch::stable::parallel_for(0, p.count * tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / tasks, first = task % tasks * kFacesPerTask;
      face_grads(p, v + image * p.vertices * p.components, f + image * p.face_stride, first,
                 std::min(p.faces, first + kFacesPerTask), weight.data() + image * plane,
                 per_face.data() + image * p.faces * 6);
    }
  });
  torch::stable::parallel_for(0, p.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      Real* target = out + image * p.vertices * p.components;
      const Real* source = per_face.data() + image * p.faces * 6;
      const int64_t* corner = f + image * p.face_stride;
      std::fill(target, target + p.vertices * p.components, Real(0));
      for (int64_t k = 0; k < 3 * p.faces; ++k) {
        target[corner[k] * p.components] += source[2 * k];
        target[corner[k] * p.components + 1] += source[2 * k + 1];
      }
    }
  });
}

Tensor m2s_coverage_cpu(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size, double sigma,
                        std::optional<double> blur_radius) {
  return m2s_coverage(vertices, faces, size, sigma, blur_radius,
                      [](auto real, auto&&... arguments) { coverage_images<decltype(real)>(arguments...); });
}

Tensor m2s_backward_cpu(const Tensor& grad, const Tensor& vertices, const Tensor& faces, const Tensor& coverage,
                        double sigma, std::optional<double> blur_radius) {
  return m2s_backward(grad, vertices, faces, coverage, sigma, blur_radius,
                      [](auto real, auto&&... arguments) { backward_images<decltype(real)>(arguments...); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("m2s_coverage", TORCH_BOX(&m2s_coverage_cpu));
  m.impl("m2s_backward", TORCH_BOX(&m2s_backward_cpu));
}

}  // namespace topo
