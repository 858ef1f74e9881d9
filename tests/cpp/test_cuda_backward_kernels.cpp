// Runs the CUDA backward kernels on the host and compares them with brute force. The exit code is 1 if they differ.

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "brute_force.h"
#include "cuda/d2t_backward_kernels.cuh"
#include "cuda/mask_chamfer_backward_kernels.cuh"
#include "cuda/s2d_backward_kernels.cuh"
#include "cuda/skeleton_backward_kernels.cuh"

namespace topo {
namespace {

constexpr int64_t kCount = 3;  // images; two blocks, so that one block takes two of them
constexpr unsigned int kBlocks = 2;
constexpr unsigned int kChipThreads = 160;  // four sweeping warps and one that does not sweep

std::string describe(const S2dParams& p) {
  return std::to_string(p.height) + "x" + std::to_string(p.width) + " r" + std::to_string(p.radius) + " l" +
         std::to_string(p.iterations) + (p.black_border ? " border" : "") + (p.fill_holes ? " holes" : "");
}

// Dense, sparse or no gradient.
Image random_grad(int64_t n, double density = 1) {
  Image grad(n);
  for (double& value : grad) value = uniform() < density ? uniform(-1, 1) : 0;
  return grad;
}

std::vector<Image> random_grads(int64_t n) {
  return {random_grad(n), random_grad(n, 0.1), random_grad(n, uniform() < 0.2 ? 0 : 1)};
}

std::vector<uint8_t> dirty(int64_t bytes) {
  return std::vector<uint8_t>(bytes, 0x5E);  // not zero, and a large positive number if read as a count
}

// ---- s2d ----

// `soft_images` images of the batch, from the second on, hold values between 0 and 1.
template <typename T>
void check_s2d(const S2dParams& p, int soft_images, unsigned int threads) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  std::vector<Image> masks;
  for (int64_t i = 0; i < kCount; ++i) {
    masks.push_back(random_mask(p, i > 0 && i <= soft_images ? Kind::kSoft : Kind::kBinary));
  }
  const auto mask = narrowed<T>(masks), grad = narrowed<T>(random_grads(n));
  const double tolerance = std::is_same_v<T, float> ? 3e-5 : 1e-12;
  std::vector<uint8_t> soft(kCount, 77);

  Room route{nullptr}, adjoint{nullptr};
  LargeRoute(p, route);
  AdjointRoom<Real>(p, adjoint);
  for (bool literal : {false, true}) {
    if (literal && std::is_same_v<T, float> && p.iterations > 8) continue;  // exceeds the range of float32
    std::vector<Real> result(kCount * n, Real(NAN));
    if (!literal) {
      auto scratch = dirty(kBlocks * route.taken());
      launch(kBlocks, threads, [&] {
        s2d_route_large_kernel<T>(grad.data(), mask.data(), scratch.data(), route.taken(), soft.data(), result.data(),
                                  kCount, p);
      });
    }
    auto scratch = dirty(kBlocks * adjoint.taken());
    launch(kBlocks, threads, [&] {
      s2d_adjoint_kernel<T>(grad.data(), mask.data(), scratch.data(), adjoint.taken(), literal ? nullptr : soft.data(),
                            result.data(), kCount, p);
    });
    for (int64_t i = 0; i < kCount; ++i) {
      const Image m = image_of(mask, i, n), g = image_of(grad, i, n);
      const bool exact = literal || (i > 0 && i <= soft_images);
      expect_near("s2d " + describe(p) + (literal ? " literal" : " subgradient"), image_of(result, i, n),
                  exact ? brute_literal(p, m, g) : brute_route(p, m, g), tolerance);
    }
  }
}

// A list for few pixels or for one: levels are listed in several passes, or found by testing every pixel.
void check_small_list(const S2dParams& p, int32_t capacity, unsigned int threads) {
  const int64_t n = p.pixels();
  const Image mask = random_mask(p, Kind::kBinary), grad = random_grad(n);
  std::vector<uint16_t> depth(n);
  const Image distance = brute_s2d(p, mask);
  for (int64_t i = 0; i < n; ++i) depth[i] = static_cast<uint16_t>(distance[i]);
  std::vector<uint32_t> list(capacity);
  std::vector<int32_t> next(p.iterations + 2), ends(p.iterations + 2);
  Image result(n, NAN);
  const WidePlane plane{depth.data(), static_cast<int32_t>(p.height), static_cast<int32_t>(p.width), p.radius};
  launch(1, threads, [&] {
    route_image(
        p, plane, LevelList<uint32_t>{list.data(), capacity, next.data(), ends.data()},
        [&](int32_t i) { return grad[i]; }, result.data());
  });
  expect_near("list of " + std::to_string(capacity) + ", " + describe(p), result, brute_route(p, mask, grad), 1e-12);
}

template <typename T>
void check_s2d_on_chip(const S2dParams& p, int soft_images) {
  const int64_t n = p.pixels();
  std::vector<Image> masks;
  for (int64_t i = 0; i < kCount; ++i) {
    masks.push_back(random_mask(p, i > 0 && i <= soft_images ? Kind::kSoft : Kind::kBinary));
  }
  const auto mask = narrowed<T>(masks), grad = narrowed<T>(random_grads(n));
  std::vector<uint8_t> soft(kCount, 77);
  std::vector<accumulate_t<T>> result(kCount * n, NAN);
  const LevelPlanes planes = level_planes(p);
  Room room{nullptr};
  ChipMemory(planes, room);
  launch(
      kBlocks, kChipThreads,
      [&] {
        s2d_route_kernel<T>(grad.data(), mask.data(), soft.data(), result.data(), kCount, planes, chip_params(p),
                            rows_of_four(mask.data(), p.width));
      },
      room.taken());
  for (int64_t i = 0; i < kCount; ++i) {
    const bool is_soft = i > 0 && i <= soft_images && n > 0;
    if (soft[i] != is_soft) {
      std::printf("s2d on chip: image %d taken for %s\n", static_cast<int>(i), is_soft ? "binary" : "soft");
      ++failures;
    }
    if (is_soft) continue;
    expect_near("s2d on chip " + describe(p), image_of(result, i, n),
                brute_route(p, image_of(mask, i, n), image_of(grad, i, n)), std::is_same_v<T, float> ? 3e-5 : 1e-12);
  }
}

// ---- d2t ----

void check_d2t(const S2dParams& p, int64_t radius, bool soft_mask, unsigned int threads) {
  const int64_t n = p.pixels(), total = kCount * n;
  const D2tParams q{p.height, p.width, radius};
  std::vector<Image> masks, distances, skeletons;
  for (int64_t i = 0; i < kCount; ++i) {
    masks.push_back(random_mask(p, Kind::kBinary));
    distances.push_back(brute_s2d(p, masks.back()));
    if (soft_mask) {
      for (double& value : masks.back()) value *= uniform(0.1, 1);
    }
    skeletons.push_back(brute_d2t(p, radius, false, distances[i], masks[i], Image(n)).skeleton);
  }
  const auto mask = narrowed<double>(masks), distance = narrowed<double>(distances);
  const auto grad = narrowed<double>(random_grads(n)), skeleton = narrowed<double>(skeletons);
  for (bool literal : {false, true}) {
    Image grad_mask(total, NAN), grad_distance(total, NAN);
    if (radius == 1) {
      launch(kBlocks, threads, [&] {
        d2t_backward_tile_kernel(grad.data(), distance.data(), mask.data(), skeleton.data(), grad_distance.data(),
                                 grad_mask.data(), kCount, q, literal);
      });
    } else {
      Image passed(total, NAN), taken(total, NAN);
      std::vector<int64_t> argmax(total, -7);
      launch(kBlocks, threads, [&] {
        ridge_kernel(grad.data(), distance.data(), mask.data(), skeleton.data(), passed.data(), taken.data(),
                     argmax.data(), grad_mask.data(), total, q, literal);
      });
      launch(kBlocks, threads, [&] {
        distance_grad_kernel(distance.data(), passed.data(), taken.data(), argmax.data(), grad_distance.data(), total,
                             q, literal);
      });
    }
    for (int64_t i = 0; i < kCount; ++i) {
      const Ridges expected = brute_d2t(p, radius, literal, distances[i], masks[i], image_of(grad, i, n));
      const std::string name =
          "d2t " + describe(p) + " pool " + std::to_string(2 * radius + 1) + (literal ? " literal" : " subgradient");
      expect_near(name + " distance", image_of(grad_distance, i, n), expected.grad_distance, 1e-13);
      expect_near(name + " mask", image_of(grad_mask, i, n), expected.grad_mask, 1e-13);
    }
  }
}

// ---- skeleton and mask_chamfer ----

bool is_soft(const Image& mask) {
  return std::any_of(mask.begin(), mask.end(), [](double value) { return value != 0 && value != 1; });
}

Image brute_s2d_backward(const S2dParams& p, bool literal, const Image& mask, const Image& grad) {
  return literal || is_soft(mask) ? brute_literal(p, mask, grad) : brute_route(p, mask, grad);
}

Image brute_skeleton_backward(const SkeletonParams& p, bool literal, const Image& mask, const Image& grad) {
  const Ridges ridges = brute_d2t(p.thinning, p.ridges.radius, literal, brute_s2d(p.thinning, mask), mask, grad);
  Image result = brute_s2d_backward(p.thinning, literal, mask, ridges.grad_distance);
  for (size_t i = 0; i < result.size(); ++i) result[i] += ridges.grad_mask[i];
  return result;
}

Image brute_chamfer_backward(const SkeletonParams& p, bool skeletons, bool literal, double pull, double push,
                             const Image& pred, const Image& target, const Image& target_distance) {
  const size_t n = pred.size();
  Image complement = pred, pulled(n), grad_x(n);
  if (skeletons) {
    complement = brute_d2t(p.thinning, p.ridges.radius, literal, brute_s2d(p.thinning, pred), pred, Image(n)).skeleton;
  }
  for (size_t i = 0; i < n; ++i) {
    complement[i] = 1 - complement[i];
    pulled[i] = pull * target[i];
  }
  const Image routed = brute_s2d_backward(p.thinning, literal, complement, pulled);
  for (size_t i = 0; i < n; ++i) grad_x[i] = push * target_distance[i] - routed[i];
  return skeletons ? brute_skeleton_backward(p, literal, pred, grad_x) : grad_x;
}

// Binary and soft images in one batch: on chip, then the soft and remaining ones in global memory.
void check_fused(const S2dParams& thinning, int64_t pool_radius, bool literal, bool on_chip) {
  const SkeletonParams p{thinning, {thinning.height, thinning.width, pool_radius}};
  const int64_t n = p.pixels();
  const LevelPlanes planes = level_planes(thinning);
  std::vector<Image> masks, targets, distances;
  for (int64_t i = 0; i < kCount; ++i) {
    masks.push_back(random_mask(thinning, i == 1 ? Kind::kSoft : Kind::kBinary));
    targets.push_back(random_mask(thinning, Kind::kBinary));
    distances.push_back(random_grad(n));
  }
  const auto mask = narrowed<double>(masks), target = narrowed<double>(targets),
             grad = narrowed<double>(random_grads(n));
  const auto distance = narrowed<double>(distances);
  const auto bytes = uniform() < 0.5 ? narrowed<uint8_t>(targets) : std::vector<uint8_t>();
  const Image pull = random_grad(kCount), push = random_grad(kCount);
  const std::string name = describe(thinning) + " pool " + std::to_string(2 * pool_radius + 1) +
                           (literal ? " literal" : " subgradient") + (on_chip ? " on chip" : "");
  Room chip{nullptr}, room{nullptr};
  ChipMemory(planes, chip);
  ChamferRoom<double>(p, room);
  const bool fours = rows_of_four(mask.data(), planes.width);
  for (int op = 0; op < 3; ++op) {  // skeleton, mask_chamfer, mask_chamfer of skeletons
    std::vector<uint8_t> soft(kCount, 77);
    Image result(kCount * n, NAN), slots(kBlocks * n, NAN);
    const ChamferMaps<double> maps{pull.data(),  push.data(),    mask.data(), bytes.empty() ? target.data() : nullptr,
                                   bytes.data(), distance.data()};
    const auto run_chip = [&] {
      if (op == 0) {
        skeleton_route_kernel<double>(grad.data(), mask.data(), soft.data(), result.data(), kCount, planes,
                                      chip_params(thinning), fours);
      } else {
        mask_chamfer_route_kernel<double>(maps, slots.data(), soft.data(), result.data(), kCount, planes,
                                          chip_params(thinning), op == 2, fours);
      }
    };
    auto scratch = dirty(kBlocks * room.taken());
    const auto run_wide = [&] {
      const uint8_t* left = on_chip ? soft.data() : nullptr;
      if (op == 0) {
        skeleton_backward_kernel<double>(grad.data(), mask.data(), scratch.data(), room.taken(), left, result.data(),
                                         kCount, p, literal);
      } else {
        mask_chamfer_backward_kernel<double>(maps, scratch.data(), room.taken(), left, result.data(), kCount, p,
                                             op == 2, literal);
      }
    };
    if (on_chip) launch(kBlocks, kChipThreads, run_chip, chip.taken());
    launch(kBlocks, 4, run_wide);
    for (int64_t i = 0; i < kCount; ++i) {
      const Image expected =
          op == 0 ? brute_skeleton_backward(p, literal, masks[i], image_of(grad, i, n))
                  : brute_chamfer_backward(p, op == 2, literal, pull[i], push[i], masks[i], targets[i], distances[i]);
      const char* ops[] = {"skeleton ", "mask_chamfer ", "mask_chamfer of skeletons "};
      expect_near(ops[op] + name, image_of(result, i, n), expected, 1e-11);
    }
  }
}

void run() {
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {1, 8}, {8, 1}, {7, 9}, {12, 5}, {5, 31}, {13, 32}, {20, 33}};
  for (unsigned int threads : {1u, 4u}) {
    for (auto [height, width] : sizes) {
      const auto deepest = static_cast<int32_t>(std::max(height, width)) - 1;
      for (int options = 0; options < 4; ++options) {
        const bool border = options & 1, holes = options & 2;
        if (holes && (height == 1 || width == 1)) continue;  // the contract differs from the recursion there
        for (int32_t radius : {1, 2}) {
          for (int32_t iterations : {0, 2, deepest}) {
            const S2dParams p{height, width, radius, iterations, border, holes};
            check_s2d<double>(p, 0, threads);
            check_s2d<double>(p, 2, threads);
            check_s2d<float>(p, 1, threads);
          }
        }
      }
      const S2dParams p{height, width, 1, deepest, false, false};
      for (int32_t capacity : {1, 5, 40}) check_small_list(p, capacity, threads);
      for (int64_t radius : {1, 2, 5}) {
        check_d2t(p, radius, false, threads);
        check_d2t(p, radius, true, threads);
        for (bool literal : {false, true}) check_fused(p, radius, literal, false);
      }
    }
  }
}

void run_on_chip() {
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {1, 254}, {9, 7}, {31, 5}, {33, 32}, {20, 131}};
  for (auto [height, width] : sizes) {
    for (bool border : {false, true}) {
      const S2dParams p{height, width, 1, border ? 3 : 300, border, false};
      check_s2d_on_chip<float>(p, 0);
      check_s2d_on_chip<double>(p, 1);
    }
    check_fused({height, width, 1, 3, false, false}, 1, false, true);
    check_fused({height, width, 1, 300, false, false}, 1, false, true);
  }
}

}  // namespace
}  // namespace topo

int main() {
  topo::run();
  topo::run_on_chip();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
