#include "cpu/pages.h"
#include "cpu/skeleton_backward.h"
#include "mask_chamfer.h"

namespace topo {
namespace {

// A contiguous map of any dtype, read image by image.
struct Map {
  Tensor tensor;
  ScalarType type;

  explicit Map(const Tensor& map) : tensor(as_contiguous(map)), type(map.scalar_type()) {}

  // out = scale * image.
  template <typename Real>
  void read(int64_t image, int64_t pixels, Real scale, Real* out) const {
    dispatch_mask(type, [&](auto tag) {
      using T = decltype(tag);
      const T* data = static_cast<const T*>(tensor.const_data_ptr()) + image * pixels;
      for (int64_t i = 0; i < pixels; ++i) {
        if constexpr (std::is_same_v<T, uint8_t>) {
          out[i] = data[i] != 0 ? scale : Real(0);
        } else {
          out[i] = scale * static_cast<Real>(data[i]);
        }
      }
    });
  }
};

template <typename T, typename Sum>
void chamfer_backward_images(const MaskChamferArgs& args, bool skeletons, BackwardMode mode, const Sum* grad_pull,
                             const Sum* grad_push, const T* pred, const Map& target, const Map& target_distance,
                             T* grad_pred) {
  using Real = Sum;
  const SkeletonParams& p = args.params;
  const int64_t n = p.pixels();
  InvalidImage invalid;
  torch::stable::parallel_for(0, args.images.count, 1, [&](int64_t begin, int64_t end) {
    SkeletonGradient<Real> ws(p);
    Workspace<Real> outside(p.thinning);
    BackwardWorkspace<Real> back(p.thinning);
    Buffer<Real> upstream(n), x(n), grad(n);
    for (int64_t image = begin; image < end; ++image) {
      const T* source = pred + image * n;
      const MaskKind kind =
          skeletons ? skeleton_maps(p, source, ws) : read_mask(source, n, ws.image.thinning.foreground.data());
      if (kind == MaskKind::kInvalid) {
        invalid.record(image, source, n);
        continue;
      }
      if (skeletons) {
        for (int64_t i = 0; i < n; ++i) x[i] = 1 - ws.skeleton[i];
      } else {
        for (int64_t i = 0; i < n; ++i) x[i] = 1 - static_cast<Real>(source[i]);
      }
      // The pull goes through the outward distance map of X.
      target.read(image, n, grad_pull[image], upstream.data());
      const MaskKind outer = read_mask(x.data(), n, outside.foreground.data());
      if (outer == MaskKind::kBinary) {
        binary_depth(p.thinning, outside);
      } else {
        soft_thinning<Real>(p.thinning, x.data(), outside, nullptr);
      }
      thinning_backward(p.thinning, mode, outer, upstream.data(), outside, back, grad.data());
      // The push is linear in X.
      target_distance.read(image, n, grad_push[image], upstream.data());
      for (int64_t i = 0; i < n; ++i) grad[i] = upstream[i] - grad[i];
      if (skeletons) {
        skeleton_backward_image(p, mode, kind, grad.data(), ws, back, upstream.data());
      }
      const Real* result = skeletons ? upstream.data() : grad.data();
      for (int64_t i = 0; i < n; ++i) grad_pred[image * n + i] = static_cast<T>(result[i]);
    }
  });
  invalid.check("mask_chamfer_backward", "pred");
}

Tensor mask_chamfer_backward_cpu(const Tensor& grad_pull, const Tensor& grad_push, const Tensor& pred,
                                 const Tensor& target, const Tensor& target_distance, std::optional<int64_t> iterations,
                                 bool skeletons, StringArgument backward) {
  const char* op = "mask_chamfer_backward";
  const BackwardMode mode = backward_mode(op, backward);
  const MaskChamferArgs args = mask_chamfer_args(op, pred, target, target_distance, iterations);
  check_floating(op, "pred", pred);
  check_image_sums(op, "grad_pull", grad_pull, pred);
  check_image_sums(op, "grad_push", grad_push, pred);
  Tensor grad_pred = fresh_like_shape(pred, pred.scalar_type());
  if (pred.numel() == 0) return grad_pred;

  const Tensor pull = as_contiguous(as_dtype(grad_pull, args.result));
  const Tensor push = as_contiguous(as_dtype(grad_push, args.result));
  const Tensor source = as_contiguous(pred);
  dispatch_floating(pred.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    using Sum = accumulate_t<T>;
    chamfer_backward_images(args, skeletons, mode, static_cast<const Sum*>(pull.const_data_ptr()),
                            static_cast<const Sum*>(push.const_data_ptr()),
                            static_cast<const T*>(source.const_data_ptr()), Map(target), Map(target_distance),
                            static_cast<T*>(grad_pred.mutable_data_ptr()));
  });
  return grad_pred;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("mask_chamfer_backward", TORCH_BOX(&mask_chamfer_backward_cpu));
}

}  // namespace topo
