// Runs the CUDA kernels of the operators from masks to labels and masks on the host, and compares them with plain
// implementations. Prints differences; the exit code is 1 if there are any.

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "brute_force.h"
#include "cuda/components_kernels.cuh"

namespace topo {
namespace {

constexpr int64_t kCount = 3;  // images
constexpr unsigned int kBlocks = 2, kThreads = 64;

// Salt and pepper, or rectangles, so that there are components of every size.
Image random_components(int64_t height, int64_t width) {
  Image mask(height * width);
  if (uniform() < 0.5) {
    const double share = uniform();
    for (double& value : mask) value = uniform() < share;
    return mask;
  }
  for (int k = 0; k < 6; ++k) {
    const auto y0 = static_cast<int64_t>(uniform(0, height)), x0 = static_cast<int64_t>(uniform(0, width));
    const auto y1 = static_cast<int64_t>(uniform(y0, height)), x1 = static_cast<int64_t>(uniform(x0, width));
    for (int64_t y = y0; y <= y1; ++y) {
      for (int64_t x = x0; x <= x1; ++x) mask[y * width + x] = k % 3 != 2;
    }
  }
  return mask;
}

struct Components {
  Image label, area;  // of each pixel
  std::vector<int64_t> first;
};

// Floods from the first pixel of each component in raster order.
Components flood(const ComponentParams& p, const Image& mask, bool background) {
  Components result{Image(mask.size(), 0), Image(mask.size(), 0), {-1}};
  const bool diagonal = p.diagonal != background;
  for (int64_t start = 0; start < p.pixels(); ++start) {
    if ((mask[start] > 0.5) == background || result.label[start] > 0) continue;
    std::vector<int64_t> pixels{start};
    result.first.push_back(start);
    result.label[start] = static_cast<double>(result.first.size() - 1);
    for (size_t k = 0; k < pixels.size(); ++k) {
      const int64_t y = pixels[k] / p.width, x = pixels[k] % p.width;
      for (int64_t dy = -1; dy <= 1; ++dy) {
        for (int64_t dx = -1; dx <= 1; ++dx) {
          const int64_t v = y + dy, u = x + dx, j = v * p.width + u;
          if ((dy != 0 && dx != 0 && !diagonal) || v < 0 || u < 0 || v >= p.height || u >= p.width) continue;
          if ((mask[j] > 0.5) == background || result.label[j] > 0) continue;
          result.label[j] = result.label[start];
          pixels.push_back(j);
        }
      }
    }
    for (int64_t j : pixels) result.area[j] = static_cast<double>(pixels.size());
  }
  return result;
}

Image brute_selection(const ComponentParams& p, const Image& mask, Selection selection, int64_t area, bool bytes) {
  const bool holes = selection == Selection::kFillHoles;
  const Components c = flood(p, mask, holes);
  const auto count = static_cast<int64_t>(c.first.size());
  int64_t largest = 1;
  for (int64_t k = 2; k < count; ++k) {
    if (c.area[c.first[k]] > c.area[c.first[largest]]) largest = k;
  }
  std::vector<bool> at_border(count);
  for (int64_t i = 0; i < p.pixels(); ++i) {
    const int64_t y = i / p.width, x = i % p.width;
    if (y == 0 || x == 0 || y == p.height - 1 || x == p.width - 1) at_border[static_cast<int64_t>(c.label[i])] = true;
  }
  Image result = mask;
  for (int64_t i = 0; i < p.pixels(); ++i) {
    const auto label = static_cast<int64_t>(c.label[i]);
    if (label == 0) continue;
    const int64_t first = c.first[label];
    const bool small = c.area[first] < static_cast<double>(area);
    if (holes && small && !at_border[label]) result[i] = bytes ? mask[first - 1] : 1;
    if (selection == Selection::kRemoveSmall && small) result[i] = 0;
    if (selection == Selection::kLargest && label != largest) result[i] = 0;
  }
  return result;
}

template <typename T>
std::vector<int32_t> roots_of(const ComponentParams& p, const std::vector<T>& mask, bool inverted) {
  std::vector<int32_t> parents(mask.size(), 7777);
  launch(kBlocks, kThreads, [&] { component_words_kernel<T>(mask.data(), parents.data(), kCount, p, inverted); });
  launch(kBlocks, kThreads, [&] { component_unite_kernel(parents.data(), kCount, p, p.diagonal != inverted); });
  launch(kBlocks, kThreads, [&] { component_roots_kernel(parents.data(), kCount, p); });
  return parents;
}

std::vector<int32_t> areas_of(const ComponentParams& p, const std::vector<int32_t>& parents) {
  std::vector<int32_t> areas(parents.size(), 0);
  launch(kBlocks, kThreads, [&] { component_areas_kernel(parents.data(), areas.data(), kCount, p); });
  return areas;
}

template <typename T>
void check_components(const ComponentParams& p, const std::vector<Image>& masks) {
  const int64_t n = p.pixels();
  const std::vector<T> mask = narrowed<T>(masks);
  std::vector<int32_t> labels = roots_of(p, mask, false), areas = areas_of(p, labels);
  std::vector<int32_t> numbers(mask.size(), 7777), begun(kCount * p.height, 7777);
  launch(kBlocks, kThreads, [&] { component_rows_kernel(labels.data(), begun.data(), kCount, p); });
  launch(kBlocks, kThreads, [&] { component_sums_kernel(begun.data(), kCount, p); });
  launch(kBlocks, kThreads, [&] { component_numbers_kernel(labels.data(), begun.data(), numbers.data(), kCount, p); });
  launch(kBlocks, kThreads, [&] { component_spread_kernel(labels.data(), areas.data(), areas.data(), kCount, p); });
  launch(kBlocks, kThreads, [&] { component_spread_kernel(labels.data(), numbers.data(), labels.data(), kCount, p); });
  const std::string name =
      "components " + std::to_string(p.height) + "x" + std::to_string(p.width) + (p.diagonal ? " 8" : " 4");
  for (int64_t i = 0; i < kCount; ++i) {
    const Components expected = flood(p, masks[i], false);
    expect_near("labels of " + name, image_of(labels, i, n), expected.label, 0);
    expect_near("areas of " + name, image_of(areas, i, n), expected.area, 0);
  }
}

template <typename T>
void check_selection(const ComponentParams& p, const std::vector<Image>& masks, Selection selection, int64_t area) {
  const int64_t n = p.pixels();
  const std::vector<T> mask = narrowed<T>(masks);
  const std::vector<int32_t> parents = roots_of(p, mask, selection == Selection::kFillHoles);
  std::vector<int32_t> areas = areas_of(p, parents);
  std::vector<unsigned long long> best(kCount, 0);
  if (selection == Selection::kFillHoles) {
    launch(kBlocks, kThreads, [&] { component_border_kernel(parents.data(), areas.data(), kCount, p); });
  }
  launch(kBlocks, kThreads, [&] { component_largest_kernel(parents.data(), areas.data(), best.data(), kCount, p); });
  std::vector<T> result(mask.size(), T(77));
  launch(kBlocks, kThreads, [&] {
    component_select_kernel<T>(mask.data(), parents.data(), areas.data(), best.data(), result.data(), kCount, p,
                               selection, static_cast<int32_t>(area));
  });
  for (int64_t i = 0; i < kCount; ++i) {
    const Image expected = brute_selection(p, image_of(mask, i, n), selection, area, std::is_same_v<T, uint8_t>);
    expect_near("selection " + std::to_string(static_cast<int>(selection)), image_of(result, i, n), expected, 0);
  }
}

void run_components() {
  const int64_t sizes[][2] = {{1, 1}, {1, 70}, {40, 1}, {7, 31}, {12, 33}, {35, 100}};
  for (const auto& size : sizes) {
    for (int round = 0; round < 12; ++round) {
      const ComponentParams p{size[0], size[1], round % 2 == 0};
      std::vector<Image> masks;
      for (int64_t i = 0; i < kCount; ++i) masks.push_back(random_components(size[0], size[1]));
      check_components<uint8_t>(p, masks);
      check_components<double>(p, masks);
      const int64_t area = round % 4 == 3 ? 0x7FFFFFFF : round;
      for (Selection selection : {Selection::kFillHoles, Selection::kRemoveSmall, Selection::kLargest}) {
        check_selection<float>(p, masks, selection, area);
        for (Image& mask : masks) {
          for (double& value : mask) value *= std::floor(uniform(1, 256));
        }
        check_selection<uint8_t>(p, masks, selection, area);
        for (Image& mask : masks) {
          for (double& value : mask) value = value > 0;
        }
      }
    }
  }
}

}  // namespace
}  // namespace topo

int main() {
  topo::run_components();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
