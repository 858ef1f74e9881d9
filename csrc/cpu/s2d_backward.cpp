#include <algorithm>

#include "cpu/mask.h"
#include "cpu/thinning.h"
#include "s2d.h"

namespace topo {
namespace {

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
  m.impl("s2d_backward", TORCH_BOX(&s2d_backward_cpu));
}

}  // namespace topo
