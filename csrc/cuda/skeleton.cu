// Entry point of skeleton on CUDA. The kernels are in skeleton_kernels.cuh.

#include "cuda/s2d_levels_launch.cuh"
#include "cuda/skeleton_kernels.cuh"

namespace topo {
namespace {

template <typename T>
void launch_skeleton(const Tensor& mask, Tensor& skeleton, int64_t count, const SkeletonParams& p,
                     cudaStream_t stream) {
  using Out = std::conditional_t<std::is_same_v<T, uint8_t>, float, T>;
  const int64_t n = p.pixels();
  const auto* source = static_cast<const T*>(mask.const_data_ptr());
  auto* result = static_cast<Out*>(skeleton.mutable_data_ptr());
  SoftScratch soft(mask, p.thinning, count);
  auto* real = static_cast<accumulate_t<T>*>(soft.real.mutable_data_ptr());
  auto* soft_images = static_cast<int32_t*>(soft.images.mutable_data_ptr());
  bool marked = soft.slots > 0;
  if (fits_on_chip(p.thinning)) {
    const LevelPlanes planes = level_planes(p.thinning);
    const int threads = level_threads(planes), shared_bytes = planes.shared_bytes();
    const unsigned int blocks = resident_blocks(skeleton_kernel<T, Out>, threads, shared_bytes, count);
    const bool fours = rows_of_four(source, planes.width) && rows_of_four(result, planes.width);
    skeleton_kernel<T, Out><<<blocks, threads, shared_bytes, stream>>>(source, result, real, soft.slots, soft_images,
                                                                       count, p, planes, fours);
    marked = blocks > soft.slots && soft.slots > 0;
  } else {
    const int64_t at_once = images_at_once(p.thinning, count);
    const Tensor columns = torch::stable::new_empty(mask, {at_once * n}, ScalarType::Short);
    const Tensor levels = torch::stable::new_empty(mask, {at_once * n}, ScalarType::Short);
    auto* level_data = static_cast<uint16_t*>(levels.mutable_data_ptr());
    if (soft.slots) cudaMemsetAsync(soft_images, 0, count * sizeof(int32_t), stream);
    for (int64_t first = 0; first < count; first += at_once) {
      const int64_t images = first + at_once < count ? at_once : count - first;
      launch_levels("skeleton", source + first * n, false, static_cast<uint16_t*>(columns.mutable_data_ptr()),
                    level_data, soft.slots ? soft_images + first : nullptr, images, p.thinning, stream);
      ridges_kernel<Out>
          <<<pixel_blocks(images * n), kPixelThreads, 0, stream>>>(level_data, result + first * n, images, p.ridges);
    }
  }
  if constexpr (!std::is_same_v<T, uint8_t>) {
    if (marked) {
      skeleton_soft_kernel<T, Out><<<static_cast<unsigned int>(soft.slots), kLevelThreads, 0, stream>>>(
          source, result, real, soft_images, count, p);
    }
  }
}

Tensor skeleton_cuda(const Tensor& mask, std::optional<int64_t> iterations, int64_t pool_size,
                     StringArgument backward) {
  backward_mode("skeleton", backward);
  const CudaScope cuda(mask);
  check_mask_dtype("skeleton", "mask", mask);
  const Images images = images_of("skeleton", "mask", mask);
  debug_mask_values("skeleton", "mask", mask, images);
  const SkeletonParams p = skeleton_params("skeleton", images, iterations, pool_size);
  Tensor skeleton = empty_like_shape(mask, skeleton_dtype(mask.scalar_type()));
  if (mask.numel() == 0) return skeleton;

  const Tensor source = torch::stable::contiguous(mask);
  dispatch_mask(mask.scalar_type(),
                [&](auto tag) { launch_skeleton<decltype(tag)>(source, skeleton, images.count, p, cuda.stream); });
  check_launch("skeleton");
  return skeleton;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("skeleton", TORCH_BOX(&skeleton_cuda));
}

}  // namespace topo
