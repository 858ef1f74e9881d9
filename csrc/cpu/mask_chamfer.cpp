#include "mask_chamfer.h"

#include "cpu/skeleton_image.h"

namespace topo {
namespace {

template <typename T>
double value_of(const T* data, int64_t i) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return data[i] != 0;
  } else {
    return static_cast<double>(static_cast<accumulate_t<T>>(data[i]));
  }
}

template <typename T, typename Target, typename Distance, typename Sum>
void chamfer_images(const MaskChamferArgs& args, bool skeletons, const T* pred, const Target* target,
                    const Distance* target_distance, Sum* pull, Sum* push) {
  const SkeletonParams& p = args.params;
  const int64_t n = p.pixels();
  InvalidImage invalid;
  torch::stable::parallel_for(0, args.images.count, 1, [&](int64_t begin, int64_t end) {
    SkeletonWorkspace<Sum> ws(p);
    Buffer<Sum> x(n);
    for (int64_t image = begin; image < end; ++image) {
      const int64_t offset = image * n;
      MaskKind kind;
      if (skeletons) {
        kind = skeleton_image(p, pred + offset, ws);
        std::copy(ws.skeleton.begin(), ws.skeleton.end(), x.begin());
      } else {
        kind = read_mask(pred + offset, n, ws.thinning.foreground.data());
        for (int64_t i = 0; i < n; ++i) x[i] = static_cast<Sum>(value_of(pred + offset, i));
      }
      if (kind == MaskKind::kInvalid) {
        invalid.record(image);
        continue;
      }
      double pulled = 0, pushed = 0;
      for (int64_t i = 0; i < n; ++i) {
        pushed += static_cast<double>(x[i]) * value_of(target_distance + offset, i);
        x[i] = 1 - x[i];
      }
      if (read_mask(x.data(), n, ws.thinning.foreground.data()) == MaskKind::kBinary) {
        binary_depth(p.thinning, ws.thinning);
        for (int64_t i = 0; i < n; ++i) pulled += ws.thinning.depth[i] * value_of(target + offset, i);
      } else {
        soft_thinning(p.thinning, x.data(), ws.thinning, ws.distance.data());
        for (int64_t i = 0; i < n; ++i) pulled += ws.distance[i] * value_of(target + offset, i);
      }
      pull[image] = static_cast<Sum>(pulled);
      push[image] = static_cast<Sum>(pushed);
    }
  });
  invalid.check("mask_chamfer", "pred");
}

std::tuple<Tensor, Tensor> mask_chamfer_cpu(const Tensor& pred, const Tensor& target, const Tensor& target_distance,
                                            std::optional<int64_t> iterations, bool skeletons,
                                            const std::string& backward) {
  const MaskChamferArgs args = mask_chamfer_args("mask_chamfer", pred, target, target_distance, iterations);
  backward_mode("mask_chamfer", backward);
  Tensor pull = chamfer_result(pred, args.result);
  Tensor push = chamfer_result(pred, args.result);
  if (args.images.count == 0) return {pull, push};

  const Tensor maps[3] = {torch::stable::contiguous(pred), torch::stable::contiguous(target),
                          torch::stable::contiguous(target_distance)};
  dispatch_mask(pred.scalar_type(), [&](auto pred_tag) {
    dispatch_mask(target.scalar_type(), [&](auto target_tag) {
      dispatch_floating(target_distance.scalar_type(), [&](auto distance_tag) {
        using T = decltype(pred_tag);
        using Sum = accumulate_t<T>;
        chamfer_images(args, skeletons, static_cast<const T*>(maps[0].const_data_ptr()),
                       static_cast<const decltype(target_tag)*>(maps[1].const_data_ptr()),
                       static_cast<const decltype(distance_tag)*>(maps[2].const_data_ptr()),
                       static_cast<Sum*>(pull.mutable_data_ptr()), static_cast<Sum*>(push.mutable_data_ptr()));
      });
    });
  });
  return {pull, push};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("mask_chamfer", TORCH_BOX(&mask_chamfer_cpu));
}

}  // namespace topo
