// Entry points of edt and edt_indices on CUDA. The kernels are in edt_kernels.cuh.

#include "cuda/edt_launch.cuh"

namespace topo {
namespace {

// Calls launch(mask, first image, images, planes, scratch) for parts of the batch, and for both polarities of a signed
// map.
template <typename Launch>
void for_edt_parts(const Tensor& mask, int64_t count, const EdtParams& p, Launch&& launch) {
  const int64_t at_once = edt_images_at_once(p, count, int64_t(1) << 24);
  const int64_t pixels = edt_planes(p, false).pixels();  // the larger of both
  const Tensor nearest = torch::stable::new_empty(mask, {at_once * pixels}, ScalarType::Short);
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t images = first + at_once < count ? at_once : count - first;
    for (int inverted = 0; inverted <= p.is_signed; ++inverted) {
      launch(first * p.pixels(), images, edt_planes(p, inverted), static_cast<uint16_t*>(nearest.mutable_data_ptr()));
    }
  }
}

Tensor edt_cuda(const Tensor& mask, bool is_signed, bool squared, std::optional<std::vector<double>> sampling,
                bool black_border) {
  const CudaScope cuda(mask);
  check_mask_dtype("edt", "mask", mask);
  const Images images = images_of("edt", "mask", mask);
  debug_mask_values("edt", "mask", mask, images);
  const EdtParams p = edt_params("edt", images, is_signed, squared, sampling, black_border);
  const Tensor result = empty_like_shape(mask, edt_result_dtype(mask.scalar_type()));
  if (mask.numel() == 0) return result;

  const Tensor source = torch::stable::contiguous(mask);
  const double scale = !p.isotropic() ? 1 : p.squared ? p.pitch_x * p.pitch_x : p.pitch_x;
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    using Out = accumulate_t<T>;
    const auto* from = static_cast<const T*>(source.const_data_ptr());
    auto* to = static_cast<Out*>(result.mutable_data_ptr());
    for_edt_parts(mask, images.count, p, [&](int64_t at, int64_t count, const EdtPlanes& planes, uint16_t* nearest) {
      const EmitDistance<Out> emit{to + at, scale, p.without_target(), p.squared, planes.inverted};
      launch_edt("edt", from + at, nearest, count, planes, p, emit, cuda.stream);
    });
  });
  return result;
}

Tensor edt_indices_cuda(const Tensor& mask, bool is_signed, std::optional<std::vector<double>> sampling,
                        bool black_border) {
  const CudaScope cuda(mask);
  check_mask_dtype("edt_indices", "mask", mask);
  const Images images = images_of("edt_indices", "mask", mask);
  debug_mask_values("edt_indices", "mask", mask, images);
  const EdtParams p = edt_params("edt_indices", images, is_signed, false, sampling, black_border);
  const Tensor result = empty_like_shape(mask, ScalarType::Long);
  if (mask.numel() == 0) return result;

  const Tensor source = torch::stable::contiguous(mask);
  auto* to = static_cast<int64_t*>(result.mutable_data_ptr());
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    const auto* from = static_cast<const decltype(tag)*>(source.const_data_ptr());
    for_edt_parts(mask, images.count, p, [&](int64_t at, int64_t count, const EdtPlanes& planes, uint16_t* nearest) {
      launch_edt("edt_indices", from + at, nearest, count, planes, p, EmitIndex{to + at, planes}, cuda.stream);
    });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("edt", TORCH_BOX(&edt_cuda));
  m.impl("edt_indices", TORCH_BOX(&edt_indices_cuda));
}

}  // namespace topo
