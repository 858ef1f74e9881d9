#include "chamfer.h"

#include "cpu/chamfer_sum.h"

namespace topo {
namespace {

std::tuple<Tensor, Tensor> chamfer_cpu(const Tensor& pred, const Tensor& target, const Tensor& pred_distance,
                                       const Tensor& target_distance) {
  const ChamferArgs args = chamfer_args(pred, target, pred_distance, target_distance);
  Tensor pull = chamfer_result(pred, args.result);
  Tensor push = chamfer_result(pred, args.result);
  if (args.images.count == 0) return {pull, push};

  const Tensor maps[4] = {chamfer_map(pred, args.type), chamfer_map(target, args.type),
                          chamfer_map(pred_distance, args.type), chamfer_map(target_distance, args.type)};
  dispatch_floating(args.type, [&](auto tag) {
    using T = decltype(tag);
    using Sum = accumulate_t<T>;
    const int64_t n = args.images.pixels();
    const T* data[4];
    for (int i = 0; i < 4; ++i) data[i] = static_cast<const T*>(maps[i].const_data_ptr());
    Sum* pulls = static_cast<Sum*>(pull.mutable_data_ptr());
    Sum* pushes = static_cast<Sum*>(push.mutable_data_ptr());
    torch::stable::parallel_for(0, args.images.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t image = begin; image < end; ++image) {
        pulls[image] = static_cast<Sum>(map_sum(data[2] + image * n, data[1] + image * n, n));
        pushes[image] = static_cast<Sum>(map_sum(data[3] + image * n, data[0] + image * n, n));
      }
    });
  });
  return {pull, push};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("chamfer", TORCH_BOX(&chamfer_cpu));
}

}  // namespace topo
