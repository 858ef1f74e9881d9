// Runs the CUDA kernels of s2d, d2t, chamfer and the fused operators on the host and compares them with brute force,
// the recursions as printed. Prints differences; the exit code is 1 if there are any.

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "brute_force.h"
#include "cuda/chamfer_kernels.cuh"
#include "cuda/d2t_kernels.cuh"
#include "cuda/mask_chamfer_kernels.cuh"
#include "cuda/s2d_kernels.cuh"
#include "cuda/s2d_large.cuh"

namespace topo {
namespace {

constexpr unsigned int kBlockSizes[] = {1, 4};  // for kernels without barriers
constexpr int64_t kCount = 3;                   // images; two blocks, so that one block takes two of them
constexpr unsigned int kBlocks = 2;
constexpr unsigned int kThreads = 160;  // four sweeping warps and one that reads

std::string name_of(const char* op, const S2dParams& p, Kind kind) {
  return std::string(op) + " " + std::to_string(p.height) + "x" + std::to_string(p.width) + " r" +
         std::to_string(p.radius) + " l" + std::to_string(p.iterations) + (p.black_border ? " border" : "") +
         (p.fill_holes ? " holes" : "") + (kind == Kind::kSoft ? " soft" : "");
}

// A batch of soft and binary images.
std::vector<Image> random_masks(const S2dParams& p, Kind kind) {
  std::vector<Image> masks;
  for (int64_t i = 0; i < kCount; ++i) masks.push_back(random_mask(p, i == 1 ? Kind::kBinary : kind));
  return masks;
}

// D of a batch on chip with `slots` slots for soft images; the second kernel computes the remaining ones.
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

// The levels of a batch through global memory, and which images are soft.
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

// Binary masks with sides up to kMaxSide, compared with the minimum over all background pixels.
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
  if (radius > 1) {
    launch(kBlocks, threads,
           [&] { d2t_window_kernel<double>(distance.data(), mask.data(), skeleton.data(), total, q); });
  } else {
    const bool fours = rows_of_four(distance.data(), p.width);
    const int64_t tiles = (p.width + 3) / 4 * ((p.height + kD2tRows - 1) / kD2tRows);
    launch(static_cast<unsigned int>((tiles + threads - 1) / threads), threads, [&] {
      d2t_kernel<double>(distance.data(), mask.data(), skeleton.data(), kCount, static_cast<int32_t>(p.height),
                         static_cast<int32_t>(p.width), fours);
    });
  }
  for (int64_t i = 0; i < kCount; ++i) {
    const Ridges expected = brute_d2t(p, radius, false, distances[i], masks[i], Image(n));
    expect_near("d2t r" + std::to_string(radius), image_of(skeleton, i, n), expected.skeleton, 1e-13);
  }
}

void check_chamfer(int64_t pixels) {
  std::vector<Image> maps(4, Image(kCount * pixels));
  Image pull(kCount, NAN), push(kCount, NAN), pulls(kCount), pushes(kCount);
  for (Image& map : maps) {
    for (double& value : map) value = uniform();
  }
  const int64_t chunks = (pixels + kChunk - 1) / kChunk;
  std::vector<PairSum> partial(kCount * chunks);
  const Sums<double> sums{pull.data(), push.data(), partial.data(), chunks};
  launch(static_cast<unsigned int>(kCount * chunks), 64, [&] {
    chamfer_kernel<double>(maps[0].data(), maps[1].data(), maps[2].data(), maps[3].data(), sums,
                           static_cast<int32_t>(pixels), rows_of_four(maps[0].data(), pixels));
  });
  if (chunks > 1) launch(1, 32, [&] { add_chunks_kernel(sums, kCount); });
  for (int64_t i = 0; i < kCount * pixels; ++i) {
    pulls[i / pixels] += maps[2][i] * maps[1][i];
    pushes[i / pixels] += maps[3][i] * maps[0][i];
  }
  expect_near("chamfer pull", pull, pulls, 1e-13);
  expect_near("chamfer push", push, pushes, 1e-13);
}

SkeletonParams skeleton_of(const S2dParams& p, int64_t pool_radius) {
  return {p, {p.height, p.width, pool_radius}};
}

Image brute_skeleton(const S2dParams& p, int64_t pool_radius, const Image& mask) {
  return brute_d2t(p, pool_radius, false, brute_s2d(p, mask), mask, Image(mask.size())).skeleton;
}

template <typename T>
void check_skeleton(const S2dParams& p, int64_t pool_radius, const std::vector<Image>& masks, Kind kind) {
  using Out = accumulate_t<T>;
  const int64_t n = p.pixels();
  const SkeletonParams q = skeleton_of(p, pool_radius);
  const LevelPlanes planes = level_planes(p);
  const auto mask = narrowed<T>(masks);
  std::vector<Out> skeleton(mask.size(), Out(NAN)), real(3 * n, Out(NAN));
  std::vector<int32_t> soft_images(kCount, -7);
  const bool fours = rows_of_four(mask.data(), p.width) && rows_of_four(skeleton.data(), p.width);
  launch(
      kBlocks, kThreads,
      [&] {
        skeleton_kernel<T, Out>(mask.data(), skeleton.data(), real.data(), 1, soft_images.data(), kCount, q, planes,
                                fours);
      },
      planes.shared_bytes());
  if constexpr (!std::is_same_v<T, uint8_t>) {
    launch(1, 4, [&] {
      skeleton_soft_kernel<T, Out>(mask.data(), skeleton.data(), real.data(), soft_images.data(), kCount, q);
    });
  }
  std::vector<uint8_t> ridges(mask.size(), 77);
  const auto levels = global_levels(p, mask, false, soft_images);
  launch(kBlocks, 8, [&] { ridges_kernel<uint8_t>(levels.data(), ridges.data(), kCount, q.ridges); });
  const double tolerance = std::is_same_v<T, float> ? 1e-4 : 1e-12;
  for (int64_t i = 0; i < kCount; ++i) {
    const Image expected = brute_skeleton(p, pool_radius, image_of(mask, i, n));
    expect_near(name_of("skeleton", p, kind), image_of(skeleton, i, n), expected, tolerance);
    if (!soft_images[i]) {
      expect_near(name_of("skeleton by columns", p, kind), image_of(ridges, i, n), expected, 0);
    }
  }
}

template <typename T>
void check_mask_chamfer(const S2dParams& p, bool skeletons, const std::vector<Image>& masks, Kind kind) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  const SkeletonParams q = skeleton_of(p, 1);
  const LevelPlanes planes = level_planes(p);
  const auto pred = narrowed<T>(masks);
  std::vector<Real> target(pred.size()), target_distance(pred.size()), real(3 * n, Real(NAN));
  for (Real& value : target) value = static_cast<Real>(uniform());
  for (Real& value : target_distance) value = static_cast<Real>(uniform(0, 30));
  std::vector<Real> pull(kCount, Real(NAN)), push(kCount, Real(NAN));
  std::vector<int32_t> soft_images(kCount, -7);
  const Sums<Real> sums{pull.data(), push.data(), nullptr, 1};
  const bool fours = rows_of_four(pred.data(), p.width) && rows_of_four(target.data(), p.width) &&
                     rows_of_four(target_distance.data(), p.width);
  launch(
      kBlocks, kThreads,
      [&] {
        mask_chamfer_kernel<T, Real>(pred.data(), target.data(), target_distance.data(), sums, real.data(), 1,
                                     soft_images.data(), kCount, q, skeletons, planes, fours);
      },
      planes.shared_bytes());
  if constexpr (!std::is_same_v<T, uint8_t>) {
    launch(1, 32, [&] {
      mask_chamfer_soft_kernel<T, Real>(pred.data(), target.data(), target_distance.data(), sums, real.data(),
                                        soft_images.data(), kCount, q, skeletons);
    });
  }
  // Through global memory, with sums in two chunks.
  std::vector<uint8_t> ridges(pred.size(), 77);
  std::vector<int32_t> none;
  auto levels = global_levels(p, pred, !skeletons, soft_images);
  if (skeletons) {
    launch(kBlocks, 8, [&] { ridges_kernel<uint8_t>(levels.data(), ridges.data(), kCount, q.ridges); });
    levels = global_levels(p, ridges, true, none);
  }
  std::vector<Real> global_pull(kCount, Real(NAN)), global_push(kCount, Real(NAN));
  const Sums<Real> global_sums{global_pull.data(), global_push.data(), nullptr, 1};
  launch(kCount, 64, [&] { level_sums_kernel(levels.data(), target.data(), target_distance.data(), global_sums, n); });

  const double tolerance = std::is_same_v<Real, float> ? 1e-4 : 1e-12;
  for (int64_t i = 0; i < kCount; ++i) {
    const Image mask = image_of(pred, i, n), x = skeletons ? brute_skeleton(p, 1, mask) : mask;
    Image outside(n);
    for (int64_t j = 0; j < n; ++j) outside[j] = 1 - x[j];
    const Image distance = brute_s2d(p, outside);
    double expected_pull = 0, expected_push = 0;
    for (int64_t j = 0; j < n; ++j) {
      expected_pull += distance[j] * target[i * n + j];
      expected_push += x[j] * target_distance[i * n + j];
    }
    const std::string name = name_of(skeletons ? "mask_chamfer of skeletons" : "mask_chamfer", p, kind);
    expect_near(name + " pull", {double(pull[i])}, {expected_pull}, tolerance);
    expect_near(name + " push", {double(push[i])}, {expected_push}, tolerance);
    if (soft_images[i]) continue;
    expect_near(name + " pull by columns", {double(global_pull[i])}, {expected_pull}, tolerance);
    expect_near(name + " push by columns", {double(global_push[i])}, {expected_push}, tolerance);
  }
}

void check_fused(const S2dParams& p) {
  for (Kind kind : {Kind::kBinary, Kind::kSoft}) {
    const auto masks = random_masks(p, kind);
    for (int64_t pool_radius : {1, 2}) {
      check_skeleton<double>(p, pool_radius, masks, kind);
      check_skeleton<float>(p, pool_radius, masks, kind);
    }
    for (bool skeletons : {false, true}) {
      check_mask_chamfer<double>(p, skeletons, masks, kind);
      check_mask_chamfer<float>(p, skeletons, masks, kind);
    }
  }
  const auto masks = random_masks(p, Kind::kBinary);
  check_skeleton<uint8_t>(p, 1, masks, Kind::kBinary);
  for (bool skeletons : {false, true}) check_mask_chamfer<uint8_t>(p, skeletons, masks, Kind::kBinary);
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
    }
    check_chamfer(height * width);
    for (int32_t iterations : {0, 2, deepest, 300}) check_fused({height, width, 1, iterations, false, false});
  }
  for (auto [height, width] : {std::pair<int64_t, int64_t>{35, 37}, {9, 140}, {140, 9}}) {
    check_fused({height, width, 1, 139, false, false});
  }
  for (auto [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {1, 200}, {200, 1}, {31, 33}, {32, 32}, {33, 31}}) {
    for (int64_t background : {0, 1, 5}) {
      for (bool border : {false, true}) {
        check_large_s2d(height, width, static_cast<int32_t>(std::max(height, width)) - 1, border, background);
      }
    }
  }
  check_chamfer(kChunk + 7);
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
