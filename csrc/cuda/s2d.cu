// Entry point of s2d on CUDA: one block per image. The kernels are in s2d_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/s2d_kernels.cuh"

namespace topo {
namespace {

constexpr int kThreads = 512;

unsigned int blocks_for(int64_t images) {
  return static_cast<unsigned int>(images < 65535 ? images : 65535);
}

Tensor s2d_cuda(const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size, bool black_border,
                bool fill_holes, const std::string& backward, std::optional<ScalarType> out_dtype) {
  const CudaScope cuda(mask);
  check_mask_dtype("s2d", "mask", mask);
  backward_mode("s2d", backward);
  const Images images = images_of("s2d", "mask", mask);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  const ScalarType result = s2d_result_dtype(mask.scalar_type(), out_dtype, p);
  if (mask.numel() == 0) return empty_like_shape(mask, result);

  const ScalarType computed = is_floating(mask.scalar_type()) ? mask.scalar_type() : ScalarType::Float;
  const bool direct = result == computed;
  const bool wide = computed == ScalarType::Double;
  Tensor distance = empty_like_shape(mask, direct ? result : wide ? ScalarType::Double : ScalarType::Float);
  const Tensor source = torch::stable::contiguous(mask);
  const Tensor foreground = empty_like_shape(mask, ScalarType::Byte);
  const Tensor columns = empty_like_shape(mask, ScalarType::Short);
  const Tensor depth = empty_like_shape(mask, ScalarType::Short);
  const int64_t real_count = is_floating(mask.scalar_type()) ? 3 * mask.numel() : 0;
  const Tensor real = torch::stable::new_empty(mask, {real_count}, wide ? ScalarType::Double : ScalarType::Float);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    dispatch_floating(distance.scalar_type(), [&](auto out_tag) {
      using Out = decltype(out_tag);
      s2d_kernel<T, Out><<<blocks_for(images.count), kThreads, 0, cuda.stream>>>(
          static_cast<const T*>(source.const_data_ptr()), static_cast<uint8_t*>(foreground.mutable_data_ptr()),
          static_cast<uint16_t*>(columns.mutable_data_ptr()), static_cast<uint16_t*>(depth.mutable_data_ptr()),
          static_cast<accumulate_t<T>*>(real.mutable_data_ptr()), static_cast<Out*>(distance.mutable_data_ptr()),
          images.count, p);
    });
  });
  check_launch("s2d");
  return direct ? distance : torch::stable::to(distance, result);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("s2d", TORCH_BOX(&s2d_cuda));
}

}  // namespace topo
