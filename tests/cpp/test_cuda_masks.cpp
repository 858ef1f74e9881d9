// Runs the CUDA kernels of the operators from masks to labels and masks on the host, and compares them with plain
// implementations. Prints differences; the exit code is 1 if there are any.

// clang-format off
#include "cuda_on_host.h"  // before the kernels
// clang-format on
#include "brute_force.h"
#include "cuda/components_kernels.cuh"
#include "cuda/morphology_kernels.cuh"
#include "cuda/thin_kernels.cuh"

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

// Whether a pass of Guo and Hall's algorithm A1 removes a pixel, as printed.
bool guo_hall_as_printed(const std::vector<int>& p,
                         int pass) {  // p[0] is P1 ... p[7] is P8, clockwise from the left top
  const auto value = [&](int k) { return p[(k - 1) % 8]; };
  int runs = 0, pairs1 = 0, pairs2 = 0;
  for (int k = 1; k <= 4; ++k) {
    runs += !value(2 * k) && (value(2 * k + 1) || value(2 * k + 2));
    pairs1 += value(2 * k - 1) || value(2 * k);
    pairs2 += value(2 * k) || value(2 * k + 1);
  }
  const int pairs = std::min(pairs1, pairs2);
  const bool kept =
      pass == 0 ? (value(2) || value(3) || !value(5)) && value(4) : (value(6) || value(7) || !value(1)) && value(8);
  return runs == 1 && pairs >= 2 && pairs <= 3 && !kept;
}

// Thins pixel by pixel. Zhang and Suen's rule is that of thin_rules.h, for words of one pixel; the tests in Python
// compare it with a table.
Image brute_thin(const ThinImage& image, ThinMethod method, Image mask) {
  for (double& value : mask) value = value > 0.5;
  const auto set = [&](const Image& from, int64_t y, int64_t x) {
    return y >= 0 && x >= 0 && y < image.height && x < image.width && from[y * image.width + x] > 0;
  };
  for (bool any = true; any;) {
    any = false;
    for (int pass = 0; pass < 2; ++pass) {
      const Image from = mask;
      for (int64_t i = 0; i < static_cast<int64_t>(mask.size()); ++i) {
        if (from[i] == 0) continue;
        const int64_t y = i / image.width, x = i % image.width;
        std::vector<int> p;
        const int dy[] = {-1, -1, -1, 0, 1, 1, 1, 0}, dx[] = {-1, 0, 1, 1, 1, 0, -1, -1};
        for (int k = 0; k < 8; ++k) p.push_back(set(from, y + dy[k], x + dx[k]));
        bool removes = guo_hall_as_printed(p, pass);
        if (method == ThinMethod::kZhangSuen) {
          const auto bit = [&](int k) { return static_cast<uint8_t>(p[k]); };
          const ThinNeighbours<uint32_t> n{bit(1), bit(2), bit(3), bit(4), bit(5), bit(6), bit(7), bit(0)};
          removes = (pass == 0 ? zhang_suen_removes<0>(n) : zhang_suen_removes<1>(n)) & 1;
        }
        if (removes) mask[i] = 0, any = true;
      }
    }
  }
  return mask;
}

template <typename T>
void check_thin(const ThinImage& image, ThinMethod method, const std::vector<Image>& masks, bool on_chip) {
  const std::vector<T> mask = narrowed<T>(masks);
  std::vector<T> result(mask.size(), T(77));
  std::vector<uint32_t> scratch(on_chip ? 0 : kBlocks * 2 * image.plane(), 0x5A5A5A5A);
  launch(
      kBlocks, kThreads,
      [&] { thin_kernel<T>(mask.data(), result.data(), on_chip ? nullptr : scratch.data(), kCount, image, method); },
      on_chip ? image.bytes() : 0);
  for (int64_t i = 0; i < kCount; ++i) {
    expect_near("thin " + std::to_string(image.height) + "x" + std::to_string(image.width),
                image_of(result, i, int64_t(image.height) * image.width), brute_thin(image, method, masks[i]), 0);
  }
}

void run_thin() {
  const int32_t sizes[][2] = {{1, 1}, {1, 70}, {40, 1}, {9, 32}, {12, 33}, {35, 100}};
  for (const auto& size : sizes) {
    for (int round = 0; round < 6; ++round) {
      std::vector<Image> masks;
      for (int64_t i = 0; i < kCount; ++i) masks.push_back(random_components(size[0], size[1]));
      for (ThinMethod method : {ThinMethod::kZhangSuen, ThinMethod::kGuoHall}) {
        check_thin<float>({size[0], size[1]}, method, masks, round % 2 == 0);
        check_thin<uint8_t>({size[0], size[1]}, method, masks, round % 2 == 1);
      }
    }
  }
}

// Every pixel of the element around every pixel.
Image brute_morphology(int64_t height, int64_t width, const MorphologyParams& p, bool erodes, const Image& mask) {
  Image result(mask.size());
  for (int64_t i = 0; i < static_cast<int64_t>(mask.size()); ++i) {
    bool near = false;
    for (int64_t dy = -p.reach; dy <= p.reach; ++dy) {
      for (int64_t dx = -p.reach; dx <= p.reach; ++dx) {
        if (p.disc && dy * dy + dx * dx > p.squared) continue;
        const int64_t y = i / width + dy, x = i % width + dx;
        const bool inside = y >= 0 && x >= 0 && y < height && x < width;
        near = near || (inside ? (mask[y * width + x] > 0.5) != erodes : erodes && p.black_border);
      }
    }
    result[i] = near != erodes;
  }
  return result;
}

template <typename T>
void check_morphology(int64_t height, int64_t width, const MorphologyParams& p, bool erodes,
                      const std::vector<Image>& masks) {
  const EdtParams edt{height, width, false, true, erodes && p.black_border, 1, 1};
  const EdtPlanes planes = edt_planes(edt, !erodes);
  const std::vector<T> mask = narrowed<T>(masks);
  std::vector<T> result(mask.size(), T(77));
  std::vector<uint16_t> nearest(kCount * planes.pixels(), 7777);
  const EmitWithin<T> emit{result.data(), p.squared, erodes};
  launch(
      static_cast<unsigned int>(kCount * ((planes.width + 31) / 32)), kThreads,
      [&] { edt_columns_kernel<T>(mask.data(), nearest.data(), planes); }, planes.column_bytes());
  if (p.disc) {
    launch(
        kBlocks, kThreads,
        [&] { edt_rows_kernel<uint32_t>(nearest.data(), kCount, planes, EdtMetric<uint32_t>{1, 1}, emit); },
        planes.row_bytes());
  } else {
    launch(
        kBlocks, kThreads, [&] { square_rows_kernel<T>(nearest.data(), kCount, planes, p.reach, emit); },
        (planes.width + 31) / 32 * 4);
  }
  for (int64_t i = 0; i < kCount; ++i) {
    expect_near(std::string(erodes ? "erode " : "dilate ") + (p.disc ? "disc " : "square ") + std::to_string(p.reach),
                image_of(result, i, height * width), brute_morphology(height, width, p, erodes, masks[i]), 0);
  }
}

void run_morphology() {
  const int64_t sizes[][2] = {{1, 1}, {1, 70}, {40, 1}, {9, 32}, {12, 33}, {35, 100}};
  for (const auto& size : sizes) {
    for (double radius : {0.0, 1.0, 2.5, 7.0, 40.0}) {
      for (int options = 0; options < 8; ++options) {
        const MorphologyParams p{Morphology::kDilate, (options & 1) != 0, (options & 2) != 0,
                                 static_cast<int32_t>(radius), static_cast<uint32_t>(radius * radius)};
        std::vector<Image> masks;
        for (int64_t i = 0; i < kCount; ++i) masks.push_back(random_components(size[0], size[1]));
        masks[2].assign(masks[2].size(), options & 4);  // full or empty
        check_morphology<uint8_t>(size[0], size[1], p, (options & 4) != 0, masks);
        for (double& value : masks[2]) value = value > 0;
        check_morphology<float>(size[0], size[1], p, (options & 4) == 0, masks);
      }
    }
  }
}

}  // namespace
}  // namespace topo

int main() {
  topo::run_components();
  topo::run_thin();
  topo::run_morphology();
  if (topo::failures) std::printf("%d checks failed\n", topo::failures);
  return topo::failures ? 1 : 0;
}
