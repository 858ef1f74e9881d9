#include "cpu/skeleton_backward.h"

#include "cpu/pages.h"

namespace topo {
namespace {

template <typename T>
void skeleton_backward_images(const T* grad, const T* mask, T* grad_mask, int64_t count, const SkeletonParams& p,
                              BackwardMode mode) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  InvalidImage invalid;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    SkeletonGradient<Real> ws(p);
    BackwardWorkspace<Real> back(p.thinning);
    Buffer<Real> upstream(n), result(n);
    for (int64_t image = begin; image < end; ++image) {
      const MaskKind kind = skeleton_maps(p, mask + image * n, ws);
      if (kind == MaskKind::kInvalid) {
        invalid.record(image, mask + image * n, n);
        continue;
      }
      std::copy(grad + image * n, grad + (image + 1) * n, upstream.begin());
      skeleton_backward_image(p, mode, kind, upstream.data(), ws, back, result.data());
      for (int64_t i = 0; i < n; ++i) grad_mask[image * n + i] = static_cast<T>(result[i]);
    }
  });
  invalid.check("skeleton_backward", "mask");
}

Tensor skeleton_backward_cpu(const Tensor& grad, const Tensor& mask, std::optional<int64_t> iterations,
                             int64_t pool_size, StringArgument backward) {
  const BackwardMode mode = backward_mode("skeleton_backward", backward);
  check_floating("skeleton_backward", "mask", mask);
  check_floating("skeleton_backward", "grad", grad);
  check_same_shape("skeleton_backward", "grad", grad, "mask", mask);
  const Images images = images_of("skeleton_backward", "mask", mask);
  const SkeletonParams p = skeleton_params("skeleton_backward", images, iterations, pool_size);
  Tensor grad_mask = fresh_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return grad_mask;

  const Tensor source = as_contiguous(mask);
  const Tensor upstream = as_contiguous(as_dtype(grad, mask.scalar_type()));
  dispatch_floating(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    skeleton_backward_images(static_cast<const T*>(upstream.const_data_ptr()),
                             static_cast<const T*>(source.const_data_ptr()),
                             static_cast<T*>(grad_mask.mutable_data_ptr()), images.count, p, mode);
  });
  return grad_mask;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("skeleton_backward", TORCH_BOX(&skeleton_backward_cpu));
}

}  // namespace topo
