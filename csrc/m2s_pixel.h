// One face at one pixel, for m2s. Includes only <cstdint>, because cpu/m2s_simd.cpp is compiled once per instruction
// set (cpu/simd.h). `V` is a scalar (CUDA) or a vector of pixels of one row (CPU).

#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define TOPO_PIXEL __host__ __device__ __forceinline__
#else
#define TOPO_PIXEL inline __attribute__((always_inline))
#endif

namespace topo {

// Pixels x0..x1, y0..y1 that a face can reach. Aligned so that CUDA reads it with one instruction.
struct alignas(16) PixelBox {
  int32_t x0, x1, y0, y1;
};

// A face as its three edges, edge k from corner k to corner k + 1, corners in counter-clockwise order
// (x right, y down: cross product positive). All distances are those of the centre of pixel (x0, y0) of the box.
template <typename Real>
struct FaceEdges {
  PixelBox box;
  Real ux[3], uy[3];      // unit direction
  Real height[3];         // signed distance to the line, positive on the inner side
  Real start[3], end[3];  // along the direction, from corner k and from corner k + 1
  Real inv_length[3];
  bool flipped;  // corners 1 and 2 were exchanged
};

// The falloff of coverage with the signed squared distance d: e = exp(-d / sigma), 0 from `blur` on.
template <typename Real>
struct Falloff {
  Real exponent_scale;  // -log2(e) / sigma
  Real blur;
  Real saturated;  // 1 / (1 - A) above which a pixel counts as covered
};

// A pixel centre whose squared distance to a face is below this counts as inside the face. It is not 0, so that
// rounding cannot leave a centre on the edge between two faces uncovered.
constexpr double kTouching = 1e-12;

template <typename V>
TOPO_PIXEL V least(V a, V b) {
  return a < b ? a : b;
}

template <typename V>
TOPO_PIXEL V greatest(V a, V b) {
  return a > b ? a : b;
}

// Edge k as seen from the pixel at (dx, dy) relative to the box's corner.
template <typename V>
struct EdgeView {
  V height;  // signed distance to the line
  V along;   // from corner k, along the edge
  V past;    // how far beyond its ends: negative before corner k, positive after corner k + 1
};

template <typename V, typename Real>
TOPO_PIXEL EdgeView<V> view_edge(const FaceEdges<Real>& face, int k, V dx, V dy) {
  // Terms that depend on dx alone come first: the CPU walks down columns and computes them once.
  const V along = (dx * face.ux[k] + face.start[k]) + dy * face.uy[k];
  const V end = (dx * face.ux[k] + face.end[k]) + dy * face.uy[k];
  const V height = (face.height[k] - dx * face.uy[k]) + dy * face.ux[k];
  return {height, along, least(along, V{}) + greatest(end, V{})};
}

template <typename V>
TOPO_PIXEL V squared_distance(const EdgeView<V>& edge) {
  return edge.height * edge.height + edge.past * edge.past;
}

// Signed squared distance to the face, negative inside.
template <typename V, typename Real>
TOPO_PIXEL V signed_distance(const FaceEdges<Real>& face, V dx, V dy) {
  const EdgeView<V> a = view_edge(face, 0, dx, dy), b = view_edge(face, 1, dx, dy), c = view_edge(face, 2, dx, dy);
  const V nearest = least(least(squared_distance(a), squared_distance(b)), squared_distance(c));
  const V inner = least(least(a.height, b.height), c.height);
  return inner >= V{} ? -nearest : nearest;
}

// The nearest point of the outline, for the backward pass: the corner weights of that point, and the vector from
// it to the pixel times the sign of the distance.
template <typename V>
struct Nearest {
  V distance;   // signed, squared
  V weight[3];  // of the corners
  V x, y;
};

template <typename V, typename Real>
TOPO_PIXEL Nearest<V> nearest_point(const FaceEdges<Real>& face, V dx, V dy) {
  const EdgeView<V> first = view_edge(face, 0, dx, dy);
  V distance = squared_distance(first), inner = first.height;
  V height = first.height, past = first.past, t = first.along * face.inv_length[0];
  V ux = V{} + face.ux[0], uy = V{} + face.uy[0], edge = V{};
  for (int k = 1; k < 3; ++k) {
    const EdgeView<V> view = view_edge(face, k, dx, dy);
    const V here = squared_distance(view);
    const auto nearer = here < distance;
    distance = nearer ? here : distance;
    height = nearer ? view.height : height;
    past = nearer ? view.past : past;
    t = nearer ? view.along * face.inv_length[k] : t;
    ux = nearer ? V{} + face.ux[k] : ux;
    uy = nearer ? V{} + face.uy[k] : uy;
    edge = nearer ? V{} + Real(k) : edge;
    inner = least(inner, view.height);
  }
  const V one = V{} + Real(1);
  t = least(greatest(t, V{}), one);
  const V sign = inner >= V{} ? -one : one;
  const V rest = one - t;
  Nearest<V> result;
  result.distance = sign * distance;
  result.weight[0] = edge == V{} ? rest : (edge == one ? V{} : t);
  result.weight[1] = edge == V{} ? t : (edge == one ? rest : V{});
  result.weight[2] = one - result.weight[0] - result.weight[1];
  result.x = sign * (past * ux - height * uy);
  result.y = sign * (past * uy + height * ux);
  return result;
}

}  // namespace topo
