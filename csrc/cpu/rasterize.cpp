#include "rasterize.h"

#include <algorithm>
#include <limits>

#include "cpu/buffer.h"
#include "cpu/mesh.h"

namespace topo {
namespace {

// Rows row_begin to row_end of one image. `nearest` is scratch.
template <typename Real>
void rasterize_rows(const M2sParams& p, const Real* vertices, const int64_t* faces, int64_t row_begin, int64_t row_end,
                    Buffer<double>& nearest, int64_t* index, Real* barycentrics, Real* depth) {
  const double far = std::numeric_limits<double>::infinity();
  nearest.resize((row_end - row_begin) * p.width);
  std::fill(nearest.begin(), nearest.end(), far);
  std::fill(index + row_begin * p.width, index + row_end * p.width, int64_t(-1));
  std::fill(barycentrics + 3 * row_begin * p.width, barycentrics + 3 * row_end * p.width, Real(0));
  std::fill(depth + row_begin * p.width, depth + row_end * p.width, std::numeric_limits<Real>::infinity());
  for (int64_t f = 0; f < p.faces; ++f) {
    RasterFace face;
    if (!raster_face(p, vertices, faces + 3 * f, face)) continue;
    for (int64_t y = std::max<int64_t>(face.box.y0, row_begin); y <= std::min<int64_t>(face.box.y1, row_end - 1); ++y) {
      for (int64_t x = face.box.x0; x <= face.box.x1; ++x) {
        RasterHit hit;
        double& best = nearest[(y - row_begin) * p.width + x];
        if (!raster_pixel(face, x, y, hit) || !(hit.depth < best)) continue;
        const int64_t i = y * p.width + x;
        best = hit.depth;
        index[i] = f;
        depth[i] = static_cast<Real>(hit.depth);
        for (int k = 0; k < 3; ++k) barycentrics[3 * i + k] = static_cast<Real>(hit.weight[k]);
      }
    }
  }
}

template <typename Real>
void rasterize_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, RasterResult& result) {
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  int64_t* index = std::get<0>(result).mutable_data_ptr<int64_t>();
  Real* barycentrics = static_cast<Real*>(std::get<1>(result).mutable_data_ptr());
  Real* depth = static_cast<Real*>(std::get<2>(result).mutable_data_ptr());
  check_mesh("rasterize", p, v, f, true);
  const int64_t bands = row_bands(p);
  torch::stable::parallel_for(0, p.count * bands, 1, [&](int64_t begin, int64_t end) {
    Buffer<double> nearest;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / bands, band = task % bands, offset = image * p.pixels();
      rasterize_rows(p, v + image * p.vertices * p.components, f + image * p.face_stride, band * p.height / bands,
                     (band + 1) * p.height / bands, nearest, index + offset, barycentrics + 3 * offset, depth + offset);
    }
  });
}

RasterResult rasterize_cpu(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size) {
  return rasterize_meshes(vertices, faces, size,
                          [](auto real, auto&&... arguments) { rasterize_images<decltype(real)>(arguments...); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("rasterize", TORCH_BOX(&rasterize_cpu));
}

}  // namespace topo
