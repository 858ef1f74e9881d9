// Runs the CUDA kernels of m2s and rasterize on the host and compares them with brute force: every face at every pixel,
// in double. Prints differences; the exit code is 1 if there are any.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "cuda/m2s_kernels.cuh"
#include "cuda/rasterize_kernels.cuh"

namespace topo {
namespace {

using Values = std::vector<double>;

constexpr unsigned int kThreads = 64;  // tiles of 16 x 4
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::mt19937 generator(0);
int failures = 0;

double uniform(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(generator);
}

int64_t below(int64_t limit) {
  return static_cast<int64_t>(generator() % static_cast<uint64_t>(limit));
}

void expect_near(const std::string& what, const Values& actual, const Values& expected, double tolerance) {
  double scale = 1, worst = 0;
  for (double value : expected) scale = std::max(scale, std::isfinite(value) ? std::abs(value) : 0);
  bool same = actual.size() == expected.size();
  for (size_t i = 0; same && i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    worst = std::max(worst, std::abs(actual[i] - expected[i]) / scale);
    same = std::isfinite(actual[i]);
  }
  if (same && worst <= tolerance) return;
  std::printf("%s: differs by %g of the largest value\n", what.c_str(), worst);
  ++failures;
}

struct Scene {
  M2sParams p;
  Values vertices;             // (B, V, components), rounded to the kernel's type
  std::vector<int64_t> faces;  // (F, 3) or (B, F, 3)
  Values grad;                 // (B, H, W)
};

struct Point {
  double x, y;
};

// Corners of a face. False for a face that is ignored.
bool corners_of(const Scene& s, int64_t image, int64_t face, Point* corner, double* depth) {
  for (int k = 0; k < 3; ++k) {
    const int64_t vertex = s.faces[image * s.p.face_stride + 3 * face + k];
    if (vertex < 0 || vertex >= s.p.vertices) return false;
    const double* at = s.vertices.data() + (image * s.p.vertices + vertex) * s.p.components;
    corner[k] = {at[0], at[1]};
    if (!(std::abs(at[0]) <= kLargestCoordinate && std::abs(at[1]) <= kLargestCoordinate)) return false;
    depth[k] = s.p.components == 3 ? at[2] : 0.0;
  }
  const double area = (corner[1].x - corner[0].x) * (corner[2].y - corner[0].y) -
                      (corner[1].y - corner[0].y) * (corner[2].x - corner[0].x);
  return std::abs(area) > kLeastDoubledArea;
}

struct Outline {
  double distance;  // signed, squared
  int edge;         // of the nearest point
  double t;         // position along it
  Point away;       // vector from there to the pixel
};

Outline outline_at(const Point* corner, Point pixel) {
  Outline best{kInfinity, 0, 0, {0, 0}};
  int left = 0, right = 0;
  for (int k = 0; k < 3; ++k) {
    const Point a = corner[k], b = corner[(k + 1) % 3];
    const double ex = b.x - a.x, ey = b.y - a.y, px = pixel.x - a.x, py = pixel.y - a.y;
    const double t = std::clamp((ex * px + ey * py) / (ex * ex + ey * ey), 0.0, 1.0);
    const Point away{px - t * ex, py - t * ey};
    const double distance = away.x * away.x + away.y * away.y, side = ex * py - ey * px;
    if (distance < best.distance) best = {distance, k, t, away};
    left += side >= 0;
    right += side <= 0;
  }
  if (left == 3 || right == 3) best.distance = -best.distance;
  return best;
}

struct Rendering {
  Values silhouette, coverage, grad_vertices;
};

// The gradient of the coverage at pixel i from that of the silhouette.
double central_difference(const M2sParams& p, const Values& silhouette, const Values& grad, int64_t i) {
  if (silhouette[i] > 0) return 0;
  const int64_t first = i / p.pixels() * p.pixels(), y = (i - first) / p.width, x = (i - first) % p.width;
  double count = 0, sum = 0;
  for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, p.height - 1); ++v) {
    for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, p.width - 1); ++u) {
      const int64_t at = first + v * p.width + u;
      if (silhouette[at] > 0) count += 1, sum += grad[at];
    }
  }
  return count > 0 ? (grad[i] + sum / count) / 2 : grad[i];
}

Values brute_silhouette(const Scene& s) {
  const M2sParams& p = s.p;
  Values result(p.count * p.pixels());
  for (int64_t i = 0; i < p.count * p.pixels(); ++i) {
    const Point pixel{i % p.pixels() % p.width + 0.5, static_cast<double>(i % p.pixels() / p.width) + 0.5};
    for (int64_t f = 0; f < p.faces && result[i] == 0; ++f) {
      Point corner[3];
      double depth[3];
      if (corners_of(s, i / p.pixels(), f, corner, depth)) result[i] = outline_at(corner, pixel).distance < kTouching;
    }
  }
  return result;
}

// `grad` is the gradient of the coverage or, if `exact`, of the silhouette.
Rendering brute_m2s(const Scene& s, double saturated, bool exact) {
  const M2sParams& p = s.p;
  Rendering result{brute_silhouette(s), Values(p.count * p.pixels()), Values(p.count * p.vertices * p.components)};
  for (int64_t i = 0; i < p.count * p.pixels(); ++i) {
    const int64_t image = i / p.pixels();
    const Point pixel{i % p.pixels() % p.width + 0.5, static_cast<double>(i % p.pixels() / p.width) + 0.5};
    double open = 1;
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 1 && open * saturated < 1) break;  // covered: no gradient
      for (int64_t f = 0; f < p.faces; ++f) {
        Point corner[3];
        double depth[3];
        if (!corners_of(s, image, f, corner, depth)) continue;
        const Outline near = outline_at(corner, pixel);
        if (!(near.distance < p.blur)) continue;
        const double share = 1 / (1 + std::exp(near.distance / p.sigma));
        if (pass == 0) {
          open *= 1 - share;
          continue;
        }
        // dA/dd = -open * share / sigma, dd/dq = -2 * away (outside) at the nearest point q = (1 - t) a + t b.
        const double grad = exact ? central_difference(p, result.silhouette, s.grad, i) : s.grad[i];
        const double pull = grad * open * share * 2 / p.sigma * (near.distance < 0 ? -1 : 1);
        for (int end = 0; end < 2; ++end) {
          const int64_t vertex = s.faces[image * p.face_stride + 3 * f + (near.edge + end) % 3];
          double* target = result.grad_vertices.data() + (image * p.vertices + vertex) * p.components;
          target[0] += pull * (end ? near.t : 1 - near.t) * near.away.x;
          target[1] += pull * (end ? near.t : 1 - near.t) * near.away.y;
        }
      }
      if (pass == 0) result.coverage[i] = 1 - open;
    }
  }
  return result;
}

template <typename Real>
struct Boxes {
  std::vector<PixelBox> faces, groups;
  Boxes(const Scene& s, const std::vector<Real>& vertices)
      : faces(s.p.count * s.p.faces), groups(s.p.count * groups_of(s.p)) {
    launch(2, kThreads, [&] { box_kernel<Real>(vertices.data(), s.faces.data(), faces.data(), groups.data(), s.p); });
  }
};

unsigned int tiles_of(const M2sParams& p) {
  const int64_t height = kThreads / kTileWidth;
  return static_cast<unsigned int>(p.count * ((p.width + kTileWidth - 1) / kTileWidth) *
                                   ((p.height + height - 1) / height));
}

template <typename Real, bool exact>
void check_m2s(const std::string& name, const Scene& s) {
  const M2sParams& p = s.p;
  const std::vector<Real> vertices(s.vertices.begin(), s.vertices.end()), grad(s.grad.begin(), s.grad.end());
  const Boxes<Real> boxes(s, vertices);
  const Falloff<Real> falloff = m2s_falloff<Real>(p);
  const Rendering expected = brute_m2s(s, static_cast<double>(falloff.saturated), exact);
  const double tolerance = sizeof(Real) == 4 ? 2e-4 : 1e-9;

  std::vector<Real> silhouette(p.count * p.pixels(), Real(NAN)), coverage(p.count * p.pixels(), Real(NAN));
  launch(tiles_of(p), kThreads, [&] {
    coverage_kernel<Real, exact>(vertices.data(), s.faces.data(), boxes.faces.data(), boxes.groups.data(),
                                 silhouette.data(), coverage.data(), p, falloff);
  });
  expect_near(name + " coverage", Values(coverage.begin(), coverage.end()), expected.coverage, tolerance);

  std::vector<Real> outline = grad;
  if (exact) {
    expect_near(name + " silhouette", Values(silhouette.begin(), silhouette.end()), expected.silhouette, 0);
    launch(2, kThreads, [&] { outline_kernel<Real>(grad.data(), silhouette.data(), outline.data(), p); });
  }
  std::vector<Real> face_grad(p.count * p.faces * 6, Real(NAN)), grad_vertices(s.vertices.size(), Real(NAN));
  launch(2, kThreads, [&] {
    face_grad_kernel<Real>(outline.data(), coverage.data(), vertices.data(), s.faces.data(), face_grad.data(), p,
                           falloff);
  });
  std::vector<int64_t> order(s.faces.size()), corners(s.faces.size());
  const int64_t length = 3 * p.faces;
  for (size_t set = 0; length && set < s.faces.size() / length; ++set) {
    const int64_t* keys = s.faces.data() + set * length;
    int64_t* first = order.data() + set * length;
    std::iota(first, first + length, int64_t(0));
    std::stable_sort(first, first + length, [&](int64_t a, int64_t b) { return keys[a] < keys[b]; });
    for (int64_t k = 0; k < length; ++k) corners[set * length + k] = keys[first[k]];
  }
  launch(2, kThreads,
         [&] { vertex_grad_kernel<Real>(face_grad.data(), corners.data(), order.data(), grad_vertices.data(), p); });
  expect_near(name + " gradient", Values(grad_vertices.begin(), grad_vertices.end()), expected.grad_vertices,
              tolerance);
}

template <typename Real>
void check_rasterize(const std::string& name, const Scene& s) {
  const M2sParams& p = s.p;
  const std::vector<Real> vertices(s.vertices.begin(), s.vertices.end());
  const Boxes<Real> boxes(s, vertices);
  const int64_t total = p.count * p.pixels();
  std::vector<int64_t> index(total, -7);
  std::vector<Real> barycentrics(3 * total, Real(NAN)), depth(total, Real(NAN));
  launch(tiles_of(p), kThreads, [&] {
    rasterize_kernel<Real>(vertices.data(), s.faces.data(), boxes.faces.data(), boxes.groups.data(), index.data(),
                           barycentrics.data(), depth.data(), p);
  });

  Values nearest(total, -1), weights(3 * total), depths(total, kInfinity);
  for (int64_t i = 0; i < total; ++i) {
    const Point pixel{i % p.pixels() % p.width + 0.5, static_cast<double>(i % p.pixels() / p.width) + 0.5};
    for (int64_t f = 0; f < p.faces; ++f) {
      Point c[3];
      double z[3], w[3];
      if (!corners_of(s, i / p.pixels(), f, c, z) || !std::isfinite(z[0] + z[1] + z[2])) continue;
      double area = 0, here = 0;
      for (int k = 0; k < 3; ++k) {
        const Point a = c[(k + 1) % 3], b = c[(k + 2) % 3];
        w[k] = (b.x - a.x) * (pixel.y - a.y) - (b.y - a.y) * (pixel.x - a.x);
        area += w[k];
      }
      for (int k = 0; k < 3; ++k) here += (w[k] /= area) * z[k];
      if (!(w[0] >= 0 && w[1] >= 0 && w[2] >= 0 && here < depths[i])) continue;
      nearest[i] = static_cast<double>(f);
      depths[i] = here;
      std::copy(w, w + 3, weights.begin() + 3 * i);
    }
  }
  expect_near(name + " index", Values(index.begin(), index.end()), nearest, 0);
  expect_near(name + " barycentrics", Values(barycentrics.begin(), barycentrics.end()), weights, 1e-6);
  expect_near(name + " depth", Values(depth.begin(), depth.end()), depths, 1e-6);
}

// Triangles `spread` pixels large, some off-screen; if `spoilt`, every eighth is unusable or has no area.
Scene random_scene(int64_t count, int64_t faces, int64_t height, int64_t width, double spread, bool own_faces,
                   bool spoilt) {
  Scene s;
  s.p = {count,  3 * faces, 3,    faces,       own_faces ? 3 * faces : 0,
         height, width,     1.25, 9.21 * 1.25, std::sqrt(9.21 * 1.25)};
  for (int64_t f = 0; f < count * faces; ++f) {
    const double x = uniform(-0.2, 1.2) * static_cast<double>(width),
                 y = uniform(-0.2, 1.2) * static_cast<double>(height);
    for (int k = 0; k < 3; ++k) {
      s.vertices.push_back(static_cast<float>(x + uniform(-spread, spread)));
      s.vertices.push_back(static_cast<float>(y + uniform(-spread, spread)));
      s.vertices.push_back(static_cast<float>(uniform(1, 9)));
    }
  }
  for (int64_t k = 0; k < (own_faces ? count : 1) * 3 * faces; ++k) s.faces.push_back(below(3 * faces));
  for (size_t k = 0; spoilt && k < s.faces.size(); k += 24) {
    const int64_t wrong[] = {-1, 3 * faces, std::numeric_limits<int64_t>::min(), s.faces[k + 1]};
    s.faces[k] = wrong[below(4)];
  }
  const double odd[] = {NAN, kInfinity, -kInfinity, static_cast<double>(1e30f), -3e7, 1e-38};
  for (size_t k = 0; spoilt && k < s.vertices.size(); k += 60) s.vertices[k + below(2)] = odd[below(6)];
  for (int64_t i = 0; i < count * height * width; ++i) s.grad.push_back(static_cast<float>(uniform(-1, 1)));
  return s;
}

void run() {
  struct Case {
    int64_t count, faces, height, width;
    double spread;
    bool own_faces, spoilt;
  };
  const Case cases[] = {
      {1, 0, 3, 5, 1, false, false},  // no faces
      {1, 1, 1, 1, 1, false, false},  // one pixel
      {2, 5, 4, 37, 4, false, true},  // three tiles
      {2, 33, 9, 18, 3, true, true},  // a group and one face, faces of their own
      {1, 100, 6, 20, 0.6, false, true},   {1, 40, 5, 16, 40, false, false},  // covered: leaves early
      {1, 2100, 4, 16, 0.05, false, true},                                    // more groups than threads
  };
  for (const Case& c : cases) {
    const Scene s = random_scene(c.count, c.faces, c.height, c.width, c.spread, c.own_faces, c.spoilt);
    const std::string name =
        std::to_string(c.faces) + " faces, " + std::to_string(c.height) + "x" + std::to_string(c.width);
    check_m2s<float, false>("float m2s " + name, s);
    check_m2s<float, true>("exact float m2s " + name, s);
    if (c.faces < 200) check_m2s<double, false>("double m2s " + name, s);
    if (c.faces < 200) check_m2s<double, true>("exact double m2s " + name, s);
    check_rasterize<float>("rasterize " + name, s);
  }
  for (int k = 0; k < 10; ++k) {
    const Scene s = random_scene(1, below(9), 1 + below(6), 1 + below(20), uniform(0.1, 10), below(2) == 1, true);
    check_m2s<float, false>("float m2s, small mesh " + std::to_string(k), s);
    check_m2s<float, true>("exact float m2s, small mesh " + std::to_string(k), s);
    check_rasterize<double>("rasterize, small mesh " + std::to_string(k), s);
  }
}

}  // namespace
}  // namespace topo

int main() {
  topo::run();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
