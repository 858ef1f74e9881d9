#include "components.h"

#include "cpu/component_runs.h"
#include "cpu/pages.h"

namespace topo {
namespace {

void label_images(const char* op, const Tensor& mask, int64_t connectivity, Tensor& labels, Tensor* areas) {
  const Images images = images_of(op, "mask", mask);
  const ComponentParams p = component_params(op, images, connectivity);
  labels = fresh_like_shape(mask, ScalarType::Int);
  if (areas) *areas = fresh_like_shape(mask, ScalarType::Int);
  if (mask.numel() == 0) return;

  const Tensor source = as_contiguous(mask);
  auto* label_data = static_cast<int32_t*>(labels.mutable_data_ptr());
  auto* area_data = areas ? static_cast<int32_t*>(areas->mutable_data_ptr()) : nullptr;
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    for_bit_images(op, static_cast<const T*>(source.const_data_ptr()), images,
                   [&](int64_t image, const T*, const uint64_t* bits) {
                     ComponentRuns runs(p);
                     runs.find(bits, false);
                     runs.write(runs.labels(), label_data + image * p.pixels());
                     if (!area_data) return;
                     Buffer<int32_t> area_of, values(runs.runs());
                     runs.measure(area_of);
                     for (int64_t run = 0; run < runs.runs(); ++run) values[run] = area_of[runs.label(run)];
                     runs.write(values.data(), area_data + image * p.pixels());
                   });
  });
}

Tensor connected_components_cpu(const Tensor& mask, int64_t connectivity) {
  check_mask_dtype("connected_components", "mask", mask);
  Tensor labels;
  label_images("connected_components", mask, connectivity, labels, nullptr);
  return labels;
}

std::tuple<Tensor, Tensor> components_with_areas_cpu(const Tensor& mask, int64_t connectivity) {
  check_mask_dtype("components_with_areas", "mask", mask);
  Tensor labels, areas;
  label_images("components_with_areas", mask, connectivity, labels, &areas);
  return {labels, areas};
}

// Which components change: changes[label] != 0. For holes, `seeds` gets the pixel before their first one.
void choose(ComponentRuns& runs, const ComponentParams& p, Selection selection, int64_t area, Buffer<uint8_t>& changes,
            Buffer<int64_t>& seeds) {
  Buffer<int32_t> areas;
  runs.measure(areas);
  changes.resize(runs.components() + 1);
  if (selection == Selection::kLargest) {
    int64_t best = 1;
    for (int64_t label = 2; label <= runs.components(); ++label) {
      if (areas[label] > areas[best]) best = label;
    }
    for (int64_t label = 1; label <= runs.components(); ++label) changes[label] = label != best;
    return;
  }
  for (int64_t label = 1; label <= runs.components(); ++label) changes[label] = areas[label] < area;
  if (selection != Selection::kFillHoles) return;
  seeds.resize(runs.components() + 1);
  int32_t seen = 0;
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t run = runs.first_run(y); run < runs.first_run(y + 1); ++run) {
      const int32_t label = runs.label(run);
      if (label > seen) seen = label, seeds[label] = y * p.width + runs.begin(run) - 1;
      if (y == 0 || y == p.height - 1 || runs.begin(run) == 0 || runs.end(run) == p.width) changes[label] = 0;
    }
  }
}

template <typename T>
void select_in_image(const ComponentParams& p, Selection selection, int64_t area, const T* source, const uint64_t* bits,
                     T* result) {
  ComponentRuns runs(p);
  runs.find(bits, selection == Selection::kFillHoles);
  Buffer<uint8_t> changes;
  Buffer<int64_t> seeds;
  choose(runs, p, selection, area, changes, seeds);
  in_row_parts(p.height, p.width, [&](int64_t from, int64_t to) {
    std::copy(source + from * p.width, source + to * p.width, result + from * p.width);
    for (int64_t y = from; y < to; ++y) {
      for (int64_t run = runs.first_run(y); run < runs.first_run(y + 1); ++run) {
        const int32_t label = runs.label(run);
        if (!changes[label]) continue;
        T value = static_cast<T>(0.0f);
        if (selection == Selection::kFillHoles) {
          value = std::is_same_v<T, uint8_t> ? source[seeds[label]] : static_cast<T>(1.0f);
        }
        std::fill(result + y * p.width + runs.begin(run), result + y * p.width + runs.end(run), value);
      }
    }
  });
}

Tensor select_cpu(const char* op, const Tensor& mask, Selection selection, int64_t area, int64_t connectivity) {
  check_mask_dtype(op, "mask", mask);
  const Images images = images_of(op, "mask", mask);
  const ComponentParams p = component_params(op, images, connectivity);
  check_area(op, area);
  Tensor result = fresh_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return result;

  const Tensor source = as_contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    auto* out = static_cast<T*>(result.mutable_data_ptr());
    for_bit_images(op, static_cast<const T*>(source.const_data_ptr()), images,
                   [&](int64_t image, const T* from, const uint64_t* bits) {
                     select_in_image(p, selection, area, from, bits, out + image * p.pixels());
                   });
  });
  return result;
}

Tensor fill_holes_cpu(const Tensor& mask, std::optional<int64_t> area, int64_t connectivity) {
  return select_cpu("fill_holes", mask, Selection::kFillHoles, area.value_or(kAnyArea), connectivity);
}

Tensor remove_small_cpu(const Tensor& mask, int64_t area, int64_t connectivity) {
  return select_cpu("remove_small", mask, Selection::kRemoveSmall, area, connectivity);
}

Tensor largest_cpu(const Tensor& mask, int64_t connectivity) {
  return select_cpu("largest", mask, Selection::kLargest, 0, connectivity);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("connected_components", TORCH_BOX(&connected_components_cpu));
  m.impl("components_with_areas", TORCH_BOX(&components_with_areas_cpu));
  m.impl("fill_holes", TORCH_BOX(&fill_holes_cpu));
  m.impl("remove_small", TORCH_BOX(&remove_small_cpu));
  m.impl("largest", TORCH_BOX(&largest_cpu));
}

}  // namespace topo
