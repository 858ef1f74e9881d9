// Entry point of s2d_backward on CUDA: on chip for images that fit. A second kernel with bounded scratch then computes
// soft images, and all images in literal mode. The kernels are in s2d_backward_kernels.cuh.

#include "cuda/s2d_backward_launch.cuh"

namespace topo {
namespace {

Tensor s2d_backward_cuda(const Tensor& grad, const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size,
                         bool black_border, bool fill_holes, StringArgument backward) {
  const bool literal = backward_mode("s2d_backward", backward) == BackwardMode::kLiteral;
  const CudaScope cuda(mask);
  check_floating("s2d_backward", "mask", mask);
  check_floating("s2d_backward", "grad", grad);
  check_same_shape("s2d_backward", "grad", grad, "mask", mask);
  check_same_device("s2d_backward", "grad", grad, "mask", mask);
  const Images images = images_of("s2d_backward", "mask", mask);
  debug_mask_values("s2d_backward", "mask", mask, images);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes, "s2d_backward");
  if (mask.numel() == 0) return empty_like_shape(mask, mask.scalar_type());

  const ScalarType real = mask.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  const Tensor source = torch::stable::contiguous(torch::stable::to(mask, real));
  const Tensor upstream = torch::stable::contiguous(torch::stable::to(grad, real));
  const Tensor result = empty_like_shape(mask, real);
  const Tensor soft = torch::stable::new_empty(mask, {images.count}, ScalarType::Byte);
  auto* soft_data = static_cast<uint8_t*>(soft.mutable_data_ptr());
  dispatch_real(real, [&](auto tag) {
    using Real = decltype(tag);
    const auto* g = static_cast<const Real*>(upstream.const_data_ptr());
    const auto* m = static_cast<const Real*>(source.const_data_ptr());
    auto* out = static_cast<Real*>(result.mutable_data_ptr());
    const int64_t image_bytes = 3 * sizeof(Real) * p.pixels();
    if (!literal) {
      if (const int shared = chip_bytes(p)) {
        const LevelPlanes planes = level_planes(p);
        const int threads = level_threads(planes);
        const unsigned int blocks = resident_blocks(s2d_route_kernel<Real>, threads, shared, images.count);
        s2d_route_kernel<Real><<<blocks, threads, shared, cuda.stream>>>(g, m, soft_data, out, images.count, planes,
                                                                         chip_params(p), rows_of_four(m, p.width));
      } else {
        Room room{nullptr};
        LargeRoute(p, room);
        const BlockScratch scratch(mask, room.taken(), images.count, image_bytes, false);
        s2d_route_large_kernel<Real><<<static_cast<unsigned int>(scratch.blocks), kBackwardThreads, 0, cuda.stream>>>(
            g, m, scratch.data(), scratch.bytes, soft_data, out, images.count, p);
      }
      check_launch("s2d_backward");
    }
    Room room{nullptr};
    AdjointRoom<Real>(p, room);
    const BlockScratch scratch(mask, room.taken(), images.count, image_bytes, !literal);
    s2d_adjoint_kernel<Real><<<static_cast<unsigned int>(scratch.blocks), kBackwardThreads, 0, cuda.stream>>>(
        g, m, scratch.data(), scratch.bytes, literal ? nullptr : soft_data, out, images.count, p);
    check_launch("s2d_backward");
  });
  return torch::stable::to(result, mask.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("s2d_backward", TORCH_BOX(&s2d_backward_cuda));
}

}  // namespace topo
