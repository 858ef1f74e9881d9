#include "cpu/s2d_backward.h"

#include "cpu/mask.h"
#include "cpu/pages.h"

namespace topo {
namespace {

template <typename T>
void s2d_backward_images(const T* grad, const T* mask, T* grad_mask, int64_t count, const S2dParams& p,
                         BackwardMode mode) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  InvalidImage invalid;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Workspace<Real> ws(p);
    BackwardWorkspace<Real> back(p);
    Buffer<Real> upstream, result;
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * n;
      const MaskKind kind = read_mask(source, n, ws.foreground.data());
      if (kind == MaskKind::kInvalid) {
        invalid.record(image, source, n);
        continue;
      }
      if (kind == MaskKind::kSoft) {
        soft_thinning<Real>(p, source, ws, nullptr);
      } else {
        binary_depth(p, ws);
      }
      if constexpr (std::is_same_v<T, Real>) {
        thinning_backward(p, mode, kind, grad + image * n, ws, back, grad_mask + image * n);
      } else {
        upstream.assign(grad + image * n, grad + (image + 1) * n);
        result.resize(n);
        thinning_backward(p, mode, kind, upstream.data(), ws, back, result.data());
        for (int64_t i = 0; i < n; ++i) grad_mask[image * n + i] = static_cast<T>(result[i]);
      }
    }
  });
  invalid.check("s2d_backward", "mask");
}

Tensor s2d_backward_cpu(const Tensor& grad, const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size,
                        bool black_border, bool fill_holes, StringArgument backward) {
  const BackwardMode mode = backward_mode("s2d_backward", backward);
  check_floating("s2d_backward", "mask", mask);
  check_floating("s2d_backward", "grad", grad);
  check_same_shape("s2d_backward", "grad", grad, "mask", mask);
  const Images images = images_of("s2d_backward", "mask", mask);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  Tensor grad_mask = fresh_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return grad_mask;

  const Tensor source = as_contiguous(mask);
  const Tensor upstream = as_contiguous(as_dtype(grad, mask.scalar_type()));
  dispatch_floating(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    s2d_backward_images(static_cast<const T*>(upstream.const_data_ptr()),
                        static_cast<const T*>(source.const_data_ptr()), static_cast<T*>(grad_mask.mutable_data_ptr()),
                        images.count, p, mode);
  });
  return grad_mask;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("s2d_backward", TORCH_BOX(&s2d_backward_cpu));
}

}  // namespace topo
