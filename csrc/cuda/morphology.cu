// Entry point of dilations and erosions on CUDA. The kernels are in morphology_kernels.cuh.

#include "cuda/edt_launch.cuh"
#include "cuda/morphology_kernels.cuh"

namespace topo {
namespace {

// A dilation or erosion of a batch, in parts.
template <typename T, typename Out>
void launch_morphology(const T* mask, Out* result, const Images& images, const MorphologyParams& p, bool erodes,
                       const Tensor& nearest, int64_t at_once, cudaStream_t stream) {
  const EdtParams edt{images.height, images.width, false, true, erodes && p.black_border, 1.0, 1.0};
  const EdtPlanes planes = edt_planes(edt, !erodes);
  auto* rows = static_cast<uint16_t*>(nearest.mutable_data_ptr());
  for (int64_t first = 0; first < images.count; first += at_once) {
    const int64_t count = first + at_once < images.count ? at_once : images.count - first;
    const int64_t at = first * images.pixels();
    const EmitWithin<Out> emit{result + at, p.squared, erodes};
    if (p.disc) {
      launch_edt("morphology", mask + at, rows, count, planes, edt, emit, stream);
      continue;
    }
    launch_edt_columns("morphology", mask + at, rows, count, planes, stream);
    const int threads = planes.width < kEdtThreads ? (planes.width + 31) / 32 * 32 : kEdtThreads;
    const int bytes = (planes.width + 31) / 32 * 4;
    const auto kernel = square_rows_kernel<Out>;
    const unsigned int blocks = resident_blocks(kernel, threads, bytes, count * planes.inner_height());
    kernel<<<blocks, threads, bytes, stream>>>(rows, count, planes, p.reach, emit);
    check_launch("morphology");
  }
}

Tensor morphology_cuda(const Tensor& mask, StringArgument operation, double radius, StringArgument shape,
                       bool black_border) {
  const MorphologyNames names = morphology_names("morphology", operation, shape);
  const CudaScope cuda(mask);
  check_mask_dtype("morphology", "mask", mask);
  const Images images = images_of("morphology", "mask", mask);
  const MorphologyParams p = morphology_params("morphology", names, images, radius, black_border);
  debug_mask_values("morphology", "mask", mask, images);
  const Tensor result = empty_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return result;

  const Tensor source = torch::stable::contiguous(mask);
  const EdtParams largest{images.height, images.width, false, true, true, 1.0, 1.0};
  const int64_t at_once = edt_images_at_once(largest, images.count, int64_t(1) << 24);
  const Tensor nearest =
      torch::stable::new_empty(mask, {at_once * edt_planes(largest, false).pixels()}, ScalarType::Short);
  const bool one_step = p.operation == Morphology::kDilate || p.operation == Morphology::kErode;
  const int64_t between = one_step ? 0 : mask.numel();
  const Tensor first = torch::stable::new_empty(mask, {between}, ScalarType::Byte);
  const Tensor second = torch::stable::new_empty(mask, {between}, ScalarType::Byte);
  auto* outer = static_cast<uint8_t*>(first.mutable_data_ptr());
  auto* inner = static_cast<uint8_t*>(second.mutable_data_ptr());
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    const auto* from = static_cast<const T*>(source.const_data_ptr());
    auto* to = static_cast<T*>(result.mutable_data_ptr());
    const auto run = [&](const auto* in, auto* out, const MorphologyParams& element, bool erodes) {
      launch_morphology(in, out, images, element, erodes, nearest, at_once, cuda.stream);
    };
    if (one_step) return run(from, to, p, p.operation == Morphology::kErode);
    if (p.operation == Morphology::kOpen || p.operation == Morphology::kClose) {
      const bool opens = p.operation == Morphology::kOpen;
      run(from, outer, p, opens);
      return run(outer, to, p, !opens);
    }
    // A disc of radius 0 is the mask itself.
    MorphologyParams unchanged = p;
    unchanged.reach = 0;
    unchanged.squared = 0;
    run(from, outer, p.operation == Morphology::kInnerBand ? unchanged : p, false);
    unchanged.black_border = false;
    run(from, inner, p.operation == Morphology::kOuterBand ? unchanged : p, true);
    band_kernel<T><<<pixel_blocks(mask.numel()), kPixelThreads, 0, cuda.stream>>>(outer, inner, to, mask.numel());
  });
  check_launch("morphology");
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("morphology", TORCH_BOX(&morphology_cuda));
}

}  // namespace topo
