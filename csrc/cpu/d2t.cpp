#include "d2t.h"

#include "dtypes.h"

namespace topo {
namespace {

template <typename T>
void d2t_images(const T* distance, const T* mask, T* skeleton, int64_t count, const D2tParams& p) {
  using Real = accumulate_t<T>;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const int64_t offset = image * p.pixels();
      for (int64_t y = 0; y < p.height; ++y) {
        for (int64_t x = 0; x < p.width; ++x) {
          const int64_t i = y * p.width + x;
          const Real inside = static_cast<Real>(mask[offset + i]);
          skeleton[offset + i] =
              inside == Real(0) ? T(0) : static_cast<T>(skeleton_pixel<Real>(p, distance + offset, inside, y, x));
        }
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
  Tensor skeleton = empty_like_shape(distance, distance.scalar_type());
  if (distance.numel() == 0) return skeleton;

  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(torch::stable::to(foreground_bool(mask), distance.scalar_type()));
  dispatch_floating(distance.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    d2t_images(static_cast<const T*>(d.const_data_ptr()), static_cast<const T*>(s.const_data_ptr()),
               static_cast<T*>(skeleton.mutable_data_ptr()), images.count, p);
  });
  return skeleton;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("d2t", TORCH_BOX(&d2t_cpu));
}

}  // namespace topo
