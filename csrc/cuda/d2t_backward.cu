// Entry point of d2t_backward on CUDA: tiles, or one thread per pixel for pools larger than 3 x 3. The kernels are in
// d2t_backward_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/d2t_backward_kernels.cuh"

namespace topo {
namespace {

constexpr int kThreads = 256, kTileThreads = 512;

unsigned int blocks_for(int64_t pixels) {
  const int64_t blocks = (pixels + kThreads - 1) / kThreads;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
}

template <typename Real>
unsigned int tile_blocks(int64_t count, const D2tParams& p) {
  const int64_t across = (p.width + kTileWidth - 1) / kTileWidth;
  const int64_t tiles = count * across * ((p.height + kTileHeight<Real> - 1) / kTileHeight<Real>);
  return static_cast<unsigned int>(tiles < (1 << 24) ? tiles : (1 << 24));
}

std::tuple<Tensor, Tensor> d2t_backward_cuda(const Tensor& grad, const Tensor& distance, const Tensor& mask,
                                             const Tensor& skeleton, int64_t pool_size, const std::string& backward) {
  const CudaScope cuda(distance);
  check_floating("d2t_backward", "distance", distance);
  check_floating("d2t_backward", "grad", grad);
  check_floating("d2t_backward", "skeleton", skeleton);
  check_mask_dtype("d2t_backward", "mask", mask);
  check_same_shape("d2t_backward", "grad", grad, "distance", distance);
  check_same_shape("d2t_backward", "mask", mask, "distance", distance);
  check_same_shape("d2t_backward", "skeleton", skeleton, "distance", distance);
  check_same_device("d2t_backward", "grad", grad, "distance", distance);
  check_same_device("d2t_backward", "mask", mask, "distance", distance);
  check_same_device("d2t_backward", "skeleton", skeleton, "distance", distance);
  const bool literal = backward_mode("d2t_backward", backward) == BackwardMode::kLiteral;
  const D2tParams p = d2t_params("d2t_backward", images_of("d2t_backward", "distance", distance), pool_size);
  const auto type = distance.scalar_type();
  Tensor grad_distance = empty_like_shape(distance, type);
  Tensor grad_mask = empty_like_shape(distance, type);
  if (distance.numel() == 0) return {grad_distance, grad_mask};

  const Tensor g = torch::stable::contiguous(torch::stable::to(grad, type));
  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(is_floating(mask.scalar_type()) ? torch::stable::to(mask, type) : mask);
  const Tensor t = torch::stable::contiguous(torch::stable::to(skeleton, type));
  const int64_t total = d.numel(), count = total / p.pixels();
  const bool tiles = p.radius == 1;
  // The maxima of larger pools, and what they take.
  const ScalarType real = type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  const Tensor passed = torch::stable::new_empty(d, {tiles ? 0 : total}, real);
  const Tensor taken = torch::stable::new_empty(d, {tiles ? 0 : total}, real);
  const Tensor argmax = torch::stable::new_empty(d, {tiles ? 0 : total}, ScalarType::Long);
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const auto* g_data = static_cast<const T*>(g.const_data_ptr());
    const auto* d_data = static_cast<const T*>(d.const_data_ptr());
    const auto* t_data = static_cast<const T*>(t.const_data_ptr());
    auto* grad_d = static_cast<T*>(grad_distance.mutable_data_ptr());
    auto* grad_s = static_cast<T*>(grad_mask.mutable_data_ptr());
    auto* passed_data = static_cast<Real*>(passed.mutable_data_ptr());
    auto* taken_data = static_cast<Real*>(taken.mutable_data_ptr());
    auto* argmax_data = static_cast<int64_t*>(argmax.mutable_data_ptr());
    const auto launch = [&](auto mask_tag) {
      using Mask = decltype(mask_tag);
      const auto* s_data = static_cast<const Mask*>(s.const_data_ptr());
      if (tiles) {
        d2t_backward_tile_kernel<T, Mask><<<tile_blocks<Real>(count, p), kTileThreads, 0, cuda.stream>>>(
            g_data, d_data, s_data, t_data, grad_d, grad_s, count, p, literal);
        return;
      }
      ridge_kernel<T, Mask><<<blocks_for(total), kThreads, 0, cuda.stream>>>(
          g_data, d_data, s_data, t_data, passed_data, taken_data, argmax_data, grad_s, total, p, literal);
      distance_grad_kernel<T><<<blocks_for(total), kThreads, 0, cuda.stream>>>(d_data, passed_data, taken_data,
                                                                               argmax_data, grad_d, total, p, literal);
    };
    if (is_floating(mask.scalar_type())) {
      launch(T{});
    } else {
      launch(uint8_t{});
    }
  });
  check_launch("d2t_backward");
  return {grad_distance, grad_mask};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("d2t_backward", TORCH_BOX(&d2t_backward_cuda));
}

}  // namespace topo
