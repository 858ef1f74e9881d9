// Entry point of chamfer on CUDA: one block per image. The kernel is in chamfer_kernels.cuh.

#include "cuda/chamfer_kernels.cuh"
#include "cuda/common.cuh"

namespace topo {
namespace {

std::tuple<Tensor, Tensor> chamfer_cuda(const Tensor& pred, const Tensor& target, const Tensor& pred_distance,
                                        const Tensor& target_distance) {
  const CudaScope cuda(pred);
  const ChamferArgs args = chamfer_args(pred, target, pred_distance, target_distance);
  Tensor pull = chamfer_result(pred, args.result);
  Tensor push = chamfer_result(pred, args.result);
  if (args.images.count == 0) return {pull, push};

  const Tensor maps[4] = {chamfer_map(pred, args.type), chamfer_map(target, args.type),
                          chamfer_map(pred_distance, args.type), chamfer_map(target_distance, args.type)};
  dispatch_floating(args.type, [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const int64_t blocks = args.images.count < 65535 ? args.images.count : 65535;
    chamfer_kernel<T><<<static_cast<unsigned int>(blocks), kMaxThreads, 0, cuda.stream>>>(
        static_cast<const T*>(maps[0].const_data_ptr()), static_cast<const T*>(maps[1].const_data_ptr()),
        static_cast<const T*>(maps[2].const_data_ptr()), static_cast<const T*>(maps[3].const_data_ptr()),
        static_cast<Real*>(pull.mutable_data_ptr()), static_cast<Real*>(push.mutable_data_ptr()), args.images.count,
        args.images.pixels());
  });
  check_launch("chamfer");
  return {pull, push};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("chamfer", TORCH_BOX(&chamfer_cuda));
}

}  // namespace topo
