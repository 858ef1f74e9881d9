// Entry point of mask_chamfer_backward on CUDA: on chip for images that fit. A second kernel with bounded scratch then
// computes the others. The kernels are in mask_chamfer_backward_kernels.cuh.

#include "cuda/mask_chamfer_backward_kernels.cuh"
#include "cuda/s2d_backward_launch.cuh"

namespace topo {
namespace {

template <typename Real>
void launch_backward(const ChamferMaps<Real>& maps, const Tensor& pred, Tensor& result, int64_t count,
                     const SkeletonParams& p, bool skeletons, bool literal, cudaStream_t stream) {
  const Tensor soft = torch::stable::new_empty(pred, {count}, ScalarType::Byte);
  auto* soft_data = static_cast<uint8_t*>(soft.mutable_data_ptr());
  auto* out = static_cast<Real*>(result.mutable_data_ptr());
  const int shared = literal ? 0 : chip_bytes(p.thinning);
  if (shared) {
    const LevelPlanes planes = level_planes(p.thinning);
    const int threads = level_threads(planes);
    const unsigned int blocks = resident_blocks(mask_chamfer_route_kernel<Real>, threads, shared, count);
    const Tensor slots = torch::stable::new_empty(result, {skeletons ? blocks * p.pixels() : 0}, result.scalar_type());
    mask_chamfer_route_kernel<Real><<<blocks, threads, shared, stream>>>(
        maps, static_cast<Real*>(slots.mutable_data_ptr()), soft_data, out, count, planes, chip_params(p.thinning),
        skeletons, rows_of_four(maps.pred, planes.width));
    check_launch("mask_chamfer_backward");
  }
  Room room{nullptr};
  ChamferRoom<Real>(p, room);
  const int64_t image_bytes = 4 * sizeof(Real) * p.pixels();
  const BlockScratch scratch(pred, room.taken(), count, image_bytes, shared > 0);
  mask_chamfer_backward_kernel<Real><<<static_cast<unsigned int>(scratch.blocks), kBackwardThreads, 0, stream>>>(
      maps, scratch.data(), scratch.bytes, shared ? soft_data : nullptr, out, count, p, skeletons, literal);
  check_launch("mask_chamfer_backward");
}

Tensor mask_chamfer_backward_cuda(const Tensor& grad_pull, const Tensor& grad_push, const Tensor& pred,
                                  const Tensor& target, const Tensor& target_distance,
                                  std::optional<int64_t> iterations, bool skeletons, StringArgument backward) {
  const bool literal = backward_mode("mask_chamfer_backward", backward) == BackwardMode::kLiteral;
  const CudaScope cuda(pred);
  const MaskChamferArgs args = mask_chamfer_args("mask_chamfer_backward", pred, target, target_distance, iterations);
  debug_mask_values("mask_chamfer_backward", "pred", pred, args.images);
  check_floating("mask_chamfer_backward", "pred", pred);
  check_image_sums("mask_chamfer_backward", "grad_pull", grad_pull, pred);
  check_image_sums("mask_chamfer_backward", "grad_push", grad_push, pred);
  if (pred.numel() == 0) return empty_like_shape(pred, pred.scalar_type());

  const auto real_map = [&](const Tensor& map) {
    return torch::stable::contiguous(torch::stable::to(map, args.result));
  };
  const bool bytes = !is_floating(target.scalar_type());
  const Tensor pull = real_map(grad_pull), push = real_map(grad_push), distance = real_map(target_distance);
  const Tensor source = real_map(pred), target_map = bytes ? torch::stable::contiguous(target) : real_map(target);
  Tensor result = empty_like_shape(pred, args.result);
  dispatch_real(args.result, [&](auto tag) {
    using Real = decltype(tag);
    const auto data = [](const Tensor& map) { return static_cast<const Real*>(map.const_data_ptr()); };
    const ChamferMaps<Real> maps{data(pull),
                                 data(push),
                                 data(source),
                                 bytes ? nullptr : data(target_map),
                                 bytes ? static_cast<const uint8_t*>(target_map.const_data_ptr()) : nullptr,
                                 data(distance)};
    launch_backward(maps, source, result, args.images.count, args.params, skeletons, literal, cuda.stream);
  });
  return torch::stable::to(result, pred.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("mask_chamfer_backward", TORCH_BOX(&mask_chamfer_backward_cuda));
}

}  // namespace topo
