#include "s2d.h"

#include "cpu/mask.h"
#include "cpu/pages.h"
#include "cpu/s2d_thinning.h"

namespace topo {
namespace {

// Writes depths in the result's dtype. Half-precision types have no conversion instruction, so their values come from a
// table that is made once per thread.
template <typename Out>
class DepthWriter {
 public:
  explicit DepthWriter(const S2dParams& p) {
    if constexpr (kTable) {
      table_.resize(p.iterations + 2);
      for (size_t i = 0; i < table_.size(); ++i) table_[i] = static_cast<Out>(static_cast<float>(i));
    }
  }
  void write(const uint16_t* depth, int64_t count, Out* out) const {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (kTable) {
        out[i] = table_[depth[i]];
      } else {
        out[i] = static_cast<Out>(depth[i]);
      }
    }
  }

 private:
  static constexpr bool kTable = std::is_same_v<Out, Half> || std::is_same_v<Out, BFloat16>;
  std::vector<Out> table_;
};

template <typename T, typename Out>
void s2d_images(const T* mask, Out* distance, int64_t count, const S2dParams& p) {
  using Real = accumulate_t<T>;
  // The sweeps read and write these types themselves, so the mask goes to the map in one pass.
  constexpr bool direct = (std::is_same_v<T, float> || std::is_same_v<T, uint8_t>) && std::is_same_v<Out, float>;
  InvalidImage invalid;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Workspace<Real> ws(p);
    const DepthWriter<Out> writer(p);
    Buffer<Real> soft;
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * p.pixels();
      Out* target = distance + image * p.pixels();
      if constexpr (direct) {
        const bool chessboard = p.radius == 1 && !p.fill_holes;
        if (chessboard && TOPO_SIMD_CALL(chessboard_distance, chessboard_of(p), source, target, ws.bytes.data())) {
          continue;
        }
      }
      switch (read_mask(source, p.pixels(), ws.foreground.data())) {
        case MaskKind::kInvalid:
          invalid.record(image, source, p.pixels());
          break;
        case MaskKind::kBinary:
          binary_depth(p, ws);
          writer.write(ws.depth.data(), p.pixels(), target);
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

template <typename Body>
void dispatch_result(ScalarType type, Body&& body) {
  switch (type) {
    case ScalarType::Byte:
      return body(uint8_t{});
    case ScalarType::Short:
      return body(int16_t{});
    case ScalarType::Int:
      return body(int32_t{});
    default:
      return dispatch_floating(type, body);
  }
}

Tensor s2d_cpu(const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size, bool black_border,
               bool fill_holes, StringArgument backward, std::optional<ScalarType> out_dtype) {
  backward_mode("s2d", backward);
  check_mask_dtype("s2d", "mask", mask);
  const Images images = images_of("s2d", "mask", mask);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  const ScalarType result = s2d_result_dtype(mask.scalar_type(), out_dtype, p);
  Tensor distance = fresh_like_shape(mask, result);
  if (mask.numel() == 0) return distance;

  const Tensor source = as_contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    dispatch_result(result, [&](auto out_tag) {
      s2d_images(static_cast<const decltype(tag)*>(source.const_data_ptr()),
                 static_cast<decltype(out_tag)*>(distance.mutable_data_ptr()), images.count, p);
    });
  });
  return distance;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("s2d", TORCH_BOX(&s2d_cpu));
}

}  // namespace topo
