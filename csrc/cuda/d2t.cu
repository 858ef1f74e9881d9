// Entry point of d2t on CUDA: one thread per pixel. The kernels are in d2t_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/d2t_kernels.cuh"

namespace topo {
namespace {

constexpr int kThreads = 256;

unsigned int blocks_for(int64_t pixels) {
  const int64_t blocks = (pixels + kThreads - 1) / kThreads;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
}

Tensor d2t_cuda(const Tensor& distance, const Tensor& mask, int64_t pool_size, const std::string& backward) {
  const CudaScope cuda(distance);
  check_floating("d2t", "distance", distance);
  check_mask_dtype("d2t", "mask", mask);
  check_same_shape("d2t", "mask", mask, "distance", distance);
  check_same_device("d2t", "mask", mask, "distance", distance);
  backward_mode("d2t", backward);
  const D2tParams p = d2t_params("d2t", images_of("d2t", "distance", distance), pool_size);
  Tensor skeleton = empty_like_shape(distance, distance.scalar_type());
  if (distance.numel() == 0) return skeleton;

  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), distance.scalar_type()));
  dispatch_floating(distance.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    d2t_kernel<T><<<blocks_for(d.numel()), kThreads, 0, cuda.stream>>>(
        static_cast<const T*>(d.const_data_ptr()), static_cast<const T*>(s.const_data_ptr()),
        static_cast<T*>(skeleton.mutable_data_ptr()), d.numel(), p);
  });
  check_launch("d2t");
  return skeleton;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("d2t", TORCH_BOX(&d2t_cuda));
}

}  // namespace topo
