// Entry point of chamfer on CUDA. The kernel is in chamfer_kernels.cuh.

#include "cuda/chamfer_kernels.cuh"
#include "cuda/chamfer_sums_launch.cuh"

namespace topo {
namespace {

std::tuple<Tensor, Tensor> chamfer_cuda(const Tensor& pred, const Tensor& target, const Tensor& pred_distance,
                                        const Tensor& target_distance) {
  const CudaScope cuda(pred);
  const ChamferArgs args = chamfer_args(pred, target, pred_distance, target_distance);
  ChamferSums result(pred, args.result, args.images.count, chunks_of(args.images.pixels()));
  if (args.images.count == 0) return {result.pull, result.push};

  const Tensor maps[4] = {chamfer_map(pred, args.type), chamfer_map(target, args.type),
                          chamfer_map(pred_distance, args.type), chamfer_map(target_distance, args.type)};
  dispatch_floating(args.type, [&](auto tag) {
    using T = decltype(tag);
    using Real = accumulate_t<T>;
    const T* data[4];
    bool fours = true;
    for (int i = 0; i < 4; ++i) {
      data[i] = static_cast<const T*>(maps[i].const_data_ptr());
      fours = fours && rows_of_four(data[i], args.images.pixels());
    }
    const auto blocks = static_cast<unsigned int>(args.images.count * result.chunks);
    chamfer_kernel<T><<<blocks, kChamferThreads, 0, cuda.stream>>>(
        data[0], data[1], data[2], data[3], result.sums<Real>(), static_cast<int32_t>(args.images.pixels()), fours);
    result.add_chunks<Real>(cuda.stream);
  });
  check_launch("chamfer");
  return {result.pull, result.push};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("chamfer", TORCH_BOX(&chamfer_cuda));
}

}  // namespace topo
