// Entry point of rasterize on CUDA. The kernel is in rasterize_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/rasterize_kernels.cuh"

namespace topo {
namespace {

template <typename Real>
void rasterize_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, const Tensor& boxes,
                      RasterResult& result, cudaStream_t stream) {
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  PixelBox* b = reinterpret_cast<PixelBox*>(boxes.mutable_data_ptr<int32_t>());
  if (p.faces) box_kernel<Real><<<blocks_for(p.count * p.faces), kTileThreads, 0, stream>>>(v, f, b, p);
  rasterize_kernel<Real><<<tile_blocks("rasterize", p), kTileThreads, 0, stream>>>(
      v, f, b, std::get<0>(result).mutable_data_ptr<int64_t>(),
      static_cast<Real*>(std::get<1>(result).mutable_data_ptr()),
      static_cast<Real*>(std::get<2>(result).mutable_data_ptr()), p);
  check_launch("rasterize");
}

RasterResult rasterize_cuda(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size) {
  const CudaScope cuda(vertices);
  const M2sParams p = mesh_params("rasterize", vertices, faces, size, true);
  RasterResult result = raster_result(p, vertices);
  if (p.count * p.pixels() == 0) return result;

  const Tensor v = torch::stable::contiguous(vertices);
  const Tensor f = torch::stable::contiguous(torch::stable::to(faces, ScalarType::Long));
  const Tensor boxes = torch::stable::new_empty(vertices, {p.count, p.faces, 4}, ScalarType::Int);
  if (vertices.scalar_type() == ScalarType::Float) {
    rasterize_images<float>(p, v, f, boxes, result, cuda.stream);
  } else {
    rasterize_images<double>(p, v, f, boxes, result, cuda.stream);
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("rasterize", TORCH_BOX(&rasterize_cuda));
}

}  // namespace topo
