#include "cpu/edt_image.h"
#include "cpu/pages.h"

namespace topo {
namespace {

// One row of a map whose rows and columns have different pitches.
template <typename Out>
void edt_row_of_pitches(const EdtImage& image, EdtRowSearch& search, int64_t y, Out* row) {
  const EdtParams& p = image.p;
  search.for_runs(image, y, [&](int64_t begin, int64_t end, int64_t column) {
    const int64_t along = image.target_row(y, column) - y;
    for (int64_t x = begin; x < end; ++x) {
      if (image.inverted && image.is_target(y, x)) continue;
      const double squared = search.cost(p, along, x - column);
      const auto value = static_cast<Out>(p.squared ? squared : std::sqrt(squared));
      row[x] = image.inverted ? -value : value;
    }
  });
}

// One map of one image: the distances to the background, or minus those to the foreground if the image is inverted.
template <typename Out>
void edt_map(const EdtImage& image, Out* result) {
  const EdtParams& p = image.p;
  find_columns(image);
  if (!image.has_target()) {
    const auto all = static_cast<Out>(p.without_target());
    return std::fill(result, result + p.pixels(), image.inverted ? -all : all);
  }
  const double scale = p.squared ? p.pitch_x * p.pitch_x : p.pitch_x;
  in_parts(p.height, p.width, [&](int64_t begin, int64_t end) {
    EdtRowSearch search(p);
    search.start(image);
    for (int64_t y = begin; y < end; ++y) {
      Out* row = result + y * p.width;
      if (p.isotropic()) {
        TOPO_SIMD_CALL(write_edt_row, search.squared(image, y), p.width, scale, !p.squared, image.inverted, row);
      } else {
        edt_row_of_pitches(image, search, y, row);
      }
    }
  });
}

Tensor edt_cpu(const Tensor& mask, bool is_signed, bool squared, std::optional<std::vector<double>> sampling,
               bool black_border) {
  check_mask_dtype("edt", "mask", mask);
  const Images images = images_of("edt", "mask", mask);
  const EdtParams p = edt_params("edt", images, is_signed, squared, sampling, black_border);
  Tensor result = fresh_like_shape(mask, edt_result_dtype(mask.scalar_type()));
  if (mask.numel() == 0) return result;

  const Tensor source = as_contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    using Out = accumulate_t<T>;
    auto* out = static_cast<Out*>(result.mutable_data_ptr());
    const auto body = [&](int64_t i, const uint8_t* foreground, uint16_t* distance) {
      edt_map(EdtImage{p, foreground, distance, false}, out + i * p.pixels());
      if (p.is_signed) edt_map(EdtImage{p, foreground, distance, true}, out + i * p.pixels());
    };
    for_edt_images("edt", static_cast<const T*>(source.const_data_ptr()), images.count, p, body);
  });
  return result;
}

// The flat indices of the targets of one image, -1 in the ring and without a target. Targets get their own.
void edt_targets(const EdtImage& image, int64_t* result) {
  const EdtParams& p = image.p;
  find_columns(image);
  const bool found = image.has_target();
  in_parts(p.height, p.width, [&](int64_t begin, int64_t end) {
    EdtRowSearch search(p);
    search.start(image);
    for (int64_t y = begin; y < end; ++y) {
      int64_t* row = result + y * p.width;
      for (int64_t x = 0; x < p.width; ++x) {
        const bool target = image.is_target(y, x);
        if (!target || !image.inverted) row[x] = target ? y * p.width + x : -1;
      }
      if (!found) continue;
      search.for_runs(image, y, [&](int64_t first, int64_t last, int64_t column) {
        const int64_t v = image.target_row(y, column);
        const int64_t index = image.in_ring(v, column) ? -1 : v * p.width + column;
        for (int64_t x = first; x < last; ++x) {
          if (!image.is_target(y, x)) row[x] = index;
        }
      });
    }
  });
}

Tensor edt_indices_cpu(const Tensor& mask, bool is_signed, std::optional<std::vector<double>> sampling,
                       bool black_border) {
  check_mask_dtype("edt_indices", "mask", mask);
  const Images images = images_of("edt_indices", "mask", mask);
  const EdtParams p = edt_params("edt_indices", images, is_signed, false, sampling, black_border);
  Tensor result = fresh_like_shape(mask, ScalarType::Long);
  if (mask.numel() == 0) return result;

  const Tensor source = as_contiguous(mask);
  auto* out = static_cast<int64_t*>(result.mutable_data_ptr());
  const auto body = [&](int64_t i, const uint8_t* foreground, uint16_t* distance) {
    edt_targets(EdtImage{p, foreground, distance, false}, out + i * p.pixels());
    if (p.is_signed) edt_targets(EdtImage{p, foreground, distance, true}, out + i * p.pixels());
  };
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    for_edt_images("edt_indices", static_cast<const decltype(tag)*>(source.const_data_ptr()), images.count, p, body);
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("edt", TORCH_BOX(&edt_cpu));
  m.impl("edt_indices", TORCH_BOX(&edt_indices_cpu));
}

}  // namespace topo
