// Entry points of connected components on CUDA. The kernels are in components_kernels.cuh.

#include "components.h"
#include "cuda/components_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

// Points each pixel of a component to its first pixel.
template <typename T>
void launch_roots(const T* mask, int32_t* parents, int64_t count, const ComponentParams& p, bool inverted,
                  cudaStream_t stream) {
  const unsigned int blocks = pixel_blocks(count * p.pixels());
  component_words_kernel<T><<<blocks, kPixelThreads, 0, stream>>>(mask, parents, count, p, inverted);
  component_unite_kernel<<<blocks, kPixelThreads, 0, stream>>>(parents, count, p, p.diagonal != inverted);
  component_roots_kernel<<<blocks, kPixelThreads, 0, stream>>>(parents, count, p);
}

void launch_areas(const int32_t* parents, int32_t* areas, int64_t count, const ComponentParams& p,
                  cudaStream_t stream) {
  cudaMemsetAsync(areas, 0, count * p.pixels() * sizeof(int32_t), stream);
  component_areas_kernel<<<pixel_blocks(count * p.pixels()), kPixelThreads, 0, stream>>>(parents, areas, count, p);
}

void label_images(const char* op, const Tensor& mask, int64_t connectivity, Tensor& labels, Tensor* areas) {
  const CudaScope cuda(mask);
  check_mask_dtype(op, "mask", mask);
  const Images images = images_of(op, "mask", mask);
  const ComponentParams p = component_params(op, images, connectivity);
  debug_mask_values(op, "mask", mask, images);
  labels = empty_like_shape(mask, ScalarType::Int);
  if (areas) *areas = empty_like_shape(mask, ScalarType::Int);
  if (mask.numel() == 0) return;

  const Tensor source = torch::stable::contiguous(mask);
  const Tensor numbers = empty_like_shape(mask, ScalarType::Int);
  const Tensor begun = torch::stable::new_empty(mask, {images.count * p.height}, ScalarType::Int);
  auto* parents = static_cast<int32_t*>(labels.mutable_data_ptr());
  auto* number_data = static_cast<int32_t*>(numbers.mutable_data_ptr());
  auto* begun_data = static_cast<int32_t*>(begun.mutable_data_ptr());
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    launch_roots(static_cast<const decltype(tag)*>(source.const_data_ptr()), parents, images.count, p, false,
                 cuda.stream);
  });
  const unsigned int blocks = pixel_blocks(images.count * p.pixels());
  if (areas) {
    auto* area_data = static_cast<int32_t*>(areas->mutable_data_ptr());
    launch_areas(parents, area_data, images.count, p, cuda.stream);
    component_spread_kernel<<<blocks, kPixelThreads, 0, cuda.stream>>>(parents, area_data, area_data, images.count, p);
  }
  const unsigned int row_blocks = pixel_blocks(images.count * p.height * 32);
  component_rows_kernel<<<row_blocks, kPixelThreads, 0, cuda.stream>>>(parents, begun_data, images.count, p);
  component_sums_kernel<<<pixel_blocks(images.count * 32), kPixelThreads, 0, cuda.stream>>>(begun_data, images.count,
                                                                                            p);
  component_numbers_kernel<<<row_blocks, kPixelThreads, 0, cuda.stream>>>(parents, begun_data, number_data,
                                                                          images.count, p);
  component_spread_kernel<<<blocks, kPixelThreads, 0, cuda.stream>>>(parents, number_data, parents, images.count, p);
  check_launch(op);
}

Tensor connected_components_cuda(const Tensor& mask, int64_t connectivity) {
  Tensor labels;
  label_images("connected_components", mask, connectivity, labels, nullptr);
  return labels;
}

std::tuple<Tensor, Tensor> components_with_areas_cuda(const Tensor& mask, int64_t connectivity) {
  Tensor labels, areas;
  label_images("components_with_areas", mask, connectivity, labels, &areas);
  return {labels, areas};
}

Tensor select_cuda(const char* op, const Tensor& mask, Selection selection, int64_t area, int64_t connectivity) {
  const CudaScope cuda(mask);
  check_mask_dtype(op, "mask", mask);
  const Images images = images_of(op, "mask", mask);
  const ComponentParams p = component_params(op, images, connectivity);
  check_area(op, area);
  debug_mask_values(op, "mask", mask, images);
  const Tensor result = empty_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return result;

  const Tensor source = torch::stable::contiguous(mask);
  const Tensor roots = empty_like_shape(mask, ScalarType::Int), sizes = empty_like_shape(mask, ScalarType::Int);
  const Tensor best = torch::stable::new_empty(mask, {images.count}, ScalarType::Long);
  auto* parents = static_cast<int32_t*>(roots.mutable_data_ptr());
  auto* areas = static_cast<int32_t*>(sizes.mutable_data_ptr());
  auto* best_data = static_cast<unsigned long long*>(best.mutable_data_ptr());
  const unsigned int blocks = pixel_blocks(images.count * p.pixels());
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    const auto* from = static_cast<const T*>(source.const_data_ptr());
    launch_roots(from, parents, images.count, p, selection == Selection::kFillHoles, cuda.stream);
    launch_areas(parents, areas, images.count, p, cuda.stream);
    if (selection == Selection::kFillHoles) {
      component_border_kernel<<<blocks, kPixelThreads, 0, cuda.stream>>>(parents, areas, images.count, p);
    } else if (selection == Selection::kLargest) {
      cudaMemsetAsync(best_data, 0, images.count * sizeof(int64_t), cuda.stream);
      component_largest_kernel<<<blocks, kPixelThreads, 0, cuda.stream>>>(parents, areas, best_data, images.count, p);
    }
    component_select_kernel<T><<<blocks, kPixelThreads, 0, cuda.stream>>>(
        from, parents, areas, best_data, static_cast<T*>(result.mutable_data_ptr()), images.count, p, selection,
        static_cast<int32_t>(area < kManyPixels ? area : kManyPixels));
  });
  check_launch(op);
  return result;
}

Tensor fill_holes_cuda(const Tensor& mask, std::optional<int64_t> area, int64_t connectivity) {
  return select_cuda("fill_holes", mask, Selection::kFillHoles, area.value_or(kAnyArea), connectivity);
}

Tensor remove_small_cuda(const Tensor& mask, int64_t area, int64_t connectivity) {
  return select_cuda("remove_small", mask, Selection::kRemoveSmall, area, connectivity);
}

Tensor largest_cuda(const Tensor& mask, int64_t connectivity) {
  return select_cuda("largest", mask, Selection::kLargest, 0, connectivity);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("connected_components", TORCH_BOX(&connected_components_cuda));
  m.impl("components_with_areas", TORCH_BOX(&components_with_areas_cuda));
  m.impl("fill_holes", TORCH_BOX(&fill_holes_cuda));
  m.impl("remove_small", TORCH_BOX(&remove_small_cuda));
  m.impl("largest", TORCH_BOX(&largest_cuda));
}

}  // namespace topo
