#include "cpu/d2t_backward.h"

#include "cpu/pages.h"
#include "dtypes.h"

namespace topo {
namespace {

template <typename T>
void d2t_backward_images(const T* grad, const T* distance, const T* mask, const T* skeleton, T* grad_distance,
                         T* grad_mask, int64_t count, const D2tParams& p, BackwardMode mode) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    RidgeWorkspace<Real> ws;
    Buffer<Real> maps[6];
    for (int64_t offset = begin * n; offset < end * n; offset += n) {
      if constexpr (std::is_same_v<T, Real>) {
        ridge_backward(p, mode, grad + offset, distance + offset, mask + offset, skeleton + offset, ws,
                       grad_distance + offset, grad_mask + offset);
      } else {
        const T* sources[4] = {grad, distance, mask, skeleton};
        for (int k = 0; k < 4; ++k) maps[k].assign(sources[k] + offset, sources[k] + offset + n);
        for (int k = 4; k < 6; ++k) maps[k].resize(n);
        ridge_backward(p, mode, maps[0].data(), maps[1].data(), maps[2].data(), maps[3].data(), ws, maps[4].data(),
                       maps[5].data());
        for (int64_t i = 0; i < n; ++i) {
          grad_distance[offset + i] = static_cast<T>(maps[4][i]);
          grad_mask[offset + i] = static_cast<T>(maps[5][i]);
        }
      }
    }
  });
}

std::tuple<Tensor, Tensor> d2t_backward_cpu(const Tensor& grad, const Tensor& distance, const Tensor& mask,
                                            const Tensor& skeleton, int64_t pool_size, StringArgument backward) {
  const BackwardMode mode = backward_mode("d2t_backward", backward);
  const D2tParams p = d2t_backward_params(grad, distance, mask, skeleton, pool_size);
  const auto type = distance.scalar_type();
  Tensor grad_distance = fresh_like_shape(distance, type);
  Tensor grad_mask = fresh_like_shape(distance, type);
  if (distance.numel() == 0) return {grad_distance, grad_mask};

  const Tensor g = as_contiguous(as_dtype(grad, type));
  const Tensor d = as_contiguous(distance);
  const Tensor s = as_contiguous(as_dtype(foreground_bool(mask), type));
  const Tensor t = as_contiguous(as_dtype(skeleton, type));
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    d2t_backward_images(static_cast<const T*>(g.const_data_ptr()), static_cast<const T*>(d.const_data_ptr()),
                        static_cast<const T*>(s.const_data_ptr()), static_cast<const T*>(t.const_data_ptr()),
                        static_cast<T*>(grad_distance.mutable_data_ptr()),
                        static_cast<T*>(grad_mask.mutable_data_ptr()), distance.numel() / p.pixels(), p, mode);
  });
  return {grad_distance, grad_mask};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("d2t_backward", TORCH_BOX(&d2t_backward_cpu));
}

}  // namespace topo
