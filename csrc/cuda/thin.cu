// Entry point of thin on CUDA. The kernel is in thin_kernels.cuh.

#include "cuda/s2d_levels_launch.cuh"
#include "cuda/thin_kernels.cuh"

namespace topo {
namespace {

Tensor thin_cuda(const Tensor& mask, StringArgument method_name) {
  const ThinMethod method = thin_method("thin", method_name);
  const CudaScope cuda(mask);
  check_mask_dtype("thin", "mask", mask);
  const Images images = images_of("thin", "mask", mask);
  debug_mask_values("thin", "mask", mask, images);
  const Tensor result = empty_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return result;

  const Tensor source = torch::stable::contiguous(mask);
  const ThinImage image{static_cast<int32_t>(images.height), static_cast<int32_t>(images.width)};
  const bool on_chip = image.bytes() <= device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  const int shared_bytes = on_chip ? static_cast<int>(image.bytes()) : 0;
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    const unsigned int blocks = resident_blocks(thin_kernel<T>, kThinThreads, shared_bytes, images.count);
    const Tensor scratch = torch::stable::new_empty(mask, {on_chip ? 0 : blocks * image.plane() * 2}, ScalarType::Int);
    auto* planes = on_chip ? nullptr : static_cast<uint32_t*>(scratch.mutable_data_ptr());
    thin_kernel<T><<<blocks, kThinThreads, shared_bytes, cuda.stream>>>(static_cast<const T*>(source.const_data_ptr()),
                                                                        static_cast<T*>(result.mutable_data_ptr()),
                                                                        planes, images.count, image, method);
  });
  check_launch("thin");
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("thin", TORCH_BOX(&thin_cuda));
}

}  // namespace topo
