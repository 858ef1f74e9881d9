#include "d2t.h"

#include <algorithm>
#include <atomic>

#include "cpu/buffer.h"
#include "cpu/d2t_ridges.h"
#include "cpu/pages.h"
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
  std::atomic<bool> rounded{false};
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Buffer<Real> line(ridge_lines(image.width, image.radius)), d(held), s(held), t(held);
    for (int64_t offset = begin * n; offset < end * n; offset += n) {
      if constexpr (direct) {
        TOPO_SIMD_CALL(ridges, image, distance + offset, mask + offset, skeleton + offset, line.data());
      } else {
        for (int64_t i = 0; i < n; ++i) {
          d[i] = static_cast<Real>(distance[offset + i]);
          if (may_be_rounded<T>(d[i], p.height, p.width)) rounded = true;
          s[i] = static_cast<Real>(mask[offset + i]);
        }
        TOPO_SIMD_CALL(ridges, image, d.data(), s.data(), t.data(), line.data());
        for (int64_t i = 0; i < n; ++i) skeleton[offset + i] = static_cast<T>(t[i]);
      }
    }
  });
  TOPO_CHECK(!rounded,
             "d2t: distance must be float32 or float64 at this depth, since float16 rounds distances above 2048 and "
             "bfloat16 above 256. Use s2d(mask, out_dtype=torch.float32), or skeleton(mask)");
}

Tensor d2t_cpu(const Tensor& distance, const Tensor& mask, int64_t pool_size, StringArgument backward) {
  backward_mode("d2t", backward);
  check_floating("d2t", "distance", distance);
  check_mask_dtype("d2t", "mask", mask);
  check_same_shape("d2t", "mask", mask, "distance", distance);
  check_same_device("d2t", "mask", mask, "distance", distance);
  const Images images = images_of("d2t", "distance", distance);
  const D2tParams p = d2t_params("d2t", images, pool_size);
  const ScalarType type = distance.scalar_type();
  Tensor skeleton = fresh_like_shape(distance, type);
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

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("d2t", TORCH_BOX(&d2t_cpu));
}

}  // namespace topo
