// Entry point of d2t on CUDA. The kernels are in d2t_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/d2t_kernels.cuh"

namespace topo {
namespace {

Tensor d2t_cuda(const Tensor& distance, const Tensor& mask, int64_t pool_size, StringArgument backward) {
  backward_mode("d2t", backward);
  const CudaScope cuda(distance);
  check_floating("d2t", "distance", distance);
  check_mask_dtype("d2t", "mask", mask);
  check_same_shape("d2t", "mask", mask, "distance", distance);
  check_same_device("d2t", "mask", mask, "distance", distance);
  const Images images = images_of("d2t", "distance", distance);
  const D2tParams p = d2t_params("d2t", images, pool_size);
  Tensor skeleton = empty_like_shape(distance, distance.scalar_type());
  if (distance.numel() == 0) return skeleton;

  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), distance.scalar_type()));
  dispatch_floating(distance.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    const auto* d_data = static_cast<const T*>(d.const_data_ptr());
    const auto* s_data = static_cast<const T*>(s.const_data_ptr());
    auto* result = static_cast<T*>(skeleton.mutable_data_ptr());
    if (p.radius > 1) {
      const int64_t blocks = (d.numel() + 255) / 256;
      d2t_window_kernel<T><<<static_cast<unsigned int>(blocks < (1 << 20) ? blocks : 1 << 20), 256, 0, cuda.stream>>>(
          d_data, s_data, result, d.numel(), p);
      return;
    }
    const bool fours = rows_of_four(d_data, p.width) && rows_of_four(s_data, p.width) && rows_of_four(result, p.width);
    const int64_t tiles = (p.width + 3) / 4 * ((p.height + kD2tRows - 1) / kD2tRows);
    const dim3 grid(static_cast<unsigned int>((tiles + kD2tThreads - 1) / kD2tThreads),
                    static_cast<unsigned int>(images.count < 65535 ? images.count : 65535));
    d2t_kernel<T><<<grid, kD2tThreads, 0, cuda.stream>>>(
        d_data, s_data, result, images.count, static_cast<int32_t>(p.height), static_cast<int32_t>(p.width), fours);
  });
  check_launch("d2t");
  return skeleton;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("d2t", TORCH_BOX(&d2t_cuda));
}

}  // namespace topo
