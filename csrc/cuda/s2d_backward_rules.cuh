// The two gradients of s2d (s2d.h) for one image, by one block that walks its levels (s2d_backward_walk.cuh):
//   route      the subgradient. A pixel adds what its deeper neighbours hand over and divides the sum among its lower
//              neighbours. What a pixel hands over is stored in the result's plane, since only levels 0 and 1 keep
//              anything in the end.
//   adjoint    the exact gradient. Step i of the recursion reaches only pixels that survive i - 1 steps, which are a
//              prefix of the same list, so the work is proportional to the depths of the pixels.

#pragma once

#include "cuda/s2d_backward_walk.cuh"

namespace topo {
namespace {

// ---- route ----

// The subgradient of a binary image from its levels; upstream(i) is dL/dD at pixel i. `flow` becomes the result. It may
// be the array that `upstream` reads, since a pixel is read for the last time before it is written.
template <typename Plane, typename Real, typename Upstream>
__device__ void route_image(const S2dParams& p, const Plane& plane, const LevelList<typename Plane::Entry>& list,
                            const Upstream& upstream, Real* flow) {
  const int32_t width = plane.width;
  LevelWalk<Plane> walk(plane, list);
  walk.clear(deepest_level(p));
  int32_t deepest = 0;  // the deepest level with a gradient; deeper ones need no visit
  for_pixels(plane.height, width, [&](int32_t y, int32_t x) {
    const int32_t level = plane.at(y, x);
    if (level == 0 || level > p.iterations) return;
    walk.count(level);
    // Read for every pixel, which also brings the gradient into the cache.
    if (upstream(y * width + x) != Real(0) && level > deepest) deepest = level;
  });
  deepest = block_max(deepest);

  walk.run(deepest, [&](int32_t y, int32_t x, int32_t level) {
    const int32_t above = level < deepest ? level + 1 : -1;
    int32_t lower = level == 1 && p.black_border ? static_cast<int32_t>(outside_count(p, y, x)) : 0;
    Real total = upstream(y * width + x);
    plane.around(y, x, [&](int32_t there, int32_t v, int32_t u) {
      lower += there == level - 1;
      total += there == above ? flow[v * width + u] : Real(0);
    });
    if (level == 1) lower *= 2;                                              // half stays on the pixel
    flow[y * width + x] = lower ? total / static_cast<Real>(lower) : total;  // next to a filled hole, all stays
  });

  for_pixels(plane.height, width, [&](int32_t y, int32_t x) {
    if (deepest == 0 || plane.at(y, x) != 1) flow[y * width + x] = Real(0);
  });
  __syncthreads();
  if (deepest == 0) return;
  // Background pixels receive from the contour. The first contour pixel in the window of one computes its sum.
  walk.visit_level(1, [&](int32_t y, int32_t x) {
    plane.around(y, x, [&](int32_t there, int32_t v, int32_t u) {
      if (there != 0) return;
      int32_t first = -1;
      Real sum = Real(0);
      plane.around(v, u, [&](int32_t level, int32_t b, int32_t a) {
        if (level != 1) return;
        if (first < 0) first = b * width + a;
        sum += flow[b * width + a];
      });
      if (first == y * width + x) flow[v * width + u] = sum;
    });
  });
  __syncthreads();
  walk.visit_level(1, [&](int32_t y, int32_t x) {
    int32_t lower = p.black_border ? static_cast<int32_t>(outside_count(p, y, x)) : 0;
    plane.around(y, x, [&](int32_t there, int32_t, int32_t) { lower += there == 0; });
    if (lower) flow[y * width + x] *= static_cast<Real>(lower);
  });
  __syncthreads();
}

// ---- adjoint ----

// The exact gradient from the survivals (s2d.h). The list must hold every pixel; `a` and `b` are scratch planes.
template <typename Plane, typename Real, typename Upstream>
__device__ void adjoint_image(const S2dParams& p, const Plane& survivals, const LevelList<typename Plane::Entry>& list,
                              const Upstream& upstream, Real* a, Real* b, Real* grad) {
  const int32_t width = survivals.width;
  LevelWalk<Plane> walk(survivals, list);
  walk.clear(p.iterations);
  int32_t longest = 0;
  for_pixels(survivals.height, width, [&](int32_t y, int32_t x) {
    const int32_t steps = survivals.at(y, x);
    if (steps) walk.count(steps);
    longest = steps > longest ? steps : longest;
  });
  longest = block_max(longest);

  // The gradient at a pixel after `step`; `deeper` is valid at pixels that survive more steps.
  const auto gather = [&](const Real* deeper, int32_t step, int32_t y, int32_t x) {
    Real sum = upstream(y * width + x);
    if (!p.fill_holes && survivals.at(y, x) > step) sum += deeper[y * width + x];
    survivals.around(y, x, [&](int32_t steps, int32_t v, int32_t u) {
      if (steps > step) sum += deeper[v * width + u];
    });
    return sum;
  };
  walk.sort(longest);
  if (longest > 0) {  // otherwise sort() has written no list
    walk.visit_down_to(longest, [&](int32_t y, int32_t x) { a[y * width + x] = upstream(y * width + x); });
  }
  __syncthreads();
  for (int32_t step = longest - 1; step >= 1; --step) {
    walk.visit_down_to(step, [&](int32_t y, int32_t x) { b[y * width + x] = gather(a, step, y, x); });
    __syncthreads();
    Real* swap = a;
    a = b;
    b = swap;
  }
  for_pixels(survivals.height, width, [&](int32_t y, int32_t x) { grad[y * width + x] = gather(a, 0, y, x); });
  __syncthreads();
}

}  // namespace
}  // namespace topo
