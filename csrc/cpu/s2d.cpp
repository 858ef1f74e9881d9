#include "s2d.h"

#include <algorithm>
#include <memory>

#include "cpu/mask.h"
#include "cpu/s2d_simd.h"

namespace topo {
namespace {

// Memory that is written before it is read: clearing it would take longer than the sweeps.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : data_(new T[count]), count_(count) {}
  T* data() {
    return data_.get();
  }
  T* begin() {
    return data();
  }
  T* end() {
    return data() + count_;
  }
  T& operator[](int64_t i) {
    return data_[i];
  }

 private:
  std::unique_ptr<T[]> data_;
  int64_t count_;
};

// Scratch of one thread for images of one size.
template <typename Real>
struct Workspace {
  explicit Workspace(const S2dParams& p)
      : foreground(p.pixels()), depth(p.pixels()), bytes(chessboard_scratch(p.height, p.width)) {}

  Buffer<uint8_t> foreground;
  Buffer<uint16_t> depth;  // d, then D (binary images) or survivals (literal backward)
  Buffer<uint8_t> bytes;
  // Taken only by soft images and backwards.
  std::vector<Real> a, b;
  std::vector<uint32_t> order;
  std::vector<int32_t> ends;
};

// Binary image: D into ws.depth.
template <typename Real>
void binary_depth(const S2dParams& p, Workspace<Real>& ws) {
  TOPO_SIMD_CALL(chessboard_distance, ws.foreground.data(), p.height, p.width, p.black_border, ws.depth.data(),
                 ws.bytes.data());
  if (p.radius == 1) {
    TOPO_SIMD_CALL(cap_depth, ws.depth.data(), p.pixels(), static_cast<uint16_t>(p.iterations + 1));
  } else {
    for (auto& d : ws.depth) d = static_cast<uint16_t>(thinning_depth(p, d));
  }
  if (!p.fill_holes) return;
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      if (is_filled_hole(p, ws.foreground.data(), y, x)) ws.depth[y * p.width + x] = 1;
    }
  }
}

// Soft image: D into `out` (may be null), survivals into ws.depth.
template <typename Real, typename T>
void soft_thinning(const S2dParams& p, const T* mask, Workspace<Real>& ws, Real* out) {
  const int64_t n = p.pixels();
  ws.a.resize(n);
  ws.b.resize(n);
  std::fill(ws.depth.begin(), ws.depth.end(), uint16_t(0));
  for (int64_t i = 0; i < n; ++i) ws.a[i] = static_cast<Real>(mask[i]);
  if (out) std::copy(ws.a.begin(), ws.a.end(), out);
  bool alive = true;
  for (int32_t step = 0; step < p.iterations && alive; ++step) {
    alive = false;
    for (int64_t y = 0; y < p.height; ++y) {
      for (int64_t x = 0; x < p.width; ++x) {
        const int64_t i = y * p.width + x;
        const Real value = thin_pixel(p, ws.a.data(), y, x);
        ws.b[i] = value;
        if (value > 0) {
          alive = true;
          ++ws.depth[i];
          if (out) out[i] += value;
        }
      }
    }
    ws.a.swap(ws.b);
  }
}

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

// Binary image: the shortest-path subgradient, levels of D from deep to shallow.
template <typename Real>
void route_backward(const S2dParams& p, const Real* upstream, Workspace<Real>& ws, Real* grad) {
  const int64_t n = p.pixels();
  const uint16_t* depth = ws.depth.data();
  ws.a.assign(n, Real(0));
  Real* handed = ws.a.data();
  std::fill(grad, grad + n, Real(0));

  // Foreground pixels in the order of their level (counting sort), as y << 16 | x.
  const int32_t deepest = *std::max_element(ws.depth.begin(), ws.depth.end());
  ws.ends.assign(deepest + 2, 0);
  ws.order.resize(n);
  for (int64_t i = 0; i < n; ++i) ++ws.ends[depth[i] + 1];
  ws.ends[1] = 0;  // background is not listed
  for (int32_t level = 1; level <= deepest; ++level) ws.ends[level + 1] += ws.ends[level];
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      const uint16_t level = depth[y * p.width + x];
      if (level) ws.order[ws.ends[level]++] = static_cast<uint32_t>(y << 16 | x);
    }
  }
  // ends[level] is now one past the last pixel of that level.
  for (int32_t level = deepest; level >= 1; --level) {
    for (int32_t k = level > 1 ? ws.ends[level - 1] : 0; k < ws.ends[level]; ++k) {
      const int64_t y = ws.order[k] >> 16, x = ws.order[k] & 0xFFFF, i = y * p.width + x;
      const auto share = route_share(p, depth, handed, upstream[i], y, x);
      handed[i] = share.handed;
      grad[i] = share.kept;
    }
  }
  // Background beside the contour; what has several contour neighbours is computed again, to the same value.
  for (int32_t k = 0; deepest >= 1 && k < ws.ends[1]; ++k) {
    const int64_t cy = ws.order[k] >> 16, cx = ws.order[k] & 0xFFFF;
    for (int64_t y = std::max<int64_t>(0, cy - p.radius); y <= std::min(p.height - 1, cy + p.radius); ++y) {
      for (int64_t x = std::max<int64_t>(0, cx - p.radius); x <= std::min(p.width - 1, cx + p.radius); ++x) {
        if (depth[y * p.width + x] == 0) grad[y * p.width + x] = route_taken(p, depth, handed, 1, y, x);
      }
    }
  }
}

// The adjoint of the recursion; ws.depth holds the survivals.
template <typename Real>
void literal_backward(const S2dParams& p, const Real* upstream, Workspace<Real>& ws, Real* grad) {
  const int64_t n = p.pixels();
  const int32_t longest = *std::max_element(ws.depth.begin(), ws.depth.end());
  ws.a.assign(upstream, upstream + n);
  ws.b.resize(n);
  for (int32_t step = longest - 1; step >= 0; --step) {
    for (int64_t y = 0; y < p.height; ++y) {
      for (int64_t x = 0; x < p.width; ++x) {
        ws.b[y * p.width + x] = literal_pixel(p, upstream, ws.a.data(), ws.depth.data(), step, y, x);
      }
    }
    ws.a.swap(ws.b);
  }
  std::copy(ws.a.begin(), ws.a.end(), grad);
}

template <typename T>
void s2d_backward_images(const T* grad, const T* mask, T* grad_mask, int64_t count, const S2dParams& p,
                         BackwardMode mode) {
  using Real = accumulate_t<T>;
  InvalidImage invalid;
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    Workspace<Real> ws(p);
    std::vector<Real> upstream(p.pixels()), result(p.pixels());
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * p.pixels();
      for (int64_t i = 0; i < p.pixels(); ++i) upstream[i] = static_cast<Real>(grad[image * p.pixels() + i]);
      const MaskKind kind = read_mask(source, p.pixels(), ws.foreground.data());
      if (kind == MaskKind::kInvalid) {
        invalid.record(image);
        continue;
      }
      if (kind == MaskKind::kSoft) {
        soft_thinning<Real>(p, source, ws, nullptr);
        literal_backward(p, upstream.data(), ws, result.data());
      } else {
        binary_depth(p, ws);
        if (mode == BackwardMode::kSubgradient) {
          route_backward(p, upstream.data(), ws, result.data());
        } else {
          for (int64_t i = 0; i < p.pixels(); ++i) ws.depth[i] -= ws.foreground[i];  // D - S: survivals
          literal_backward(p, upstream.data(), ws, result.data());
        }
      }
      for (int64_t i = 0; i < p.pixels(); ++i) grad_mask[image * p.pixels() + i] = static_cast<T>(result[i]);
    }
  });
  invalid.check("s2d_backward", "mask");
}

Tensor s2d_backward_cpu(const Tensor& grad, const Tensor& mask, std::optional<int64_t> iterations, int64_t kernel_size,
                        bool black_border, bool fill_holes, const std::string& backward) {
  check_floating("s2d_backward", "mask", mask);
  check_floating("s2d_backward", "grad", grad);
  check_same_shape("s2d_backward", "grad", grad, "mask", mask);
  const BackwardMode mode = backward_mode("s2d_backward", backward);
  const Images images = images_of("s2d_backward", "mask", mask);
  const S2dParams p = s2d_params(images, iterations, kernel_size, black_border, fill_holes);
  Tensor grad_mask = empty_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return grad_mask;

  const Tensor source = torch::stable::contiguous(mask);
  const Tensor upstream = torch::stable::contiguous(torch::stable::to(grad, mask.scalar_type()));
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
  m.impl("s2d", TORCH_BOX(&s2d_cpu));
  m.impl("s2d_backward", TORCH_BOX(&s2d_backward_cpu));
}

}  // namespace topo
