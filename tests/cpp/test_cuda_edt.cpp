// Runs the CUDA kernels of edt on the host and compares them with brute force: every target at every pixel. Prints
// differences; the exit code is 1 if there are any.

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "brute_force.h"
#include "cuda/edt_backward_kernels.cuh"

namespace topo {
namespace {

constexpr int64_t kCount = 2;  // images
constexpr unsigned int kBlocks = 3;

struct Target {
  double squared;
  int64_t y, x;
  bool found;
};

bool foreground(const EdtParams& p, const Image& mask, int64_t y, int64_t x) {
  return y >= 0 && x >= 0 && y < p.height && x < p.width && mask[y * p.width + x] > 0.5;
}

// The nearest target of a pixel, of equally near ones the leftmost and then the topmost.
Target nearest_target(const EdtParams& p, const Image& mask, int64_t y, int64_t x, bool inverted) {
  const int64_t ring = p.black_border && !inverted;
  Target best{0, -1, -1, false};
  for (int64_t u = -ring; u < p.width + ring; ++u) {
    for (int64_t v = -ring; v < p.height + ring; ++v) {
      if (foreground(p, mask, v, u) != inverted) continue;
      const double dy = p.pitch_y * static_cast<double>(v - y), dx = p.pitch_x * static_cast<double>(u - x);
      const double squared = dy * dy + dx * dx;
      if (!best.found || squared < best.squared) best = {squared, v, u, true};
    }
  }
  return best;
}

struct Expected {
  Image distance, index, grad;
};

Expected brute_edt(const EdtParams& p, const Image& mask, const Image& upstream) {
  Expected e{Image(mask.size()), Image(mask.size()), Image(mask.size())};
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      const int64_t i = y * p.width + x;
      const bool inverted = p.is_signed && !foreground(p, mask, y, x);
      const Target t = nearest_target(p, mask, y, x, inverted);
      const double length = std::sqrt(t.squared), sign = inverted ? -1 : 1;
      e.distance[i] = sign * (!t.found ? p.without_target() : p.squared ? t.squared : length);
      const bool inside = t.found && t.y >= 0 && t.x >= 0 && t.y < p.height && t.x < p.width;
      e.index[i] = inside ? static_cast<double>(t.y * p.width + t.x) : -1;
      if (!t.found || t.squared == 0) continue;
      const double pixels = std::hypot(static_cast<double>(t.y - y), static_cast<double>(t.x - x));
      const double half = upstream[i] / 2 * length / pixels * (p.squared ? 2 * length : 1);
      const EdtStep step = edt_step(y - t.y, x - t.x);
      if (inside) e.grad[t.y * p.width + t.x] += half;
      e.grad[(t.y + step.y) * p.width + t.x + step.x] += half;
    }
  }
  return e;
}

// All kernels of one polarity, on a batch.
template <typename T, typename Cost>
void run_kernels(const EdtParams& p, bool inverted, unsigned int threads, const std::vector<T>& mask,
                 const std::vector<accumulate_t<T>>& upstream, std::vector<accumulate_t<T>>& distance,
                 std::vector<int64_t>& index, std::vector<accumulate_t<T>>& grad) {
  using Real = accumulate_t<T>;
  const EdtPlanes planes = edt_planes(p, inverted);
  const EdtMetric<Cost> metric{p.pitch_y, p.pitch_x};
  const double scale = !p.isotropic() ? 1 : p.squared ? p.pitch_x * p.pitch_x : p.pitch_x;
  std::vector<uint16_t> nearest(kCount * planes.pixels(), 7777), columns(mask.size(), 7777);
  launch(
      static_cast<unsigned int>(kCount * ((planes.width + 31) / 32)), 64,
      [&] { edt_columns_kernel<T>(mask.data(), nearest.data(), planes); }, planes.column_bytes());
  const auto rows = [&](const auto& emit) {
    launch(
        kBlocks, threads, [&] { edt_rows_kernel<Cost>(nearest.data(), kCount, planes, metric, emit); },
        planes.row_bytes());
  };
  rows(EmitDistance<Real>{distance.data(), scale, p.without_target(), p.squared, inverted});
  rows(EmitIndex{index.data(), planes});
  rows(EmitColumn{columns.data()});
  std::vector<Real> sums(kCount * kRunSums * p.height * planes.width, 0);
  std::vector<Real> passed(kCount * kDirections * planes.pixels(), Real(NAN));
  launch(kBlocks, 4, [&] {
    edt_runs_kernel<Real>(upstream.data(), nearest.data(), columns.data(), sums.data(), kCount, planes, p);
  });
  launch(kBlocks, 4, [&] { edt_targets_kernel<Real>(nearest.data(), sums.data(), passed.data(), kCount, planes); });
  launch(kBlocks, 4, [&] { edt_gather_kernel<Real>(nearest.data(), passed.data(), grad.data(), kCount, planes); });
}

template <typename T, typename Values>
std::vector<T> batch_of(const Values& images) {
  std::vector<T> batch;
  for (const Image& image : images) {
    for (double value : image) batch.push_back(static_cast<T>(value));
  }
  return batch;
}

template <typename T>
void check_edt(const EdtParams& p, const std::vector<Image>& masks, unsigned int threads) {
  using Real = accumulate_t<T>;
  std::vector<Image> upstream(kCount, Image(p.pixels()));
  for (Image& image : upstream) {
    for (double& value : image) value = std::round(uniform(-8, 8) * 8) / 8;
  }
  const auto mask = batch_of<T>(masks);
  const auto incoming = batch_of<Real>(upstream);
  std::vector<Real> distance(mask.size(), Real(NAN)), grad(mask.size(), Real(NAN));
  std::vector<int64_t> index(mask.size(), -77);
  const auto kernels = p.isotropic() ? run_kernels<T, uint32_t> : run_kernels<T, double>;
  for (int inverted = 0; inverted <= p.is_signed; ++inverted) {
    kernels(p, inverted, threads, mask, incoming, distance, index, grad);
  }
  const std::string name = "edt " + std::to_string(p.height) + "x" + std::to_string(p.width) +
                           (p.is_signed ? " signed" : "") + (p.squared ? " squared" : "") +
                           (p.black_border ? " border" : "") + " pitch " + std::to_string(p.pitch_y) + " " +
                           std::to_string(p.pitch_x);
  const double tolerance = std::is_same_v<Real, float> ? 1e-6 : 1e-14;
  for (int64_t i = 0; i < kCount; ++i) {
    const auto part = [&](const auto& values) {
      return Image(values.begin() + i * p.pixels(), values.begin() + (i + 1) * p.pixels());
    };
    const Expected expected = brute_edt(p, masks[i], upstream[i]);
    expect_near(name, part(distance), expected.distance, p.isotropic() && p.squared ? 0 : tolerance);
    expect_near("indices of " + name, part(index), expected.index, 0);
    expect_near("gradient of " + name, part(grad), expected.grad, 10 * tolerance);
  }
}

Image random_targets(const EdtParams& p, double foreground_share) {
  Image mask(p.pixels());
  for (double& value : mask) value = uniform() < foreground_share;
  return mask;
}

void run() {
  const int64_t sizes[][2] = {{1, 1}, {1, 9}, {8, 1}, {5, 7}, {33, 12}, {9, 70}, {40, 100}};
  const double pitches[][2] = {{1, 1}, {0.5, 0.5}, {1, 1.7}};
  int round = 0;
  for (const auto& size : sizes) {
    for (const auto& pitch : pitches) {
      for (int options = 0; options < 8; ++options, ++round) {
        const EdtParams p{size[0],  size[1], (options & 1) != 0, (options & 2) != 0, (options & 4) != 0,
                          pitch[0], pitch[1]};
        const double shares[] = {0.2, 0.7, 0.97, 0.999, 0, 1};
        const std::vector<Image> masks{random_targets(p, shares[round % 6]),
                                       random_targets(p, shares[(round + 1) % 4])};
        const unsigned int threads = round % 2 ? 32 : 64;
        if (options % 3 == 0) check_edt<double>(p, masks, threads);
        if (options % 3 == 1) check_edt<float>(p, masks, threads);
        if (options % 3 == 2) check_edt<uint8_t>(p, masks, threads);
      }
    }
  }
  // One target far away: every row is divided.
  const EdtParams deep{12, 150, false, false, false, 1, 1};
  Image corner(deep.pixels(), 1), middle(deep.pixels(), 1);
  corner[0] = middle[5 * 150 + 75] = 0;
  check_edt<float>(deep, {corner, middle}, 96);
  // Soft masks are foreground above 0.5.
  const EdtParams soft{6, 40, true, false, true, 1, 1};
  Image values(soft.pixels());
  for (double& value : values) value = std::round(uniform() * 4) / 4;
  check_edt<double>(soft, {values, values}, 64);
}

}  // namespace
}  // namespace topo

int main() {
  topo::run();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
