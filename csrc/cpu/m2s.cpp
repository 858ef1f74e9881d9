#include "m2s.h"

#include <algorithm>
#include <cmath>

#include "cpu/buffer.h"
#include "cpu/m2s_simd.h"
#include "cpu/mesh.h"

namespace topo {
namespace {

int64_t pitch_of(const M2sParams& p) {
  return p.width + kPlanePadding;
}

int64_t chunks_of(const M2sParams& p) {
  return (p.faces + kFacesAtOnce - 1) / kFacesAtOnce;
}

// The faces of a chunk before they are set up, without those that cover nothing.
template <typename Real>
struct Chunk {
  FaceCorners corners{};
  PixelBox boxes[kFacesAtOnce];
  int64_t index[kFacesAtOnce];
  bool flipped[kFacesAtOnce];
  int64_t count = 0;

  // check_mesh() has checked the indices and the coordinates.
  Chunk(const M2sParams& p, const Real* vertices, const int64_t* faces, int64_t chunk) {
    const int64_t end = std::min(p.faces, (chunk + 1) * kFacesAtOnce);
    for (int64_t f = chunk * kFacesAtOnce; f < end; ++f) {
      double x[3], y[3];
      for (int k = 0; k < 3; ++k) {
        const Real* vertex = vertices + faces[3 * f + k] * p.components;
        x[k] = static_cast<double>(vertex[0]);
        y[k] = static_cast<double>(vertex[1]);
      }
      const double area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0]);
      const bool turned = area < 0.0;
      for (int k = 0; k < 3; ++k) {
        const int from = turned && k ? 3 - k : k;
        corners.x[k][count] = x[from];
        corners.y[k][count] = y[from];
      }
      flipped[count] = turned;
      index[count] = f;
      count += std::abs(area) > kLeastDoubledArea;
    }
    TOPO_SIMD_CALL(m2s_boxes, corners, count, p.height, p.width, p.reach, boxes);
  }

  // Sets up the faces whose box passes, and returns how many there are.
  template <typename Keep>
  int64_t set_up(FaceEdges<Real>* edges, Keep&& keep) {
    int64_t kept = 0;
    for (int64_t f = 0; f < count; ++f) {
      if (boxes[f].x1 < boxes[f].x0 || !keep(boxes[f])) continue;
      for (int k = 0; k < 3; ++k) {
        corners.x[k][kept] = corners.x[k][f];
        corners.y[k][kept] = corners.y[k][f];
      }
      boxes[kept] = boxes[f];
      index[kept] = index[f];
      edges[kept].flipped = flipped[f];
      ++kept;
    }
    TOPO_SIMD_CALL(m2s_edges, corners, boxes, kept, edges);
    return kept;
  }
};

// Sets up the faces of a chunk that cover anything, and returns how many there are.
template <typename Real>
int64_t set_up(const M2sParams& p, const Real* vertices, const int64_t* faces, int64_t chunk, FaceEdges<Real>* edges) {
  return Chunk<Real>(p, vertices, faces, chunk).set_up(edges, [](const PixelBox&) { return true; });
}

// The output planes of an image. `silhouette` is null if only the coverage is needed.
template <typename Real>
struct Image {
  Real *silhouette, *coverage;
};

// Rows of one image. draw(falloff, product) multiplies the product by 1 + e of every face, in order.
template <typename Real, typename Draw>
void coverage_rows(const M2sParams& p, int64_t row_begin, int64_t row_end, const Image<Real>& image, Draw&& draw) {
  if (row_begin == row_end) return;
  const int64_t pitch = pitch_of(p);
  Buffer<Real> product((row_end - row_begin) * pitch);
  std::fill(product.begin(), product.end(), Real(1));
  Real* row_zero = product.data() - row_begin * pitch;
  draw(m2s_falloff<Real>(p), row_zero);
  for (int64_t y = row_begin; y < row_end; ++y) {
    const Real* source = row_zero + y * pitch;
    Real* coverage = image.coverage + y * p.width;
    // The sign of the product says whether a face contains the centre (m2s_simd.h).
    for (int64_t x = 0; x < p.width; ++x) coverage[x] = Real(1) - Real(1) / std::abs(source[x]);
    if (!image.silhouette) continue;
    Real* silhouette = image.silhouette + y * p.width;
    for (int64_t x = 0; x < p.width; ++x) silhouette[x] = source[x] < Real(0) ? Real(1) : Real(0);
  }
}

// One image on one thread, which sets up a chunk of faces at a time.
template <typename Real>
void coverage_image(const M2sParams& p, const Real* vertices, const int64_t* faces, const Image<Real>& image) {
  coverage_rows(p, 0, p.height, image, [&](const Falloff<Real>& falloff, Real* product) {
    FaceEdges<Real> edges[kFacesAtOnce];
    for (int64_t chunk = 0; chunk < chunks_of(p); ++chunk) {
      const int64_t ready = set_up(p, vertices, faces, chunk, edges);
      TOPO_SIMD_CALL(m2s_multiply, edges, ready, int64_t(0), p.height, falloff, image.silhouette != nullptr, product,
                     pitch_of(p));
    }
  });
}

// One image on all threads. They share the faces to set them up, then the rows, in bands crossed by equally many rows
// of face boxes.
template <typename Real>
void coverage_image_shared(const M2sParams& p, const Real* vertices, const int64_t* faces, const Image<Real>& image) {
  Buffer<FaceEdges<Real>> edges(chunks_of(p) * kFacesAtOnce);
  std::vector<int64_t> ready(chunks_of(p)), starts(p.height + 1, 0), bounds{0};
  torch::stable::parallel_for(0, chunks_of(p), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      ready[chunk] = set_up(p, vertices, faces, chunk, edges.data() + chunk * kFacesAtOnce);
    }
  });

  int64_t rows = 0;  // total over all boxes
  for (int64_t chunk = 0; chunk < chunks_of(p); ++chunk) {
    for (int64_t k = 0; k < ready[chunk]; ++k) {
      const PixelBox& box = edges[chunk * kFacesAtOnce + k].box;
      ++starts[box.y0];
      --starts[box.y1 + 1];
      rows += box.y1 - box.y0 + 1;
    }
  }
  const int64_t bands = std::min<int64_t>(torch::stable::get_num_threads(), p.height);
  // A band ends where its share of the box rows is reached; `starts` holds the differences of crossing boxes by row.
  for (int64_t y = 0, crossing = 0, before = 0; y < p.height; ++y) {
    crossing += starts[y];
    before += crossing;
    while (static_cast<int64_t>(bounds.size()) < bands &&
           before * bands >= rows * static_cast<int64_t>(bounds.size())) {
      bounds.push_back(y + 1);
    }
  }
  bounds.push_back(p.height);

  torch::stable::parallel_for(0, bands, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = bounds[begin], last = bounds[end];
    coverage_rows(p, first, last, image, [&](const Falloff<Real>& falloff, Real* product) {
      for (int64_t chunk = 0; chunk < chunks_of(p); ++chunk) {
        TOPO_SIMD_CALL(m2s_multiply, edges.data() + chunk * kFacesAtOnce, ready[chunk], first, last, falloff,
                       image.silhouette != nullptr, product, pitch_of(p));
      }
    });
  });
}

template <typename Real>
void draw_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, Real* silhouette, Tensor& coverage) {
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  Real* out = static_cast<Real*>(coverage.mutable_data_ptr());
  check_mesh("m2s", p, v, f, false);
  const auto draw = [&](int64_t image, auto draw_one) {
    const Image<Real> target{silhouette ? silhouette + image * p.pixels() : nullptr, out + image * p.pixels()};
    draw_one(p, v + image * p.vertices * p.components, f + image * p.face_stride, target);
  };
  // One image per thread; all threads together draw each of the remaining images.
  const int64_t left = p.count % torch::stable::get_num_threads();
  torch::stable::parallel_for(0, p.count - left, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) draw(image, coverage_image<Real>);
  });
  for (int64_t image = p.count - left; image < p.count; ++image) draw(image, coverage_image_shared<Real>);
}

// weight = 2 / sigma * dL/dA * (1 - A), 0 where the pixel is covered, for rows of the whole batch.
template <typename Real>
void weight_rows(const M2sParams& p, const Real* grad, const Real* silhouette, const Real* coverage, int64_t row_begin,
                 int64_t row_end, Real* weight) {
  const Real scale = static_cast<Real>(2.0 / p.sigma), least = Real(1) / m2s_falloff<Real>(p).saturated;
  Buffer<Real> scratch(2 * (p.width + 2));
  for (int64_t k = row_begin; k < row_end; ++k) {
    const int64_t y = k % p.height, image = (k - y) * p.width;
    Real* row = weight + k * pitch_of(p);
    TOPO_SIMD_CALL(m2s_weigh, grad + image, silhouette ? silhouette + image : nullptr, coverage + image, p.height,
                   p.width, y, scale, least, scratch.data(), row);
    std::fill(row + p.width, row + pitch_of(p), Real(0));
  }
}

// The gradient (F, 3, 2) of the corners of a chunk's faces.
template <typename Real>
void face_grads(const M2sParams& p, const Real* vertices, const int64_t* faces, int64_t chunk, const Real* weight,
                Real* grad) {
  Chunk<Real> near(p, vertices, faces, chunk);
  FaceEdges<Real> edges[kFacesAtOnce];
  Real found[kFacesAtOnce * 6];
  const int64_t ready =
      near.set_up(edges, [&](const PixelBox& box) { return TOPO_SIMD_CALL(m2s_any_weight, weight, pitch_of(p), box); });
  std::fill(grad + 6 * chunk * kFacesAtOnce, grad + 6 * std::min(p.faces, (chunk + 1) * kFacesAtOnce), Real(0));
  TOPO_SIMD_CALL(m2s_gather, edges, ready, m2s_falloff<Real>(p), weight, pitch_of(p), found);
  for (int64_t k = 0; k < ready; ++k) std::copy(found + 6 * k, found + 6 * k + 6, grad + 6 * near.index[k]);
}

template <typename Real>
void backward_images(const M2sParams& p, const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                     const Real* silhouette, const Tensor& coverage, Tensor& grad_vertices) {
  const Real* g = static_cast<const Real*>(grad.const_data_ptr());
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  const Real* a = static_cast<const Real*>(coverage.const_data_ptr());
  Real* out = static_cast<Real*>(grad_vertices.mutable_data_ptr());
  check_mesh("m2s_backward", p, v, f, false);

  Buffer<Real> weight(p.count * p.height * pitch_of(p));
  Buffer<Real> per_face(p.count * p.faces * 6);
  torch::stable::parallel_for(0, p.count * p.height, 64, [&](int64_t begin, int64_t end) {
    weight_rows(p, g, silhouette, a, begin, end, weight.data());
  });
  // With t threads, each takes every t-th chunk, because the parts of a body differ in their cost.
  const int64_t tasks = torch::stable::get_num_threads();
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      for (int64_t k = task; k < p.count * chunks_of(p); k += tasks) {
        const int64_t image = k / chunks_of(p);
        face_grads(p, v + image * p.vertices * p.components, f + image * p.face_stride, k % chunks_of(p),
                   weight.data() + image * p.height * pitch_of(p), per_face.data() + image * p.faces * 6);
      }
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
                      [](auto real, auto&&... arguments) { draw_images<decltype(real)>(arguments...); });
}

std::tuple<Tensor, Tensor> m2s_silhouette_cpu(const Tensor& vertices, const Tensor& faces,
                                              const std::vector<int64_t>& size, double sigma,
                                              std::optional<double> blur_radius) {
  return m2s_silhouette(vertices, faces, size, sigma, blur_radius,
                        [](auto real, auto&&... arguments) { draw_images<decltype(real)>(arguments...); });
}

Tensor m2s_backward_cpu(const Tensor& grad, const Tensor& vertices, const Tensor& faces, const Tensor& coverage,
                        double sigma, std::optional<double> blur_radius) {
  return m2s_backward("m2s_backward", grad, vertices, faces, nullptr, coverage, sigma, blur_radius,
                      [](auto real, auto&&... arguments) { backward_images<decltype(real)>(arguments...); });
}

Tensor m2s_silhouette_backward_cpu(const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                                   const Tensor& silhouette, const Tensor& coverage, double sigma,
                                   std::optional<double> blur_radius) {
  return m2s_backward("m2s_silhouette_backward", grad, vertices, faces, &silhouette, coverage, sigma, blur_radius,
                      [](auto real, auto&&... arguments) { backward_images<decltype(real)>(arguments...); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("m2s_coverage", TORCH_BOX(&m2s_coverage_cpu));
  m.impl("m2s_silhouette", TORCH_BOX(&m2s_silhouette_cpu));
  m.impl("m2s_backward", TORCH_BOX(&m2s_backward_cpu));
  m.impl("m2s_silhouette_backward", TORCH_BOX(&m2s_silhouette_backward_cpu));
}

}  // namespace topo
