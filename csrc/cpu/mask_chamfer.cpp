#include "mask_chamfer.h"

#include "cpu/chamfer_sum.h"
#include "cpu/skeleton_image.h"

namespace topo {
namespace {

struct Terms {
  double pull, push;
};

// Binary X as bytes of 0 and 1, which may be ws.foreground. ws.foreground becomes 1 - X.
template <typename Real, typename Target, typename Distance>
Terms binary_terms(const S2dParams& p, Workspace<Real>& ws, uint8_t* x, const Target* target,
                   const Distance* target_distance) {
  const int64_t n = p.pixels();
  const double push = map_sum(x, target_distance, n);
  uint8_t* background = ws.foreground.data();
  for (int64_t i = 0; i < n; ++i) background[i] = static_cast<uint8_t>(1 - x[i]);
  binary_depth(p, ws);
  return {map_sum(ws.depth.data(), target, n), push};
}

// Soft X, which is overwritten with 1 - X; `out` is scratch.
template <typename Real, typename Target, typename Distance>
Terms soft_terms(const S2dParams& p, Workspace<Real>& ws, Buffer<Real>& x, Buffer<Real>& out, const Target* target,
                 const Distance* target_distance) {
  const int64_t n = p.pixels();
  const double push = map_sum(x.data(), target_distance, n);
  for (Real& value : x) value = 1 - value;
  out.resize(n);
  soft_thinning(p, x.data(), ws, out.data());
  return {map_sum(out.data(), target, n), push};
}

template <typename T, typename Target, typename Distance, typename Sum>
void mask_chamfer_images(const MaskChamferArgs& args, bool skeletons, const T* pred, const Target* target,
                         const Distance* target_distance, Sum* pull, Sum* push) {
  const SkeletonParams& p = args.params;
  const int64_t n = p.pixels();
  InvalidImage invalid;
  torch::stable::parallel_for(0, args.images.count, 1, [&](int64_t begin, int64_t end) {
    SkeletonWorkspace<Sum> ws(p);
    for (int64_t image = begin; image < end; ++image) {
      const int64_t offset = image * n;
      const T* source = pred + offset;
      Terms terms{0, 0};
      switch (read_mask(source, n, ws.thinning.foreground.data())) {
        case MaskKind::kInvalid:
          invalid.record(image, source, n);
          break;
        case MaskKind::kBinary: {
          if (skeletons) binary_skeleton(p, ws, ws.ridges.data());
          uint8_t* x = skeletons ? ws.ridges.data() : ws.thinning.foreground.data();
          terms = binary_terms(p.thinning, ws.thinning, x, target + offset, target_distance + offset);
          break;
        }
        case MaskKind::kSoft:
          if (skeletons) {
            soft_skeleton(p, source, ws);
          } else {
            ws.skeleton.assign(source, source + n);
          }
          terms =
              soft_terms(p.thinning, ws.thinning, ws.skeleton, ws.distance, target + offset, target_distance + offset);
          break;
      }
      pull[image] = static_cast<Sum>(terms.pull);
      push[image] = static_cast<Sum>(terms.push);
    }
  });
  invalid.check("mask_chamfer", "pred");
}

std::tuple<Tensor, Tensor> mask_chamfer_cpu(const Tensor& pred, const Tensor& target, const Tensor& target_distance,
                                            std::optional<int64_t> iterations, bool skeletons,
                                            StringArgument backward) {
  backward_mode("mask_chamfer", backward);
  const MaskChamferArgs args = mask_chamfer_args("mask_chamfer", pred, target, target_distance, iterations);
  Tensor pull = chamfer_result(pred, args.result);
  Tensor push = chamfer_result(pred, args.result);
  if (args.images.count == 0) return {pull, push};

  const Tensor maps[3] = {as_contiguous(pred), as_contiguous(target), as_contiguous(target_distance)};
  dispatch_mask(pred.scalar_type(), [&](auto pred_tag) {
    dispatch_mask(target.scalar_type(), [&](auto target_tag) {
      dispatch_floating(target_distance.scalar_type(), [&](auto distance_tag) {
        using T = decltype(pred_tag);
        using Sum = accumulate_t<T>;
        mask_chamfer_images(args, skeletons, static_cast<const T*>(maps[0].const_data_ptr()),
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
