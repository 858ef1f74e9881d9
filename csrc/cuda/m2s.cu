// Entry points of m2s on CUDA. The kernels are in m2s_kernels.cuh.

#include <array>
#include <tuple>

#include "cuda/common.cuh"
#include "cuda/m2s_kernels.cuh"

namespace topo {
namespace {

template <typename Real>
void coverage_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, const Tensor& boxes,
                     Tensor& coverage, cudaStream_t stream) {
  const Real* v = static_cast<const Real*>(vertices.const_data_ptr());
  const int64_t* f = faces.const_data_ptr<int64_t>();
  PixelBox* b = reinterpret_cast<PixelBox*>(boxes.mutable_data_ptr<int32_t>());
  if (p.faces) box_kernel<Real><<<blocks_for(p.count * p.faces), kTileThreads, 0, stream>>>(v, f, b, p);
  coverage_kernel<Real><<<tile_blocks("m2s", p), kTileThreads, 0, stream>>>(
      v, f, b, static_cast<Real*>(coverage.mutable_data_ptr()), p, m2s_falloff<Real>(p));
  check_launch("m2s");
}

Tensor m2s_coverage_cuda(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size, double sigma,
                         std::optional<double> blur_radius) {
  const CudaScope cuda(vertices);
  const M2sParams p = m2s_params("m2s", vertices, faces, size, sigma, blur_radius);
  Tensor coverage = torch::stable::new_empty(vertices, {p.count, 1, p.height, p.width});
  if (coverage.numel() == 0) return coverage;

  const Tensor v = torch::stable::contiguous(vertices);
  const Tensor f = torch::stable::contiguous(torch::stable::to(faces, ScalarType::Long));
  const Tensor boxes = torch::stable::new_empty(vertices, {p.count, p.faces, 4}, ScalarType::Int);
  if (vertices.scalar_type() == ScalarType::Float) {
    coverage_images<float>(p, v, f, boxes, coverage, cuda.stream);
  } else {
    coverage_images<double>(p, v, f, boxes, coverage, cuda.stream);
  }
  return coverage;
}

// Vertex indices of all corners, sorted, and the corners they belong to; equal ones stay in order.
std::tuple<Tensor, Tensor> sorted_corners(const Tensor& faces, int64_t sets) {
  const Tensor flat = torch::stable::view(faces, {sets, faces.numel() / sets});
  std::array<StableIValue, 4> stack{torch::stable::detail::from(flat),
                                    torch::stable::detail::from(std::optional<bool>(true)),
                                    torch::stable::detail::from(int64_t(1)), torch::stable::detail::from(false)};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::sort", "stable", stack.data(), TORCH_ABI_VERSION));
  return {torch::stable::detail::to<Tensor>(stack[0]), torch::stable::detail::to<Tensor>(stack[1])};
}

template <typename Real>
void backward_images(const M2sParams& p, const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                     const Tensor& coverage, Tensor& grad_vertices, cudaStream_t stream) {
  const Tensor face_grad = torch::stable::new_empty(vertices, {p.count, p.faces, 6});
  const auto [corners, order] = sorted_corners(faces, p.face_stride ? p.count : 1);
  face_grad_kernel<Real><<<blocks_for(32 * p.count * p.faces), kTileThreads, 0, stream>>>(
      static_cast<const Real*>(grad.const_data_ptr()), static_cast<const Real*>(coverage.const_data_ptr()),
      static_cast<const Real*>(vertices.const_data_ptr()), faces.const_data_ptr<int64_t>(),
      static_cast<Real*>(face_grad.mutable_data_ptr()), p, m2s_falloff<Real>(p));
  vertex_grad_kernel<Real><<<blocks_for(p.count * p.vertices), kTileThreads, 0, stream>>>(
      static_cast<const Real*>(face_grad.const_data_ptr()), corners.template const_data_ptr<int64_t>(),
      order.template const_data_ptr<int64_t>(), static_cast<Real*>(grad_vertices.mutable_data_ptr()), p);
  check_launch("m2s_backward");
}

Tensor m2s_backward_cuda(const Tensor& grad, const Tensor& vertices, const Tensor& faces, const Tensor& coverage,
                         double sigma, std::optional<double> blur_radius) {
  const CudaScope cuda(vertices);
  const M2sParams p = m2s_backward_params(grad, vertices, faces, coverage, sigma, blur_radius);
  if (coverage.numel() == 0 || vertices.numel() == 0 || p.faces == 0) {
    return torch::stable::new_zeros(vertices, {p.count, p.vertices, p.components});
  }

  const auto type = vertices.scalar_type();
  Tensor grad_vertices = torch::stable::new_empty(vertices, {p.count, p.vertices, p.components});
  const Tensor g = torch::stable::contiguous(torch::stable::to(grad, type));
  const Tensor v = torch::stable::contiguous(vertices);
  const Tensor f = torch::stable::contiguous(torch::stable::to(faces, ScalarType::Long));
  const Tensor a = torch::stable::contiguous(torch::stable::to(coverage, type));
  if (type == ScalarType::Float) {
    backward_images<float>(p, g, v, f, a, grad_vertices, cuda.stream);
  } else {
    backward_images<double>(p, g, v, f, a, grad_vertices, cuda.stream);
  }
  return grad_vertices;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("m2s_coverage", TORCH_BOX(&m2s_coverage_cuda));
  m.impl("m2s_backward", TORCH_BOX(&m2s_backward_cuda));
}

}  // namespace topo
