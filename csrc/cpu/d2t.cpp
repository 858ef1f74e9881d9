#include "d2t.h"

#include <algorithm>

#include "cpu/buffer.h"
#include "cpu/ridges.h"
#include "dtypes.h"

namespace topo {
namespace {

// Half precision computes in float32.
template <typename T, typename Mask>
void d2t_images(const T* distance, const Mask* mask, T* skeleton, int64_t count, const D2tParams& p) {
  using Real = accumulate_t<T>;
  constexpr bool direct = std::is_same_v<T, Real>;
  const int64_t n = p.pixels(), held = direct ? 0 : n;
  const RidgeImage image = ridge_image(p);
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Buffer<Real> line(ridge_lines(image.width, image.radius)), d(held), s(held), t(held);
    for (int64_t offset = begin * n; offset < end * n; offset += n) {
      if constexpr (direct) {
        TOPO_SIMD_CALL(ridges, image, distance + offset, mask + offset, skeleton + offset, line.data());
      } else {
        for (int64_t i = 0; i < n; ++i) {
          d[i] = static_cast<Real>(distance[offset + i]);
          s[i] = static_cast<Real>(mask[offset + i]);
        }
        TOPO_SIMD_CALL(ridges, image, d.data(), s.data(), t.data(), line.data());
        for (int64_t i = 0; i < n; ++i) skeleton[offset + i] = static_cast<T>(t[i]);
      }
    }
  });
}

Tensor d2t_cpu(const Tensor& distance, const Tensor& mask, int64_t pool_size, const std::string& backward) {
  check_floating("d2t", "distance", distance);
  check_mask_dtype("d2t", "mask", mask);
  check_same_shape("d2t", "mask", mask, "distance", distance);
  check_same_device("d2t", "mask", mask, "distance", distance);
  backward_mode("d2t", backward);
  const Images images = images_of("d2t", "distance", distance);
  const D2tParams p = d2t_params("d2t", images, pool_size);
  const ScalarType type = distance.scalar_type();
  Tensor skeleton = empty_like_shape(distance, type);
  if (distance.numel() == 0) return skeleton;

  const bool bytes = !is_floating(mask.scalar_type());
  const Tensor d = as_contiguous(distance);
  const Tensor s = as_contiguous(bytes ? foreground_bool(mask) : as_dtype(mask, type));
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    const auto* maps = static_cast<const T*>(d.const_data_ptr());
    auto* results = static_cast<T*>(skeleton.mutable_data_ptr());
    if (bytes) {
      d2t_images(maps, static_cast<const uint8_t*>(s.const_data_ptr()), results, images.count, p);
    } else {
      d2t_images(maps, static_cast<const T*>(s.const_data_ptr()), results, images.count, p);
    }
  });
  return skeleton;
}

template <typename T>
void d2t_backward_images(const T* grad, const T* distance, const T* mask, const T* skeleton, T* grad_distance,
                         T* grad_mask, int64_t count, const D2tParams& p, bool literal) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    std::vector<Real> passed(n), taken(n);
    std::vector<int64_t> argmax(n);
    for (int64_t offset = begin * n; offset < end * n; offset += n) {
      // Only pixels within a window of one that passes something on have a gradient.
      int64_t top = p.height, bottom = -1, left = p.width, right = -1;
      for (int64_t y = 0; y < p.height; ++y) {
        for (int64_t x = 0; x < p.width; ++x) {
          const int64_t i = y * p.width + x;
          const auto pixel =
              ridge_pixel(p, literal, distance + offset, skeleton + offset, static_cast<Real>(mask[offset + i]),
                          static_cast<Real>(grad[offset + i]), y, x);
          passed[i] = pixel.passed;
          taken[i] = pixel.taken;
          argmax[i] = pixel.argmax;
          grad_mask[offset + i] = static_cast<T>(pixel.mask_grad);
          grad_distance[offset + i] = T(0);
          if (pixel.passed == Real(0)) continue;
          top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x), right = std::max(right, x);
        }
      }
      for (int64_t y = std::max<int64_t>(0, top - p.radius); y <= std::min(p.height - 1, bottom + p.radius); ++y) {
        for (int64_t x = std::max<int64_t>(0, left - p.radius); x <= std::min(p.width - 1, right + p.radius); ++x) {
          grad_distance[offset + y * p.width + x] = static_cast<T>(
              distance_grad_pixel(p, literal, distance + offset, passed.data(), taken.data(), argmax.data(), y, x));
        }
      }
    }
  });
}

std::tuple<Tensor, Tensor> d2t_backward_cpu(const Tensor& grad, const Tensor& distance, const Tensor& mask,
                                            const Tensor& skeleton, int64_t pool_size, const std::string& backward) {
  check_floating("d2t_backward", "distance", distance);
  check_floating("d2t_backward", "grad", grad);
  check_floating("d2t_backward", "skeleton", skeleton);
  check_mask_dtype("d2t_backward", "mask", mask);
  check_same_shape("d2t_backward", "grad", grad, "distance", distance);
  check_same_shape("d2t_backward", "mask", mask, "distance", distance);
  check_same_shape("d2t_backward", "skeleton", skeleton, "distance", distance);
  const bool literal = backward_mode("d2t_backward", backward) == BackwardMode::kLiteral;
  const Images images = images_of("d2t_backward", "distance", distance);
  const D2tParams p = d2t_params("d2t_backward", images, pool_size);
  const auto type = distance.scalar_type();
  Tensor grad_distance = empty_like_shape(distance, type);
  Tensor grad_mask = empty_like_shape(distance, type);
  if (distance.numel() == 0) return {grad_distance, grad_mask};

  const Tensor g = torch::stable::contiguous(torch::stable::to(grad, type));
  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), type));
  const Tensor t = torch::stable::contiguous(torch::stable::to(skeleton, type));
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    d2t_backward_images(static_cast<const T*>(g.const_data_ptr()), static_cast<const T*>(d.const_data_ptr()),
                        static_cast<const T*>(s.const_data_ptr()), static_cast<const T*>(t.const_data_ptr()),
                        static_cast<T*>(grad_distance.mutable_data_ptr()),
                        static_cast<T*>(grad_mask.mutable_data_ptr()), images.count, p, literal);
  });
  return {grad_distance, grad_mask};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("d2t", TORCH_BOX(&d2t_cpu));
  m.impl("d2t_backward", TORCH_BOX(&d2t_backward_cpu));
}

}  // namespace topo
