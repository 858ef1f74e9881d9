// The CUDA kernels of s2d, d2t and chamfer, run on the host and compared with brute force: the
// recursions as printed, and autograd of them written out. Prints what differs; exit code 1 then.

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "brute_force.h"
#include "cuda/chamfer_kernels.cuh"
#include "cuda/d2t_kernels.cuh"
#include "cuda/s2d_kernels.cuh"

namespace topo {
namespace {

constexpr unsigned int kBlockSizes[] = {1, 4};
constexpr int64_t kCount = 3;  // images; two blocks, so that one block takes two of them
constexpr unsigned int kBlocks = 2;

template <typename T>
void check_s2d(const S2dParams& p, Kind kind, unsigned int threads) {
  using Real = accumulate_t<T>;
  const std::string name = "s2d " + std::to_string(p.height) + "x" + std::to_string(p.width) + " r" +
                           std::to_string(p.radius) + " l" + std::to_string(p.iterations) +
                           (p.black_border ? " border" : "") + (p.fill_holes ? " holes" : "") +
                           (kind == Kind::kSoft ? " soft" : "") + ", " + std::to_string(threads) + " threads";
  const int64_t n = p.pixels();
  std::vector<Image> masks;
  // Soft and binary images share a batch.
  for (int64_t i = 0; i < kCount; ++i) masks.push_back(random_mask(p, i == 1 ? Kind::kBinary : kind));
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
}

void check_d2t(const S2dParams& p, int64_t radius, bool soft_mask, unsigned int threads) {
  const int64_t n = p.pixels();
  const D2tParams q{p.height, p.width, radius};
  std::vector<Image> masks, distances;
  for (int64_t i = 0; i < kCount; ++i) {
    masks.push_back(random_mask(p, Kind::kBinary));
    distances.push_back(brute_s2d(p, masks.back()));
    if (soft_mask) {
      for (double& value : masks.back()) value *= uniform(0.1, 1);
    }
  }
  const auto mask = narrowed<double>(masks), distance = narrowed<double>(distances);
  const int64_t total = kCount * n;
  Image skeleton(total, NAN);
  launch(kBlocks, threads, [&] { d2t_kernel<double>(distance.data(), mask.data(), skeleton.data(), total, q); });
  for (int64_t i = 0; i < kCount; ++i) {
    const Ridges expected = brute_d2t(p, radius, false, distances[i], masks[i], Image(n));
    expect_near("d2t r" + std::to_string(radius), image_of(skeleton, i, n), expected.skeleton, 1e-13);
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
