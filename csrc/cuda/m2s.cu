// Entry points of m2s on CUDA. The kernels are in m2s_kernels.cuh.

#include <array>
#include <optional>
#include <tuple>

#include "cuda/face_boxes.cuh"
#include "cuda/m2s_kernels.cuh"

namespace topo {
namespace {

template <typename Real>
void draw_images(const M2sParams& p, const Tensor& vertices, const Tensor& faces, Real* silhouette, Tensor& coverage,
                 cudaStream_t stream) {
  const FaceBoxes boxes = face_boxes<Real>(p, vertices, faces, stream);
  const auto draw = silhouette ? coverage_kernel<Real, true> : coverage_kernel<Real, false>;
  draw<<<tile_blocks("m2s", p), kTileThreads, 0, stream>>>(
      static_cast<const Real*>(vertices.const_data_ptr()), faces.const_data_ptr<int64_t>(), boxes.faces, boxes.groups,
      silhouette, static_cast<Real*>(coverage.mutable_data_ptr()), p, m2s_falloff<Real>(p));
  check_launch("m2s");
}

// The vertex indices of all corners, stably sorted, and the corners that they belong to.
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
                     const Real* silhouette, const Tensor& coverage, Tensor& grad_vertices, cudaStream_t stream) {
  const Real* gradient = static_cast<const Real*>(grad.const_data_ptr());
  std::optional<Tensor> outline;
  if (silhouette) {
    outline = torch::stable::new_empty(vertices, {p.count, p.height, p.width});
    Real* target = static_cast<Real*>(outline->mutable_data_ptr());
    outline_kernel<Real>
        <<<blocks_for(p.count * p.pixels(), kTileThreads), kTileThreads, 0, stream>>>(gradient, silhouette, target, p);
    gradient = target;
  }
  const Tensor face_grad = torch::stable::new_empty(vertices, {p.count, p.faces, 6});
  const auto [corners, order] = sorted_corners(faces, p.face_stride ? p.count : 1);
  face_grad_kernel<Real><<<blocks_for(p.count * groups_of(p), 1), kGroupThreads, 0, stream>>>(
      gradient, static_cast<const Real*>(coverage.const_data_ptr()),
      static_cast<const Real*>(vertices.const_data_ptr()), faces.const_data_ptr<int64_t>(),
      static_cast<Real*>(face_grad.mutable_data_ptr()), p, m2s_falloff<Real>(p));
  vertex_grad_kernel<Real><<<blocks_for(p.count * p.vertices, kTileThreads), kTileThreads, 0, stream>>>(
      static_cast<const Real*>(face_grad.const_data_ptr()), corners.template const_data_ptr<int64_t>(),
      order.template const_data_ptr<int64_t>(), static_cast<Real*>(grad_vertices.mutable_data_ptr()), p);
  check_launch("m2s_backward");
}

Tensor m2s_coverage_cuda(const Tensor& vertices, const Tensor& faces, const std::vector<int64_t>& size, double sigma,
                         std::optional<double> blur_radius) {
  const CudaScope cuda(vertices);
  return m2s_coverage(vertices, faces, size, sigma, blur_radius,
                      [&](auto real, auto&&... arguments) { draw_images<decltype(real)>(arguments..., cuda.stream); });
}

std::tuple<Tensor, Tensor> m2s_silhouette_cuda(const Tensor& vertices, const Tensor& faces,
                                               const std::vector<int64_t>& size, double sigma,
                                               std::optional<double> blur_radius) {
  const CudaScope cuda(vertices);
  return m2s_silhouette(vertices, faces, size, sigma, blur_radius, [&](auto real, auto&&... arguments) {
    draw_images<decltype(real)>(arguments..., cuda.stream);
  });
}

Tensor m2s_backward_cuda(const Tensor& grad, const Tensor& vertices, const Tensor& faces, const Tensor& coverage,
                         double sigma, std::optional<double> blur_radius) {
  const CudaScope cuda(vertices);
  return m2s_backward(
      "m2s_backward", grad, vertices, faces, nullptr, coverage, sigma, blur_radius,
      [&](auto real, auto&&... arguments) { backward_images<decltype(real)>(arguments..., cuda.stream); });
}

Tensor m2s_silhouette_backward_cuda(const Tensor& grad, const Tensor& vertices, const Tensor& faces,
                                    const Tensor& silhouette, const Tensor& coverage, double sigma,
                                    std::optional<double> blur_radius) {
  const CudaScope cuda(vertices);
  return m2s_backward(
      "m2s_silhouette_backward", grad, vertices, faces, &silhouette, coverage, sigma, blur_radius,
      [&](auto real, auto&&... arguments) { backward_images<decltype(real)>(arguments..., cuda.stream); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("m2s_coverage", TORCH_BOX(&m2s_coverage_cuda));
  m.impl("m2s_silhouette", TORCH_BOX(&m2s_silhouette_cuda));
  m.impl("m2s_backward", TORCH_BOX(&m2s_backward_cuda));
  m.impl("m2s_silhouette_backward", TORCH_BOX(&m2s_silhouette_backward_cuda));
}

}  // namespace topo
