// The gradient of s2d for one image on the CPU, for s2d and the fused operators. s2d.h defines both modes.
//
// Subgradient, 3 x 3: what a pixel passes on depends on the next deeper level, so the levels are walked from deep to
// shallow. A pixel gathers what its deeper neighbours hand over and divides the sum among its lower neighbours. The
// levels of neighbours differ by at most 1. Even and odd levels therefore write to two different planes, and the 3 x 3
// window of a pixel in the other plane holds only what deeper pixels hand over. If many pixels carry a gradient, all
// pixels up to the deepest of these are visited, sorted by level. Otherwise the walk visits the pixels that carry a
// gradient and, level by level, those that they reach. Both walks give bitwise equal results. The cost is a few passes
// over the image, which is in cache, and the pixels visited.

#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/s2d_backward_simd.h"
#include "cpu/s2d_thinning.h"

namespace topo {

// Scratch of one thread for images of one size.
template <typename Real>
struct BackwardWorkspace {
  explicit BackwardWorkspace(const S2dParams& p)
      : padded((p.height + 2) * (p.width + 2)),
        depth(padded),
        lower(padded),
        carries(padded),
        flow(padded),
        handed{Buffer<Real>(padded), Buffer<Real>(padded)},
        order(padded + 16),
        here(padded + 16),
        next(padded + 16) {}

  int64_t padded;
  Buffer<uint16_t> depth, lower;
  Buffer<uint8_t> carries;
  Buffer<Real> flow;                   // the incoming gradient; then, on the contour, what stays there
  Buffer<Real> handed[2];              // what a pixel of an even or odd level gives to each of its lower neighbours
  Buffer<uint32_t> order, here, next;  // lists of padded indices
  Buffer<int32_t> ends;                // where the levels end in `order`
  Buffer<Real> a, b;
};

// For every byte: how many of its bits are set, and the index of the first one.
struct BitTable {
  uint8_t count[256] = {}, first[256] = {};

  constexpr BitTable() {
    for (int bits = 1; bits < 256; ++bits) {
      count[bits] = static_cast<uint8_t>(count[bits / 2] + bits % 2);
      first[bits] = static_cast<uint8_t>(bits % 2 ? 0 : first[bits / 2] + 1);
    }
  }
};
constexpr BitTable kLower;

struct PixelList {
  const uint32_t *begin, *end;
};

// Sorts the listed pixels by level into ws.order; the sort is stable. ws.ends[level] is one past the level's last
// pixel.
template <typename Real>
void sort_by_level(const uint16_t* depth, const uint32_t* list, int64_t count, int32_t deepest,
                   BackwardWorkspace<Real>& ws) {
  uint32_t* order = ws.order.data();
  ws.ends.resize(deepest + 2);
  std::fill(ws.ends.begin(), ws.ends.end(), 0);
  int32_t* ends = ws.ends.data();
  for (int64_t k = 0; k < count; ++k) ++ends[depth[list[k]] + 1];
  for (int32_t level = 1; level <= deepest; ++level) ends[level + 1] += ends[level];
  for (int64_t k = 0; k < count; ++k) order[ends[depth[list[k]]]++] = list[k];
}

// The sum that pixel i receives from its deeper neighbours, in a fixed order.
template <typename Real>
Real taken_from(const Real* handed, int64_t stride, int64_t i) {
  const Real *here = handed + i, *a = here - stride, *b = here + stride;
  return ((a[-1] + a[0]) + a[1]) + (here[-1] + here[1]) + ((b[-1] + b[0]) + b[1]);
}

// Divides `total` among the `lower` lower neighbours of a pixel. The contour keeps half, or all next to a filled hole.
template <typename Real>
void hand_over(int32_t level, int32_t lower, Real total, Real* flow, Real* handed) {
  if (level > 1) {
    *handed = total / static_cast<Real>(lower);
  } else {
    *flow = lower ? total / Real(2) : total;
    *handed = lower ? total / static_cast<Real>(2 * lower) : Real(0);
  }
}

// Walks the levels through all pixels in ws.order. Returns the contour.
template <typename Real>
PixelList walk_all(int64_t stride, int32_t deepest, BackwardWorkspace<Real>& ws) {
  const uint32_t* order = ws.order.data();
  const uint16_t* lower = ws.lower.data();
  Real* flow = ws.flow.data();
  for (int32_t level = deepest; level >= 1; --level) {
    const Real* deeper = ws.handed[(level + 1) & 1].data();
    Real* handed = ws.handed[level & 1].data();
    const uint32_t* end = order + ws.ends[level];
    for (const uint32_t* pixel = order + ws.ends[level - 1]; pixel != end; ++pixel) {
      const int64_t i = *pixel;
      hand_over(level, kLower.count[lower[i]], flow[i] + taken_from(deeper, stride, i), flow + i, handed + i);
    }
  }
  return {order, order + ws.ends[1]};
}

// Walks the levels through the pixels of ws.order, which carry a gradient, and those that they reach. Returns the part
// of the contour that is reached.
template <typename Real>
PixelList walk_reached(int64_t stride, int32_t deepest, BackwardWorkspace<Real>& ws) {
  const auto s = static_cast<int32_t>(stride);
  const int32_t around[8] = {-s - 1, -s, -s + 1, -1, 1, s - 1, s, s + 1};
  const uint32_t* order = ws.order.data();
  const uint16_t* lower = ws.lower.data();
  uint8_t* listed = ws.carries.data();
  Real* flow = ws.flow.data();
  uint32_t *here = ws.here.data(), *next = ws.next.data();
  int64_t count = 0;
  for (int32_t level = deepest; level >= 1; --level) {
    const Real* deeper = ws.handed[(level + 1) & 1].data();
    Real* handed = ws.handed[level & 1].data();
    count = std::copy(order + ws.ends[level - 1], order + ws.ends[level], here + count) - here;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t i = here[k];
      hand_over(level, kLower.count[lower[i]], flow[i] + taken_from(deeper, stride, i), flow + i, handed + i);
    }
    if (level == 1) break;
    int64_t found = 0;
    for (int64_t k = 0; k < count; ++k) {
      const uint32_t i = here[k];
      for (uint32_t bits = lower[i]; bits != 0; bits &= bits - 1) {
        const uint32_t n = i + static_cast<uint32_t>(around[kLower.first[bits]]);
        next[found] = n;
        found += !listed[n];
        listed[n] = 1;
      }
    }
    std::swap(here, next);
    count = found;
  }
  return {here, here + count};
}

// The subgradient of one binary image, 3 x 3, from its levels.
template <typename Real>
void route_3x3(const S2dParams& p, const uint16_t* depth, const Real* upstream, BackwardWorkspace<Real>& ws,
               Real* grad) {
  // With a black border, pixels outside the image are lower neighbours of the contour; otherwise of no pixel.
  const uint16_t outside = p.black_border ? 0 : kFar;
  const uint16_t deepest =
      TOPO_SIMD_CALL(start_route, depth, upstream, p.height, p.width, static_cast<uint16_t>(p.iterations + 1), outside,
                     ws.depth.data(), ws.flow.data(), ws.carries.data());
  if (deepest == 0) {
    std::fill(grad, grad + p.pixels(), Real(0));
    return;
  }
  for (auto& plane : ws.handed) std::fill(plane.begin(), plane.end(), Real(0));
  TOPO_SIMD_CALL(find_lower, ws.depth.data(), p.height, p.width, ws.lower.data());
  const int64_t carrying = TOPO_SIMD_CALL(list_marked, ws.carries.data(), ws.padded, ws.here.data());
  const int64_t band = TOPO_SIMD_CALL(list_levels, ws.depth.data(), ws.padded, deepest, ws.next.data());
  const bool most = 3 * carrying > band;  // then the walk through all pixels is faster
  sort_by_level(ws.depth.data(), most ? ws.next.data() : ws.here.data(), most ? band : carrying, deepest, ws);
  const auto walk = most ? walk_all<Real> : walk_reached<Real>;
  const PixelList contour = walk(p.width + 2, deepest, ws);

  // Only the rows of the contour and of the adjacent background have a gradient.
  const auto [first, last] = std::minmax_element(contour.begin, contour.end);
  const int64_t top = std::max<int64_t>(*first / (p.width + 2) - 2, 0);
  const int64_t bottom = std::min<int64_t>(*last / (p.width + 2) + 1, p.height);
  std::fill(grad, grad + top * p.width, Real(0));
  TOPO_SIMD_CALL(finish_route, depth, ws.handed[1].data(), ws.flow.data(), p.width, top, bottom, grad);
  std::fill(grad + bottom * p.width, grad + p.pixels(), Real(0));
}

// The subgradient of one binary image for windows of any size, pixel by pixel.
template <typename Real>
void route_any(const S2dParams& p, const uint16_t* depth, const Real* upstream, BackwardWorkspace<Real>& ws,
               Real* grad) {
  const int64_t n = p.pixels();
  ws.a.resize(n);
  std::fill(ws.a.begin(), ws.a.end(), Real(0));
  std::fill(grad, grad + n, Real(0));
  Real* handed = ws.a.data();
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (depth[i]) ws.here[count++] = static_cast<uint32_t>(i);
  }
  const int32_t deepest = *std::max_element(depth, depth + n);
  sort_by_level(depth, ws.here.data(), count, deepest, ws);
  for (int32_t level = deepest; level >= 1; --level) {
    for (int32_t k = ws.ends[level - 1]; k < ws.ends[level]; ++k) {
      const int64_t i = ws.order[k];
      const auto share = route_share(p, depth, handed, upstream[i], i / p.width, i % p.width);
      handed[i] = share.handed;
      grad[i] = share.kept;
    }
  }
  // The background next to the contour. A pixel with several contour neighbours is computed repeatedly, with the same
  // result.
  for (int32_t k = 0; deepest >= 1 && k < ws.ends[1]; ++k) {
    for_window(p, ws.order[k] / p.width, ws.order[k] % p.width, [&](int64_t i) {
      if (depth[i] == 0) grad[i] = route_taken(p, depth, handed, 1, i / p.width, i % p.width);
    });
  }
}

// The adjoint of the recursion. A step changes only pixels next to a pixel that survives it. The bounding boxes of
// these grow from the last step to the first; outside the box the gradient is still the incoming one.
template <typename Real>
void literal_backward(const S2dParams& p, const uint16_t* survivals, const Real* upstream, BackwardWorkspace<Real>& ws,
                      Real* grad) {
  struct Box {
    int64_t top, bottom, left, right;
  };
  const int64_t n = p.pixels();
  const int32_t longest = *std::max_element(survivals, survivals + n);
  std::vector<Box> boxes(longest + 1, {p.height, -1, p.width, -1});  // [s]: box of the pixels with >= s survivals
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

// ws.depth holds the survivals of a soft image or the levels of a binary one, which the literal mode turns into
// survivals.
template <typename Real>
void thinning_backward(const S2dParams& p, BackwardMode mode, MaskKind kind, const Real* upstream, Workspace<Real>& ws,
                       BackwardWorkspace<Real>& back, Real* grad) {
  if (kind == MaskKind::kBinary && mode == BackwardMode::kSubgradient) {
    const auto route = p.radius == 1 ? route_3x3<Real> : route_any<Real>;
    return route(p, ws.depth.data(), upstream, back, grad);
  }
  if (kind == MaskKind::kBinary) {
    for (int64_t i = 0; i < p.pixels(); ++i) ws.depth[i] = static_cast<uint16_t>(ws.depth[i] - ws.foreground[i]);
  }
  literal_backward(p, ws.depth.data(), upstream, back, grad);
}

}  // namespace topo
