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
constexpr unsigned int kThreads = 160;  // four sweeping warps and one that reads

std::string name_of(const char* op, const S2dParams& p, Kind kind) {
  return std::string(op) + " " + std::to_string(p.height) + "x" + std::to_string(p.width) + " r" +
         std::to_string(p.radius) + " l" + std::to_string(p.iterations) + (p.black_border ? " border" : "") +
         (p.fill_holes ? " holes" : "") + (kind == Kind::kSoft ? " soft" : "");
}

// Soft and binary images share a batch.
std::vector<Image> random_masks(const S2dParams& p, Kind kind) {
  std::vector<Image> masks;
  for (int64_t i = 0; i < kCount; ++i) masks.push_back(random_mask(p, i == 1 ? Kind::kBinary : kind));
  return masks;
}

// D of a batch on chip; `slots` as the kernel has them, the rest by the second kernel.
template <typename T, typename Out>
std::vector<Out> on_chip_s2d(const S2dParams& p, const std::vector<T>& mask, int64_t slots) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  const LevelPlanes planes = level_planes(p);
  std::vector<Out> distance(mask.size(), Out(77));
  std::vector<Real> real(3 * n * slots, Real(NAN));
  std::vector<int32_t> soft_images(kCount, -7);
  const bool fours = rows_of_four(mask.data(), p.width) && rows_of_four(distance.data(), p.width);
  launch(
      kBlocks, kThreads,
      [&] {
        s2d_kernel<T, Out>(mask.data(), distance.data(), real.data(), slots, soft_images.data(), kCount, p, planes,
                           fours);
      },
      planes.shared_bytes());
  if constexpr (!std::is_same_v<T, uint8_t>) {
    launch(static_cast<unsigned int>(slots), 4,
           [&] { s2d_soft_kernel<T, Out>(mask.data(), distance.data(), real.data(), soft_images.data(), kCount, p); });
  }
  return distance;
}

// Levels of a batch through global memory, and which images are soft.
template <typename T>
std::vector<uint16_t> global_levels(const S2dParams& p, const std::vector<T>& mask, bool inverted,
                                    std::vector<int32_t>& soft_images) {
  std::vector<uint16_t> columns(mask.size(), 7777), levels(mask.size(), 7777);
  soft_images.assign(kCount, 0);
  launch(
      static_cast<unsigned int>(kCount * ((p.width + 31) / 32)), 64,
      [&] { columns_kernel<T>(mask.data(), columns.data(), soft_images.data(), inverted, p); },
      (p.height + 31) / 32 * 128);
  launch(kBlocks, 8, [&] { rows_kernel<T, uint16_t>(columns.data(), mask.data(), levels.data(), kCount, p); });
  return levels;
}

template <typename T>
void check_s2d(const S2dParams& p, Kind kind) {
  const int64_t n = p.pixels();
  const auto mask = narrowed<T>(random_masks(p, kind));
  const double tolerance = std::is_same_v<T, float> ? 3e-5 : 1e-12;
  std::vector<Image> expected;
  for (int64_t i = 0; i < kCount; ++i) expected.push_back(brute_s2d(p, image_of(mask, i, n)));
  for (int64_t slots : {1, 2}) {
    const auto distance = on_chip_s2d<T, accumulate_t<T>>(p, mask, slots);
    for (int64_t i = 0; i < kCount; ++i) {
      expect_near(name_of("s2d", p, kind), image_of(distance, i, n), expected[i], tolerance);
    }
  }
  std::vector<int32_t> soft_images;
  const auto levels = global_levels(p, mask, false, soft_images);
  for (int64_t i = 0; i < kCount; ++i) {
    const bool soft = kind == Kind::kSoft && i != 1;
    if (soft_images[i] != soft)
      expect_near(name_of("soft flag of", p, kind), {double(soft_images[i])}, {1.0 * soft}, 0);
    if (!soft) expect_near(name_of("s2d by columns", p, kind), image_of(levels, i, n), expected[i], 0);
  }
}

// Binary masks with sides up to kMaxSide, against the distance to every background pixel.
void check_large_s2d(int64_t height, int64_t width, int32_t iterations, bool border, int64_t background) {
  const S2dParams p{height, width, 1, iterations, border, false};
  const int64_t n = p.pixels();
  std::vector<Image> masks(kCount, Image(n, 1)), expected(kCount, Image(n));
  for (int64_t i = 0; i < kCount; ++i) {
    std::vector<int64_t> zeros;
    for (int64_t k = 0; k < background; ++k) {
      zeros.push_back(generator() % n);
      masks[i][zeros.back()] = 0;
    }
    for (int64_t j = 0; j < n; ++j) {
      const int64_t y = j / width, x = j % width;
      int64_t d = iterations + 1;
      if (border) d = std::min({d, y + 1, x + 1, height - y, width - x});
      for (int64_t z : zeros) d = std::min(d, std::max(std::abs(z / width - y), std::abs(z % width - x)));
      expected[i][j] = static_cast<double>(d);
    }
  }
  const auto mask = narrowed<uint8_t>(masks);
  std::vector<int32_t> none;
  if (std::max(height, width) <= kMaxSide) {
    const auto distance = on_chip_s2d<uint8_t, float>(p, mask, 0);
    for (int64_t i = 0; i < kCount; ++i) {
      expect_near(name_of("s2d", p, Kind::kBinary), image_of(distance, i, n), expected[i], 0);
    }
  }
  const auto levels = global_levels(p, mask, false, none);
  for (int64_t i = 0; i < kCount; ++i) {
    expect_near(name_of("s2d by columns", p, Kind::kBinary), image_of(levels, i, n), expected[i], 0);
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
  for (auto [height, width] : {std::pair<int64_t, int64_t>{7, 9}, {12, 5}, {1, 8}, {2, 2}, {13, 14}}) {
    const int32_t deepest = static_cast<int32_t>(std::max(height, width)) - 1;
    for (int options = 0; options < 4; ++options) {
      const bool border = options & 1, holes = options & 2;
      if (holes && (height == 1 || width == 1)) continue;  // the contract differs from the recursion there
      for (int32_t radius : {1, 2}) {
        for (int32_t iterations : {0, 2, deepest}) {
          const S2dParams p{height, width, radius, iterations, border, holes};
          check_s2d<double>(p, Kind::kBinary);
          check_s2d<double>(p, Kind::kSoft);
          check_s2d<float>(p, Kind::kBinary);
          check_s2d<uint8_t>(p, Kind::kBinary);
        }
      }
    }
    const S2dParams p{height, width, 1, deepest, false, false};
    for (unsigned int threads : kBlockSizes) {
      for (int64_t radius : {1, 2}) {
        check_d2t(p, radius, false, threads);
        check_d2t(p, radius, true, threads);
      }
      check_chamfer(height * width, threads);
    }
  }
  for (auto [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {1, 200}, {200, 1}, {31, 33}, {32, 32}, {33, 31}}) {
    for (int64_t background : {0, 1, 5}) {
      for (bool border : {false, true}) {
        check_large_s2d(height, width, static_cast<int32_t>(std::max(height, width)) - 1, border, background);
      }
    }
  }
  check_large_s2d(31, 17, 1000, false, 0);
  check_large_s2d(224, 224, 223, false, 3);
  check_large_s2d(5, 254, 253, true, 1);
  check_large_s2d(254, 131, 253, false, 1);
  check_large_s2d(40, 300, 299, false, 2);
  check_large_s2d(300, 40, 299, true, 2);
}

}  // namespace
}  // namespace topo

int main() {
  topo::run();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
