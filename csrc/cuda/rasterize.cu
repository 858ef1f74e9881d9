// Entry point of rasterize on CUDA. The kernel is in rasterize_kernels.cuh.

#include "cuda/face_boxes.cuh"
#include "cuda/rasterize_kernels.cuh"

namespace topo {
namespace {

template <typename Real>
void rasterize_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, RasterResult& result,
                      cudaStream_t stream) {
  const FaceBoxes boxes = face_boxes<Real>(p, vertices, faces, stream);
  rasterize_kernel<Real><<<tile_blocks("rasterize", p), kTileThreads, 0, stream>>>(
      static_cast<const Real*>(vertices.const_data_ptr()), faces.const_data_ptr<int64_t>(), boxes.faces, boxes.groups,
      std::get<0>(result).mutable_data_ptr<int64_t>(), static_cast<Real*>(std::get<1>(result).mutable_data_ptr()),
      static_cast<Real*>(std::get<2>(result).mutable_data_ptr()), p);
  check_launch("rasterize");
}

RasterResult rasterize_cuda(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size) {
  const CudaScope cuda(vertices);
  return rasterize_meshes(vertices, faces, size, [&](auto real, auto&&... arguments) {
    rasterize_images<decltype(real)>(arguments..., cuda.stream);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("rasterize", TORCH_BOX(&rasterize_cuda));
}

}  // namespace topo
