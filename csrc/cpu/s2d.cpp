#include "s2d.h"

#include "cpu/mask.h"
#include "cpu/thinning.h"

namespace topo {
namespace {

template <typename Out>
void write_depth(const uint16_t* depth, int64_t count, Out* out) {
  if constexpr (std::is_same_v<Out, float>) {
    TOPO_SIMD_CALL(write_float, depth, count, out);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<Out>(static_cast<float>(depth[i]));
  }
}

template <typename T, typename Out>
void s2d_images(const T* mask, Out* distance, int64_t count, const S2dParams& p) {
  using Real = accumulate_t<T>;
  InvalidImage invalid;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Workspace<Real> ws(p);
    std::vector<Real> soft;
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * p.pixels();
      Out* target = distance + image * p.pixels();
      switch (read_mask(source, p.pixels(), ws.foreground.data())) {
        case MaskKind::kInvalid:
          invalid.record(image);
          break;
        case MaskKind::kBinary:
          binary_depth(p, ws);
          write_depth(ws.depth.data(), p.pixels(), target);
          break;
        case MaskKind::kSoft:
          soft.resize(p.pixels());
          soft_thinning(p, source, ws, soft.data());
          for (int64_t i = 0; i < p.pixels(); ++i) target[i] = static_cast<Out>(soft[i]);
          break;
      }
    }
  });
  invalid.check("s2d", "mask");
}

Tensor s2d_cpu(const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size, bool black_border,
               bool fill_holes, const std::string& backward, std::optional<ScalarType> out_dtype) {
  check_mask_dtype("s2d", "mask", mask);
  backward_mode("s2d", backward);
  const Images images = images_of("s2d", "mask", mask);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  const ScalarType result = s2d_result_dtype(mask.scalar_type(), out_dtype, p);
  const ScalarType computed = is_floating(mask.scalar_type()) ? mask.scalar_type() : ScalarType::Float;

  // An integer result is cast from float32, which holds every depth exactly.
  const bool direct = result == computed;
  Tensor distance = empty_like_shape(mask, direct                           ? result
                                           : computed == ScalarType::Double ? computed
                                                                            : ScalarType::Float);
  if (mask.numel() == 0) return empty_like_shape(mask, result);

  const Tensor source = torch::stable::contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    dispatch_floating(distance.scalar_type(), [&](auto out_tag) {
      using Out = decltype(out_tag);
      s2d_images(static_cast<const T*>(source.const_data_ptr()), static_cast<Out*>(distance.mutable_data_ptr()),
                 images.count, p);
    });
  });
  return direct ? distance : torch::stable::to(distance, result);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("s2d", TORCH_BOX(&s2d_cpu));
}

}  // namespace topo
