// Entry point of edt_backward on CUDA. The kernels are in edt_backward_kernels.cuh.

#include "cuda/edt_backward_kernels.cuh"
#include "cuda/edt_launch.cuh"

namespace topo {
namespace {

// Planes of as many images as are computed together: 56 bytes per pixel, or 108 in double.
template <typename Real>
struct EdtBackwardScratch {
  Tensor nearest, columns, sums, passed;

  EdtBackwardScratch(const Tensor& mask, const EdtParams& p, int64_t images) {
    const ScalarType real = std::is_same_v<Real, double> ? ScalarType::Double : ScalarType::Float;
    const EdtPlanes planes = edt_planes(p, false);
    nearest = torch::stable::new_empty(mask, {images * planes.pixels()}, ScalarType::Short);
    columns = torch::stable::new_empty(mask, {images * p.pixels()}, ScalarType::Short);
    sums = torch::stable::new_empty(mask, {images * kRunSums * p.height * planes.width}, real);
    passed = torch::stable::new_empty(mask, {images * kDirections * planes.pixels()}, real);
  }
};

template <typename T>
void launch_edt_backward(const accumulate_t<T>* grad, const T* mask, accumulate_t<T>* result, int64_t count,
                         const EdtPlanes& planes, const EdtParams& p,
                         const EdtBackwardScratch<accumulate_t<T>>& scratch, cudaStream_t stream) {
  using Real = accumulate_t<T>;
  auto* nearest = static_cast<uint16_t*>(scratch.nearest.mutable_data_ptr());
  auto* columns = static_cast<uint16_t*>(scratch.columns.mutable_data_ptr());
  auto* sums = static_cast<Real*>(scratch.sums.mutable_data_ptr());
  auto* passed = static_cast<Real*>(scratch.passed.mutable_data_ptr());
  launch_edt("edt_backward", mask, nearest, count, planes, p, EmitColumn{columns}, stream);
  cudaMemsetAsync(sums, 0, count * kRunSums * p.height * planes.width * sizeof(Real), stream);
  const unsigned int blocks = pixel_blocks(count * p.pixels());
  edt_runs_kernel<Real><<<blocks, kPixelThreads, 0, stream>>>(grad, nearest, columns, sums, count, planes, p);
  edt_targets_kernel<Real>
      <<<pixel_blocks(count * planes.pixels()), kPixelThreads, 0, stream>>>(nearest, sums, passed, count, planes);
  edt_gather_kernel<Real><<<blocks, kPixelThreads, 0, stream>>>(nearest, passed, result, count, planes);
  check_launch("edt_backward");
}

Tensor edt_backward_cuda(const Tensor& grad, const Tensor& mask, bool is_signed, bool squared,
                         std::optional<std::vector<double>> sampling, bool black_border) {
  const CudaScope cuda(mask);
  check_floating("edt_backward", "mask", mask);
  check_floating("edt_backward", "grad", grad);
  check_same_shape("edt_backward", "grad", grad, "mask", mask);
  check_same_device("edt_backward", "grad", grad, "mask", mask);
  const Images images = images_of("edt_backward", "mask", mask);
  debug_mask_values("edt_backward", "mask", mask, images);
  const EdtParams p = edt_params("edt_backward", images, is_signed, squared, sampling, black_border);
  if (mask.numel() == 0) return empty_like_shape(mask, mask.scalar_type());

  const ScalarType real = edt_result_dtype(mask.scalar_type());
  const Tensor source = torch::stable::contiguous(mask);
  const Tensor upstream = torch::stable::contiguous(torch::stable::to(grad, real));
  const Tensor result = empty_like_shape(mask, real);
  const int64_t at_once = edt_images_at_once(p, images.count, int64_t(1) << 22);
  dispatch_floating(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const EdtBackwardScratch<Real> scratch(mask, p, at_once);
    for (int64_t first = 0; first < images.count; first += at_once) {
      const int64_t count = first + at_once < images.count ? at_once : images.count - first, at = first * p.pixels();
      for (int inverted = 0; inverted <= p.is_signed; ++inverted) {
        launch_edt_backward<T>(static_cast<const Real*>(upstream.const_data_ptr()) + at,
                               static_cast<const T*>(source.const_data_ptr()) + at,
                               static_cast<Real*>(result.mutable_data_ptr()) + at, count, edt_planes(p, inverted), p,
                               scratch, cuda.stream);
      }
    }
  });
  return torch::stable::to(result, mask.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("edt_backward", TORCH_BOX(&edt_backward_cuda));
}

}  // namespace topo
