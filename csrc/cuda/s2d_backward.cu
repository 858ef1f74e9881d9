// Entry point of s2d_backward on CUDA: one block per image. The kernels are in s2d_backward_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/s2d_backward_kernels.cuh"

namespace topo {
namespace {

constexpr int kThreads = 512;

unsigned int blocks_for(int64_t images) {
  return static_cast<unsigned int>(images < 65535 ? images : 65535);
}

Tensor s2d_backward_cuda(const Tensor& grad, const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size,
                         bool black_border, bool fill_holes, const std::string& backward) {
  const CudaScope cuda(mask);
  check_floating("s2d_backward", "mask", mask);
  check_floating("s2d_backward", "grad", grad);
  check_same_shape("s2d_backward", "grad", grad, "mask", mask);
  check_same_device("s2d_backward", "grad", grad, "mask", mask);
  const bool literal = backward_mode("s2d_backward", backward) == BackwardMode::kLiteral;
  const Images images = images_of("s2d_backward", "mask", mask);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  Tensor grad_mask = empty_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return grad_mask;

  const Tensor source = torch::stable::contiguous(mask);
  const Tensor upstream = torch::stable::contiguous(torch::stable::to(grad, mask.scalar_type()));
  const Tensor foreground = empty_like_shape(mask, ScalarType::Byte);
  const Tensor columns = empty_like_shape(mask, ScalarType::Short);
  const Tensor depth = empty_like_shape(mask, ScalarType::Short);
  const bool wide = mask.scalar_type() == ScalarType::Double;
  const Tensor real = torch::stable::new_empty(mask, {3 * mask.numel()}, wide ? ScalarType::Double : ScalarType::Float);
  dispatch_floating(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    s2d_backward_kernel<T><<<blocks_for(images.count), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(upstream.const_data_ptr()), static_cast<const T*>(source.const_data_ptr()),
        static_cast<uint8_t*>(foreground.mutable_data_ptr()), static_cast<uint16_t*>(columns.mutable_data_ptr()),
        static_cast<uint16_t*>(depth.mutable_data_ptr()), static_cast<accumulate_t<T>*>(real.mutable_data_ptr()),
        static_cast<T*>(grad_mask.mutable_data_ptr()), images.count, p, literal);
  });
  check_launch("s2d_backward");
  return grad_mask;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("s2d_backward", TORCH_BOX(&s2d_backward_cuda));
}

}  // namespace topo
