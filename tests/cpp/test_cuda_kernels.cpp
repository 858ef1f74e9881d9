// The CUDA kernels of s2d, d2t and chamfer, run on the host and compared with brute force: the
// recursions as printed, and autograd of them written out. Prints what differs; exit code 1 then.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <type_traits>

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "cuda/chamfer_kernels.cuh"
#include "cuda/d2t_backward_kernels.cuh"
#include "cuda/d2t_kernels.cuh"
#include "cuda/s2d_backward_kernels.cuh"
#include "cuda/s2d_kernels.cuh"

namespace topo {
namespace {

using Image = std::vector<double>;

constexpr unsigned int kBlockSizes[] = {1, 4};
constexpr int64_t kCount = 3;  // images; two blocks, so that one block takes two of them
constexpr unsigned int kBlocks = 2;

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

// Calls f(index, y, x) for the window, f(-1, y, x) for its pixels outside the image.
void window(const S2dParams& p, int64_t y, int64_t x, int64_t radius, const std::function<void(int64_t)>& f) {
  for (int64_t v = y - radius; v <= y + radius; ++v) {
    for (int64_t u = x - radius; u <= x + radius; ++u) {
      f(v < 0 || u < 0 || v >= p.height || u >= p.width ? -1 : v * p.width + u);
    }
  }
}

// States S_0..S_l of the recursion.
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

// The subgradient by pushing, level by level.
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
  if (kind == Kind::kBinary && uniform() < 0.6) {  // something deep, with one hole
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

template <typename T>
void check_s2d(const S2dParams& p, Kind kind, unsigned int threads) {
  using Real = accumulate_t<T>;
  const std::string name = "s2d " + std::to_string(p.height) + "x" + std::to_string(p.width) + " r" +
                           std::to_string(p.radius) + " l" + std::to_string(p.iterations) +
                           (p.black_border ? " border" : "") + (p.fill_holes ? " holes" : "") +
                           (kind == Kind::kSoft ? " soft" : "") + ", " + std::to_string(threads) + " threads";
  const int64_t n = p.pixels();
  std::vector<Image> masks, grads;
  for (int64_t i = 0; i < kCount; ++i) {
    // Soft and binary images share a batch.
    masks.push_back(random_mask(p, i == 1 ? Kind::kBinary : kind));
    Image grad(n);
    for (double& value : grad) value = uniform(-1, 1);
    grads.push_back(grad);
  }
  const auto mask = narrowed<T>(masks);
  for (int64_t i = 0; i < kCount; ++i) masks[i] = image_of(mask, i, n);
  const double tolerance = std::is_same_v<T, float> ? 3e-5 : 1e-12;

  // Scratch starts dirty, as the allocator gives it.
  std::vector<uint8_t> foreground(kCount * n, 77);
  std::vector<uint16_t> columns(kCount * n, 7777), depth(kCount * n, 7777);
  std::vector<Real> real(3 * kCount * n, Real(NAN));
  std::vector<Real> distance(kCount * n, Real(NAN));
  launch(kBlocks, threads, [&] {
    s2d_kernel<T, Real>(mask.data(), foreground.data(), columns.data(), depth.data(), real.data(), distance.data(),
                        kCount, p);
  });
  for (int64_t i = 0; i < kCount; ++i) {
    expect_near(name, image_of(distance, i, n), brute_s2d(p, masks[i]), tolerance);
  }

  if constexpr (!std::is_same_v<T, uint8_t>) {
    const auto grad = narrowed<T>(grads);
    for (bool literal : {false, true}) {
      std::fill(depth.begin(), depth.end(), uint16_t(7777));
      std::fill(real.begin(), real.end(), Real(NAN));
      std::vector<T> grad_mask(kCount * n, T(NAN));
      launch(kBlocks, threads, [&] {
        s2d_backward_kernel<T>(grad.data(), mask.data(), foreground.data(), columns.data(), depth.data(), real.data(),
                               grad_mask.data(), kCount, p, literal);
      });
      for (int64_t i = 0; i < kCount; ++i) {
        const bool exact = literal || (kind == Kind::kSoft && i != 1);
        const Image g = image_of(grad, i, n);
        expect_near(name + (literal ? " literal" : " subgradient"), image_of(grad_mask, i, n),
                    exact ? brute_literal(p, masks[i], g) : brute_route(p, masks[i], g), tolerance);
      }
    }
  }
}

// ---- d2t ----

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
    bool beside = false;
    for (int64_t j : windows[i]) beside = beside || result.skeleton[j] > 0;
    const bool open = z[i] > 0 || (!literal && z[i] == 0 && beside);
    if (z[i] > 0 && (literal || mask[i] > 0)) result.grad_mask[i] = grad[i] * z[i];
    if (!open) continue;
    const double passed = grad[i] * mask[i];
    result.grad_distance[i] += passed;
    const size_t takers = literal ? 1 : ties[i].size();
    for (size_t k = 0; k < takers; ++k) result.grad_distance[ties[i][k]] -= passed / takers;
  }
  return result;
}

void check_d2t(const S2dParams& p, int64_t radius, bool soft_mask, unsigned int threads) {
  const int64_t n = p.pixels();
  const D2tParams q{p.height, p.width, radius};
  std::vector<Image> masks, distances, grads;
  for (int64_t i = 0; i < kCount; ++i) {
    masks.push_back(random_mask(p, Kind::kBinary));
    distances.push_back(brute_s2d(p, masks.back()));
    Image grad(n);
    for (double& value : grad) value = uniform(-1, 1);
    grads.push_back(grad);
    if (soft_mask) {
      for (double& value : masks.back()) value *= uniform(0.1, 1);
    }
  }
  const auto mask = narrowed<double>(masks), distance = narrowed<double>(distances), grad = narrowed<double>(grads);
  const int64_t total = kCount * n;
  Image skeleton(total, NAN);
  launch(kBlocks, threads, [&] { d2t_kernel<double>(distance.data(), mask.data(), skeleton.data(), total, q); });
  for (bool literal : {false, true}) {
    Image passed(total, NAN), taken(total, NAN), grad_mask(total, NAN), grad_distance(total, NAN);
    std::vector<int64_t> argmax(total, -7);
    launch(kBlocks, threads, [&] {
      ridge_kernel<double>(grad.data(), distance.data(), mask.data(), skeleton.data(), passed.data(), taken.data(),
                           argmax.data(), grad_mask.data(), total, q, literal);
    });
    launch(kBlocks, threads, [&] {
      distance_grad_kernel<double>(distance.data(), passed.data(), taken.data(), argmax.data(), grad_distance.data(),
                                   total, q, literal);
    });
    for (int64_t i = 0; i < kCount; ++i) {
      const Ridges expected = brute_d2t(p, radius, literal, distances[i], masks[i], grads[i]);
      const std::string name = "d2t r" + std::to_string(radius) + (literal ? " literal" : " subgradient");
      expect_near(name, image_of(skeleton, i, n), expected.skeleton, 1e-13);
      expect_near(name + " distance", image_of(grad_distance, i, n), expected.grad_distance, 1e-13);
      expect_near(name + " mask", image_of(grad_mask, i, n), expected.grad_mask, 1e-13);
    }
  }
}

void check_chamfer(int64_t pixels, unsigned int threads) {
  std::vector<Image> maps(4, Image(kCount * pixels));
  Image pull(kCount, NAN), push(kCount, NAN), pulls(kCount), pushes(kCount);
  for (Image& map : maps) {
    for (double& value : map) value = uniform();
  }
  launch(kBlocks, threads, [&] {
    chamfer_kernel<double>(maps[0].data(), maps[1].data(), maps[2].data(), maps[3].data(), pull.data(), push.data(),
                           kCount, pixels);
  });
  for (int64_t i = 0; i < kCount * pixels; ++i) {
    pulls[i / pixels] += maps[2][i] * maps[1][i];
    pushes[i / pixels] += maps[3][i] * maps[0][i];
  }
  expect_near("chamfer pull", pull, pulls, 1e-13);
  expect_near("chamfer push", push, pushes, 1e-13);
}

void run() {
  for (unsigned int threads : kBlockSizes) {
    for (auto [height, width] : {std::pair<int64_t, int64_t>{7, 9}, {12, 5}, {1, 8}, {2, 2}, {13, 14}}) {
      for (int options = 0; options < 4; ++options) {
        const bool border = options & 1, holes = options & 2;
        if (holes && (height == 1 || width == 1)) continue;  // the contract differs from the recursion there
        for (int32_t radius : {1, 2}) {
          for (int32_t iterations : {0, 2, static_cast<int32_t>(std::max(height, width)) - 1}) {
            const S2dParams p{height, width, radius, iterations, border, holes};
            check_s2d<double>(p, Kind::kBinary, threads);
            check_s2d<double>(p, Kind::kSoft, threads);
            check_s2d<float>(p, Kind::kBinary, threads);
            check_s2d<uint8_t>(p, Kind::kBinary, threads);
          }
        }
      }
      const S2dParams p{height, width, 1, static_cast<int32_t>(std::max(height, width)) - 1, false, false};
      for (int64_t radius : {1, 2}) {
        check_d2t(p, radius, false, threads);
        check_d2t(p, radius, true, threads);
      }
      check_chamfer(height * width, threads);
    }
  }
}

}  // namespace
}  // namespace topo

int main() {
  topo::run();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
