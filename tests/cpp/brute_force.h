// The reference for the CUDA kernels on the host: the recursions as printed and their autograd written out, in double.
// It prints and counts differences.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "d2t.h"
#include "s2d.h"

namespace topo {
namespace {

using Image = std::vector<double>;

std::mt19937 generator(0);
int failures = 0;

double uniform(double low = 0, double high = 1) {
  return std::uniform_real_distribution<double>(low, high)(generator);
}

void expect_near(const std::string& what, const Image& actual, const Image& expected, double tolerance) {
  double scale = 1, worst = 0;
  for (double value : expected) scale = std::max(scale, std::abs(value));
  bool same = actual.size() == expected.size();
  for (size_t i = 0; same && i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(actual[i] - expected[i]) / scale);
    same = std::isfinite(actual[i]);
  }
  if (same && worst <= tolerance) return;
  std::printf("%s: differs by %g of the largest value\n", what.c_str(), worst);
  ++failures;
}

// Calls f(index, y, x) for the pixels of the window, with index -1 outside the image.
void window(const S2dParams& p, int64_t y, int64_t x, int64_t radius, const std::function<void(int64_t)>& f) {
  for (int64_t v = y - radius; v <= y + radius; ++v) {
    for (int64_t u = x - radius; u <= x + radius; ++u) {
      f(v < 0 || u < 0 || v >= p.height || u >= p.width ? -1 : v * p.width + u);
    }
  }
}

// The states S_0..S_l of the recursion.
std::vector<Image> states(const S2dParams& p, const Image& mask) {
  std::vector<Image> all{mask};
  const double side = 2.0 * p.radius + 1, m = side * side - (p.fill_holes ? 2 : 1);
  for (int32_t step = 0; step < p.iterations; ++step) {
    Image next(mask.size());
    for (int64_t i = 0; i < p.pixels(); ++i) {
      double sum = -m;
      window(p, i / p.width, i % p.width, p.radius, [&](int64_t j) {
        if (j < 0) sum += p.black_border ? 0 : 1;
        if (j >= 0 && !(p.fill_holes && j == i)) sum += all.back()[j];
      });
      next[i] = std::max(0.0, sum);
    }
    all.push_back(next);
  }
  return all;
}

Image brute_s2d(const S2dParams& p, const Image& mask) {
  Image total(mask.size());
  for (const Image& state : states(p, mask)) {
    for (size_t i = 0; i < total.size(); ++i) total[i] += state[i];
  }
  return total;
}

Image brute_literal(const S2dParams& p, const Image& mask, const Image& grad) {
  const auto all = states(p, mask);
  Image g = grad;
  for (int32_t step = p.iterations; step >= 1; --step) {
    Image earlier = grad;
    for (int64_t i = 0; i < p.pixels(); ++i) {
      if (all[step][i] <= 0) continue;
      window(p, i / p.width, i % p.width, p.radius, [&](int64_t j) {
        if (j >= 0 && !(p.fill_holes && j == i)) earlier[j] += g[i];
      });
    }
    g = earlier;
  }
  return g;
}

// The subgradient, pushed from each pixel to its lower neighbours, level by level.
Image brute_route(const S2dParams& p, const Image& mask, const Image& grad) {
  const Image depth = brute_s2d(p, mask);
  Image flow = grad, result(grad.size());
  for (size_t i = 0; i < flow.size(); ++i) {
    if (depth[i] == 0 || depth[i] == p.iterations + 1) flow[i] = 0;
  }
  for (int32_t level = static_cast<int32_t>(*std::max_element(depth.begin(), depth.end())); level >= 1; --level) {
    for (int64_t i = 0; i < p.pixels(); ++i) {
      if (depth[i] != level) continue;
      std::vector<int64_t> below;
      window(p, i / p.width, i % p.width, p.radius, [&](int64_t j) {
        if (j < 0 ? level == 1 && p.black_border : depth[j] == level - 1) below.push_back(j);
      });
      double share = flow[i];
      if (level == 1) {
        if (!below.empty()) share /= 2;
        result[i] += share;
      }
      for (int64_t j : below) {
        if (j >= 0) (level == 1 ? result : flow)[j] += share / below.size();
      }
    }
  }
  return result;
}

enum class Kind { kBinary, kSoft };

Image random_mask(const S2dParams& p, Kind kind) {
  Image mask(p.pixels());
  const double density = uniform();
  for (double& value : mask) {
    value = kind == Kind::kSoft ? uniform(0.9, 1) : static_cast<double>(uniform() < density);
  }
  if (kind == Kind::kBinary && uniform() < 0.6) {  // a deep image with one hole
    mask.assign(mask.size(), 1);
    if (uniform() < 0.8) mask[generator() % mask.size()] = 0;
  }
  return mask;
}

template <typename T>
std::vector<T> narrowed(const std::vector<Image>& images) {
  std::vector<T> result;
  for (const Image& image : images) {
    for (double value : image) result.push_back(static_cast<T>(value));
  }
  return result;
}

template <typename T>
Image image_of(const std::vector<T>& batch, int64_t index, int64_t pixels) {
  return Image(batch.begin() + index * pixels, batch.begin() + (index + 1) * pixels);
}

struct Ridges {
  Image skeleton, grad_distance, grad_mask;
};

Ridges brute_d2t(const S2dParams& p, int64_t radius, bool literal, const Image& distance, const Image& mask,
                 const Image& grad) {
  const int64_t n = p.pixels();
  Ridges result{Image(n), Image(n), Image(n)};
  std::vector<std::vector<int64_t>> windows(n), ties(n);
  Image z(n);
  for (int64_t i = 0; i < n; ++i) {
    window(p, i / p.width, i % p.width, radius, [&](int64_t j) {
      if (j >= 0) windows[i].push_back(j);
    });
    double peak = distance[windows[i][0]];
    for (int64_t j : windows[i]) peak = std::max(peak, distance[j]);
    for (int64_t j : windows[i]) {
      if (distance[j] == peak) ties[i].push_back(j);
    }
    z[i] = distance[i] - peak + 1;
    result.skeleton[i] = std::max(0.0, z[i]) * mask[i];
  }
  for (int64_t i = 0; i < n; ++i) {
    bool near_ridge = false;
    for (int64_t j : windows[i]) near_ridge = near_ridge || result.skeleton[j] > 0;
    const bool open = z[i] > 0 || (!literal && z[i] == 0 && near_ridge);
    if (z[i] > 0 && (literal || mask[i] > 0)) result.grad_mask[i] = grad[i] * z[i];
    if (!open) continue;
    const double passed = grad[i] * mask[i];
    result.grad_distance[i] += passed;
    const size_t takers = literal ? 1 : ties[i].size();
    for (size_t k = 0; k < takers; ++k) result.grad_distance[ties[i][k]] -= passed / takers;
  }
  return result;
}

}  // namespace
}  // namespace topo
