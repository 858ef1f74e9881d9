// Entry point of d2t_backward on CUDA: one thread per pixel. The kernels are in d2t_backward_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/d2t_backward_kernels.cuh"

namespace topo {
namespace {

constexpr int kThreads = 256;

unsigned int blocks_for(int64_t pixels) {
  const int64_t blocks = (pixels + kThreads - 1) / kThreads;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
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
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), type));
  const Tensor t = torch::stable::contiguous(torch::stable::to(skeleton, type));
  const ScalarType real = type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  const Tensor passed = empty_like_shape(distance, real), taken = empty_like_shape(distance, real);
  const Tensor argmax = empty_like_shape(distance, ScalarType::Long);
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const int64_t total = d.numel();
    auto* passed_data = static_cast<Real*>(passed.mutable_data_ptr());
    auto* taken_data = static_cast<Real*>(taken.mutable_data_ptr());
    auto* argmax_data = static_cast<int64_t*>(argmax.mutable_data_ptr());
    ridge_kernel<T><<<blocks_for(total), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(g.const_data_ptr()), static_cast<const T*>(d.const_data_ptr()),
        static_cast<const T*>(s.const_data_ptr()), static_cast<const T*>(t.const_data_ptr()), passed_data, taken_data,
        argmax_data, static_cast<T*>(grad_mask.mutable_data_ptr()), total, p, literal);
    distance_grad_kernel<T><<<blocks_for(total), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(d.const_data_ptr()), passed_data, taken_data, argmax_data,
        static_cast<T*>(grad_distance.mutable_data_ptr()), total, p, literal);
  });
  check_launch("d2t_backward");
  return {grad_distance, grad_mask};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("d2t_backward", TORCH_BOX(&d2t_backward_cuda));
}

}  // namespace topo
