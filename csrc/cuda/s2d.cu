// Entry point of s2d on CUDA. The kernels are in s2d_kernels.cuh.

#include "cuda/s2d_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

template <typename T, typename Out>
void launch_s2d(const Tensor& mask, Tensor& distance, int64_t count, const S2dParams& p, cudaStream_t stream) {
  const int64_t n = p.pixels();
  const auto* source = static_cast<const T*>(mask.const_data_ptr());
  auto* result = static_cast<Out*>(distance.mutable_data_ptr());
  SoftScratch soft(mask, p, count);
  auto* real = static_cast<accumulate_t<T>*>(soft.real.mutable_data_ptr());
  auto* soft_images = static_cast<int32_t*>(soft.images.mutable_data_ptr());
  bool marked = soft.slots > 0;
  if (fits_on_chip(p)) {
    const LevelPlanes planes = level_planes(p);
    const int threads = level_threads(planes), shared_bytes = planes.shared_bytes();
    const unsigned int blocks = resident_blocks(s2d_kernel<T, Out>, threads, shared_bytes, count);
    const bool fours = rows_of_four(source, p.width) && rows_of_four(result, p.width);
    s2d_kernel<T, Out><<<blocks, threads, shared_bytes, stream>>>(source, result, real, soft.slots, soft_images, count,
                                                                  p, planes, fours);
    marked = blocks > soft.slots && soft.slots > 0;
  } else {
    const int64_t at_once = images_at_once(p, count);
    const Tensor columns = torch::stable::new_empty(mask, {at_once * n}, ScalarType::Short);
    if (soft.slots) cudaMemsetAsync(soft_images, 0, count * sizeof(int32_t), stream);
    for (int64_t first = 0; first < count; first += at_once) {
      const int64_t images = first + at_once < count ? at_once : count - first;
      launch_levels("s2d", source + first * n, false, static_cast<uint16_t*>(columns.mutable_data_ptr()),
                    result + first * n, soft.slots ? soft_images + first : nullptr, images, p, stream);
    }
  }
  if constexpr (!std::is_same_v<T, uint8_t>) {
    if (marked) {
      s2d_soft_kernel<T, Out><<<static_cast<unsigned int>(soft.slots), kLevelThreads, 0, stream>>>(
          source, result, real, soft_images, count, p);
    }
  }
}

Tensor s2d_cuda(const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size, bool black_border,
                bool fill_holes, StringArgument backward, std::optional<ScalarType> out_dtype) {
  backward_mode("s2d", backward);
  const CudaScope cuda(mask);
  check_mask_dtype("s2d", "mask", mask);
  const Images images = images_of("s2d", "mask", mask);
  debug_mask_values("s2d", "mask", mask, images);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  const ScalarType type = mask.scalar_type(), result = s2d_result_dtype(type, out_dtype, p);
  if (mask.numel() == 0) return empty_like_shape(mask, result);

  // The kernels write the mask's dtype, float32, or bytes for a byte mask. Any other dtype is cast from float32 or
  // float64.
  const bool bytes = !is_floating(type) && result == ScalarType::Byte;
  const bool direct = result == type || result == ScalarType::Float || bytes;
  Tensor distance = empty_like_shape(mask, type == ScalarType::Double ? type : direct ? result : ScalarType::Float);
  const Tensor source = torch::stable::contiguous(mask);
  dispatch_mask(type, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, uint8_t>) {
      if (bytes) return launch_s2d<T, uint8_t>(source, distance, images.count, p, cuda.stream);
    }
    if constexpr (!std::is_same_v<T, double>) {
      if (distance.scalar_type() == ScalarType::Float) {
        return launch_s2d<T, float>(source, distance, images.count, p, cuda.stream);
      }
    }
    if constexpr (!std::is_same_v<T, uint8_t>) launch_s2d<T, T>(source, distance, images.count, p, cuda.stream);
  });
  check_launch("s2d");
  return distance.scalar_type() == result ? distance : torch::stable::to(distance, result);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("s2d", TORCH_BOX(&s2d_cuda));
}

}  // namespace topo
