// Entry point of skeleton_backward on CUDA: on chip for images that fit. A second kernel with bounded scratch then
// computes the others. The kernels are in skeleton_backward_kernels.cuh.

#include "cuda/s2d_backward_launch.cuh"
#include "cuda/skeleton_backward_kernels.cuh"

namespace topo {
namespace {

Tensor skeleton_backward_cuda(const Tensor& grad, const Tensor& mask, std::optional<int64_t> iterations,
                              int64_t pool_size, StringArgument backward) {
  const bool literal = backward_mode("skeleton_backward", backward) == BackwardMode::kLiteral;
  const CudaScope cuda(mask);
  check_floating("skeleton_backward", "mask", mask);
  check_floating("skeleton_backward", "grad", grad);
  check_same_shape("skeleton_backward", "grad", grad, "mask", mask);
  check_same_device("skeleton_backward", "grad", grad, "mask", mask);
  const Images images = images_of("skeleton_backward", "mask", mask);
  debug_mask_values("skeleton_backward", "mask", mask, images);
  const SkeletonParams p = skeleton_params("skeleton_backward", images, iterations, pool_size);
  if (mask.numel() == 0) return empty_like_shape(mask, mask.scalar_type());

  const ScalarType real = mask.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  const Tensor source = torch::stable::contiguous(torch::stable::to(mask, real));
  const Tensor upstream = torch::stable::contiguous(torch::stable::to(grad, real));
  const Tensor result = empty_like_shape(mask, real);
  const Tensor soft = torch::stable::new_empty(mask, {images.count}, ScalarType::Byte);
  auto* soft_data = static_cast<uint8_t*>(soft.mutable_data_ptr());
  const int shared = literal || p.ridges.radius > 1 ? 0 : chip_bytes(p.thinning);
  dispatch_real(real, [&](auto tag) {
    using Real = decltype(tag);
    const auto* g = static_cast<const Real*>(upstream.const_data_ptr());
    const auto* m = static_cast<const Real*>(source.const_data_ptr());
    auto* out = static_cast<Real*>(result.mutable_data_ptr());
    if (shared) {
      const LevelPlanes planes = level_planes(p.thinning);
      const int threads = level_threads(planes);
      const unsigned int blocks = resident_blocks(skeleton_route_kernel<Real>, threads, shared, images.count);
      skeleton_route_kernel<Real><<<blocks, threads, shared, cuda.stream>>>(
          g, m, soft_data, out, images.count, planes, chip_params(p.thinning), rows_of_four(m, planes.width));
      check_launch("skeleton_backward");
    }
    Room room{nullptr};
    SkeletonRoom<Real>(p, room);
    const int64_t image_bytes = 3 * sizeof(Real) * p.pixels();
    const BlockScratch scratch(mask, room.taken(), images.count, image_bytes, shared > 0);
    skeleton_backward_kernel<Real><<<static_cast<unsigned int>(scratch.blocks), kBackwardThreads, 0, cuda.stream>>>(
        g, m, scratch.data(), scratch.bytes, shared ? soft_data : nullptr, out, images.count, p, literal);
    check_launch("skeleton_backward");
  });
  return torch::stable::to(result, mask.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("skeleton_backward", TORCH_BOX(&skeleton_backward_cuda));
}

}  // namespace topo
