// The gradient of s2d for one image on the CPU, for s2d and the fused operators. The two rules are in s2d.h.
//
// Subgradient, 3 x 3: what a pixel passes on depends on the next deeper level, so the levels are walked from deep to
// shallow; a pixel gathers what its deeper neighbours hand over and divides it among its lower ones. Neighbours'
// levels differ by 1 at most: where the levels hand over through two planes in turn, the other plane holds, around a
// pixel, what deeper pixels hand over and nothing else. Where most pixels carry a gradient, all are visited, sorted
// by level; elsewhere those that carry one and, level by level, those that they reach. Both sum in the same order.

#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/s2d_backward_simd.h"
#include "cpu/thinning.h"

namespace topo {

// Scratch of one thread for images of one size.
template <typename Real>
struct BackwardWorkspace {
  explicit BackwardWorkspace(const S2dParams& p)
      : padded((p.height + 2) * (p.width + 2)),
        depth(padded),
        lower(padded),
        marked(padded),
        even(padded),
        odd(padded),
        order(p.pixels() + 1),
        here(p.pixels() + 8),
        next(p.pixels() + 8) {}

  int64_t padded;
  Buffer<uint16_t> depth, lower;
  Buffer<uint8_t> marked;
  Buffer<Real> even, odd;              // what pixels of even and odd levels hand over
  Buffer<uint32_t> order, here, next;  // lists of pixels, as y << 16 | x
  std::vector<int32_t> ends;           // of the levels in `order`
  std::vector<Real> a, b;
};

// The subgradient of one binary image, 3 x 3, from its levels.
template <typename Real>
class Route {
 public:
  Route(const S2dParams& p, const uint16_t* depth, const Real* upstream, BackwardWorkspace<Real>& ws, Real* grad)
      : p_(p), stride_(p.width + 2), depth_(depth), upstream_(upstream), ws_(ws), grad_(grad) {}

  void run() {
    std::fill(grad_, grad_ + p_.pixels(), Real(0));
    const auto saturated = static_cast<uint16_t>(p_.iterations + 1);
    const int64_t inside = TOPO_SIMD_CALL(mark_inside, depth_, p_.height, p_.width, saturated, ws_.marked.data());
    if (inside == 0) return;
    const int64_t carrying = TOPO_SIMD_CALL(keep_nonzero, upstream_, p_.height, p_.width, ws_.marked.data());
    if (carrying == 0) return;
    const bool most = carrying > inside / 2;
    if (most) TOPO_SIMD_CALL(mark_inside, depth_, p_.height, p_.width, saturated, ws_.marked.data());

    // Outside pixels are lower neighbours of the contour with a black border; else they are nobody's.
    TOPO_SIMD_CALL(pad_depth, depth_, p_.height, p_.width, p_.black_border ? uint16_t(0) : kFar, ws_.depth.data());
    std::fill(ws_.even.begin(), ws_.even.end(), Real(0));
    std::fill(ws_.odd.begin(), ws_.odd.end(), Real(0));
    sort_marked(most ? inside : carrying);
    if (most) {
      walk_all();
    } else {
      walk_reached();
    }
    if (top_ > bottom_) return;
    TOPO_SIMD_CALL(take_background, depth_, ws_.odd.data(), p_.width, std::max<int64_t>(top_ - 1, 0),
                   std::min(bottom_ + 2, p_.height), std::max<int64_t>(left_ - 1, 0), std::min(right_ + 2, p_.width),
                   grad_);
  }

 private:
  int64_t padded_index(uint32_t pixel) const {
    return (static_cast<int64_t>(pixel >> 16) + 1) * stride_ + (pixel & 0xFFFF) + 1;
  }

  // The marked pixels into ws.order, by level, in raster order within each.
  void sort_marked(int64_t count) {
    uint32_t* list = ws_.here.data();
    for (int64_t y = 0; y < p_.height; ++y) {
      const uint8_t* row = ws_.marked.data() + (y + 1) * stride_ + 1;
      for (int64_t x = 0; x < p_.width; ++x) {
        *list = static_cast<uint32_t>(y << 16 | x);
        list += row[x];
      }
    }
    ws_.ends.assign(2, 0);
    deepest_ = 0;
    for (int64_t k = 0; k < count; ++k) {
      const int32_t level = ws_.depth[padded_index(ws_.here[k])];
      if (level > deepest_) {
        deepest_ = level;
        ws_.ends.resize(level + 2, 0);
      }
      ++ws_.ends[level + 1];
    }
    for (int32_t level = 1; level <= deepest_; ++level) ws_.ends[level + 1] += ws_.ends[level];
    // ends[level] moves from the first pixel of its level to one past the last.
    for (int64_t k = 0; k < count; ++k) {
      const uint32_t pixel = ws_.here[k];
      ws_.order[ws_.ends[ws_.depth[padded_index(pixel)]]++] = pixel;
    }
  }

  void walk_all() {
    TOPO_SIMD_CALL(count_lower, ws_.depth.data(), p_.height, p_.width, ws_.lower.data());
    for (int32_t level = deepest_; level >= 1; --level) {
      for (int32_t k = ws_.ends[level - 1]; k < ws_.ends[level]; ++k) {
        const uint32_t pixel = ws_.order[k];
        hand_over(level, pixel, total(level, pixel), ws_.lower[padded_index(pixel)]);
      }
    }
  }

  void walk_reached() {
    const int64_t around[8] = {-stride_ - 1, -stride_, -stride_ + 1, -1, 1, stride_ - 1, stride_, stride_ + 1};
    const int32_t step[8] = {-65537, -65536, -65535, -1, 1, 65535, 65536, 65537};  // the same in y << 16 | x
    uint32_t *here = ws_.here.data(), *next = ws_.next.data();
    int64_t here_count = 0;
    for (int32_t level = deepest_; level >= 1; --level) {
      const uint32_t* order = ws_.order.data();
      here_count = std::copy(order + ws_.ends[level - 1], order + ws_.ends[level], here + here_count) - here;
      int64_t next_count = 0;
      for (int64_t k = 0; k < here_count; ++k) {
        const uint32_t pixel = here[k];
        const Real sum = total(level, pixel);
        if (sum == Real(0)) continue;
        const int64_t i = padded_index(pixel);
        int32_t lower = 0;
        for (int n = 0; n < 8; ++n) {
          const bool is_lower = ws_.depth[i + around[n]] == level - 1;
          lower += is_lower;
          uint8_t& marked = ws_.marked[i + around[n]];
          next[next_count] = pixel + static_cast<uint32_t>(step[n]);
          next_count += is_lower & !marked;
          marked |= is_lower;
        }
        hand_over(level, pixel, sum, lower);
      }
      std::swap(here, next);
      here_count = next_count;
    }
  }

  // What arrives at a pixel.
  Real total(int32_t level, uint32_t pixel) {
    const Real* deeper = (level & 1 ? ws_.even.data() : ws_.odd.data()) + padded_index(pixel);
    const Real *a = deeper - stride_, *b = deeper + stride_;
    const Real taken = ((a[-1] + a[0]) + a[1]) + (deeper[-1] + deeper[1]) + ((b[-1] + b[0]) + b[1]);
    return upstream_[(pixel >> 16) * p_.width + (pixel & 0xFFFF)] + taken;
  }

  void hand_over(int32_t level, uint32_t pixel, Real sum, int32_t lower) {
    const int64_t i = padded_index(pixel);
    if (level > 1) {
      (level & 1 ? ws_.odd : ws_.even)[i] = sum / static_cast<Real>(lower);
      return;
    }
    // The contour keeps half; beside a filled hole only, all.
    const int64_t y = pixel >> 16, x = pixel & 0xFFFF;
    grad_[y * p_.width + x] = lower ? sum / Real(2) : sum;
    if (lower) ws_.odd[i] = sum / static_cast<Real>(2 * lower);
    top_ = std::min(top_, y), bottom_ = std::max(bottom_, y);
    left_ = std::min(left_, x), right_ = std::max(right_, x);
  }

  const S2dParams& p_;
  const int64_t stride_;
  const uint16_t* depth_;
  const Real* upstream_;
  BackwardWorkspace<Real>& ws_;
  Real* grad_;
  int32_t deepest_ = 0;
  // The box of the contour pixels visited.
  int64_t top_ = 32768, bottom_ = -1, left_ = 32768, right_ = -1;
};

// The subgradient of one binary image, any window.
template <typename Real>
void route_backward(const S2dParams& p, const uint16_t* depth, const Real* upstream, BackwardWorkspace<Real>& ws,
                    Real* grad) {
  if (p.radius == 1) return Route<Real>(p, depth, upstream, ws, grad).run();
  const int64_t n = p.pixels();
  ws.a.assign(n, Real(0));
  Real* handed = ws.a.data();
  const int32_t deepest = *std::max_element(depth, depth + n);
  for (int32_t level = deepest; level >= 0; --level) {
    for (int64_t y = 0; y < p.height; ++y) {
      for (int64_t x = 0; x < p.width; ++x) {
        const int64_t i = y * p.width + x;
        if (depth[i] != level) continue;
        if (level == 0) {
          grad[i] = route_taken(p, depth, handed, 1, y, x);
          continue;
        }
        const auto share = route_share(p, depth, handed, upstream[i], y, x);
        handed[i] = share.handed;
        grad[i] = share.kept;
      }
    }
  }
}

// The adjoint of the recursion. A step changes only pixels beside one that survives it: their boxes grow from the
// last step to the first, and outside of them the gradient is still what came in.
template <typename Real>
void literal_backward(const S2dParams& p, const uint16_t* survivals, const Real* upstream, BackwardWorkspace<Real>& ws,
                      Real* grad) {
  struct Box {
    int64_t top, bottom, left, right;
  };
  const int64_t n = p.pixels();
  const int32_t longest = *std::max_element(survivals, survivals + n);
  std::vector<Box> boxes(longest + 1, {p.height, -1, p.width, -1});  // [s]: of the pixels with s survivals or more
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      Box& box = boxes[survivals[y * p.width + x]];
      box = {std::min(box.top, y), std::max(box.bottom, y), std::min(box.left, x), std::max(box.right, x)};
    }
  }
  for (int32_t s = longest - 1; s > 0; --s) {
    const Box inner = boxes[s + 1];
    Box& box = boxes[s];
    box = {std::min(box.top, inner.top), std::max(box.bottom, inner.bottom), std::min(box.left, inner.left),
           std::max(box.right, inner.right)};
  }
  ws.a.assign(upstream, upstream + n);
  ws.b.assign(upstream, upstream + n);
  for (int32_t step = longest - 1; step >= 0; --step) {
    const Box& box = boxes[step + 1];
    const int64_t bottom = std::min(box.bottom + p.radius, p.height - 1);
    const int64_t right = std::min(box.right + p.radius, p.width - 1);
    for (int64_t y = std::max<int64_t>(box.top - p.radius, 0); y <= bottom; ++y) {
      for (int64_t x = std::max<int64_t>(box.left - p.radius, 0); x <= right; ++x) {
        ws.b[y * p.width + x] = literal_pixel(p, upstream, ws.a.data(), survivals, step, y, x);
      }
    }
    ws.a.swap(ws.b);
  }
  std::copy(ws.a.begin(), ws.a.end(), grad);
}

// Soft image: ws.depth holds its survivals. Binary: its levels, which the literal rule turns into survivals.
template <typename Real>
void thinning_backward(const S2dParams& p, BackwardMode mode, MaskKind kind, const Real* upstream, Workspace<Real>& ws,
                       BackwardWorkspace<Real>& back, Real* grad) {
  if (kind == MaskKind::kBinary && mode == BackwardMode::kSubgradient) {
    return route_backward(p, ws.depth.data(), upstream, back, grad);
  }
  if (kind == MaskKind::kBinary) {
    for (int64_t i = 0; i < p.pixels(); ++i) ws.depth[i] = static_cast<uint16_t>(ws.depth[i] - ws.foreground[i]);
  }
  literal_backward(p, ws.depth.data(), upstream, back, grad);
}

}  // namespace topo
