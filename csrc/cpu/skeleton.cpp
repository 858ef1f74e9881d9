#include "skeleton.h"

#include "cpu/pages.h"
#include "cpu/skeleton_image.h"

namespace topo {
namespace {

template <typename T, typename Out>
void skeleton_images(const T* mask, Out* skeleton, int64_t count, const SkeletonParams& p) {
  using Real = accumulate_t<Out>;
  InvalidImage invalid;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    SkeletonWorkspace<Real> ws(p);
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * p.pixels();
      Out* target = skeleton + image * p.pixels();
      switch (read_mask(source, p.pixels(), ws.thinning.foreground.data())) {
        case MaskKind::kInvalid:
          invalid.record(image, source, p.pixels());
          break;
        case MaskKind::kBinary:
          if constexpr (std::is_same_v<Out, float>) {
            binary_skeleton(p, ws, target);
          } else {
            binary_skeleton(p, ws, ws.ridges.data());
            const Out values[2] = {static_cast<Out>(0.0f), static_cast<Out>(1.0f)};
            for (int64_t i = 0; i < p.pixels(); ++i) target[i] = values[ws.ridges[i]];
          }
          break;
        case MaskKind::kSoft:
          soft_skeleton(p, source, ws);
          for (int64_t i = 0; i < p.pixels(); ++i) target[i] = static_cast<Out>(ws.skeleton[i]);
          break;
      }
    }
  });
  invalid.check("skeleton", "mask");
}

Tensor skeleton_cpu(const Tensor& mask, std::optional<int64_t> iterations, int64_t pool_size, StringArgument backward) {
  backward_mode("skeleton", backward);
  check_mask_dtype("skeleton", "mask", mask);
  const Images images = images_of("skeleton", "mask", mask);
  const SkeletonParams p = skeleton_params("skeleton", images, iterations, pool_size);
  Tensor skeleton = fresh_like_shape(mask, skeleton_dtype(mask.scalar_type()));
  if (mask.numel() == 0) return skeleton;

  const Tensor source = as_contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    using Out = std::conditional_t<std::is_same_v<T, uint8_t>, float, T>;
    skeleton_images(static_cast<const T*>(source.const_data_ptr()), static_cast<Out*>(skeleton.mutable_data_ptr()),
                    images.count, p);
  });
  return skeleton;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("skeleton", TORCH_BOX(&skeleton_cpu));
}

}  // namespace topo
