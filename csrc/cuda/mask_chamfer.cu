// Entry point of mask_chamfer on CUDA. The kernels are in mask_chamfer_kernels.cuh.

#include "cuda/chamfer_sums_launch.cuh"
#include "cuda/mask_chamfer_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

template <typename T, typename M>
std::tuple<Tensor, Tensor> launch_mask_chamfer(const Tensor& pred, const Tensor& target, const Tensor& target_distance,
                                               const MaskChamferArgs& args, bool skeletons, ScalarType maps,
                                               cudaStream_t stream) {
  using Real = accumulate_t<T>;
  const SkeletonParams& p = args.params;
  const int64_t count = args.images.count, n = p.pixels();
  const bool on_chip = fits_on_chip(p.thinning);
  ChamferSums result(pred, args.result, count, on_chip ? 1 : chunks_of(n));
  if (count == 0) return {result.pull, result.push};
  if (n == 0) {  // sums over nothing
    torch::stable::zero_(result.pull), torch::stable::zero_(result.push);
    return {result.pull, result.push};
  }
  const Tensor x = torch::stable::contiguous(pred);
  const Tensor t = chamfer_map(target, maps), d = chamfer_map(target_distance, maps);
  const auto* source = static_cast<const T*>(x.const_data_ptr());
  const auto* target_data = static_cast<const M*>(t.const_data_ptr());
  const auto* distance_data = static_cast<const M*>(d.const_data_ptr());

  SoftScratch soft(x, p.thinning, count);
  auto* real = static_cast<Real*>(soft.real.mutable_data_ptr());
  auto* soft_images = static_cast<int32_t*>(soft.images.mutable_data_ptr());
  bool marked = soft.slots > 0;
  if (on_chip) {
    const LevelPlanes planes = level_planes(p.thinning);
    const int threads = level_threads(planes), shared_bytes = planes.shared_bytes();
    const unsigned int blocks = resident_blocks(mask_chamfer_kernel<T, M>, threads, shared_bytes, count);
    const bool fours = rows_of_four(source, planes.width) && rows_of_four(target_data, planes.width) &&
                       rows_of_four(distance_data, planes.width);
    mask_chamfer_kernel<T, M>
        <<<blocks, threads, shared_bytes, stream>>>(source, target_data, distance_data, result.sums<Real>(), real,
                                                    soft.slots, soft_images, count, p, skeletons, planes, fours);
    marked = blocks > soft.slots && soft.slots > 0;
  } else {
    const int64_t at_once = images_at_once(p.thinning, count);
    const Tensor columns = torch::stable::new_empty(x, {at_once * n}, ScalarType::Short);
    const Tensor levels = torch::stable::new_empty(x, {at_once * n}, ScalarType::Short);
    const Tensor ridges = torch::stable::new_empty(x, {skeletons ? at_once * n : 0}, ScalarType::Byte);
    auto* column_data = static_cast<uint16_t*>(columns.mutable_data_ptr());
    auto* level_data = static_cast<uint16_t*>(levels.mutable_data_ptr());
    auto* ridge_data = static_cast<uint8_t*>(ridges.mutable_data_ptr());
    if (soft.slots) cudaMemsetAsync(soft_images, 0, count * sizeof(int32_t), stream);
    for (int64_t first = 0; first < count; first += at_once) {
      const int64_t images = first + at_once < count ? at_once : count - first, offset = first * n;
      auto* marks = soft.slots ? soft_images + first : nullptr;
      launch_levels("mask_chamfer", source + offset, !skeletons, column_data, level_data, marks, images, p.thinning,
                    stream);
      if (skeletons) {
        ridges_kernel<uint8_t>
            <<<pixel_blocks(images * n), kPixelThreads, 0, stream>>>(level_data, ridge_data, images, p.ridges);
        launch_levels("mask_chamfer", ridge_data, true, column_data, level_data, nullptr, images, p.thinning, stream);
      }
      level_sums_kernel<M, Real><<<static_cast<unsigned int>(images * result.chunks), kPixelThreads, 0, stream>>>(
          level_data, target_data + offset, distance_data + offset, result.sums<Real>().from(first), n);
    }
    result.add_chunks<Real>(stream);
  }
  if constexpr (!std::is_same_v<T, uint8_t>) {
    if (marked) {
      Sums<Real> whole = result.sums<Real>();
      whole.chunks = 1;
      mask_chamfer_soft_kernel<T, M><<<static_cast<unsigned int>(soft.slots), kLevelThreads, 0, stream>>>(
          source, target_data, distance_data, whole, real, soft_images, count, p, skeletons);
    }
  }
  check_launch("mask_chamfer");
  return {result.pull, result.push};
}

std::tuple<Tensor, Tensor> mask_chamfer_cuda(const Tensor& pred, const Tensor& target, const Tensor& target_distance,
                                             std::optional<int64_t> iterations, bool skeletons,
                                             const std::string& backward) {
  const CudaScope cuda(pred);
  const MaskChamferArgs args = mask_chamfer_args("mask_chamfer", pred, target, target_distance, iterations);
  backward_mode("mask_chamfer", backward);
  std::tuple<Tensor, Tensor> result;
  // The maps are read in the dtype of a half-precision pred if that is what target_distance has; in double beside a
  // double pred; in float32 otherwise.
  const ScalarType maps = target_distance.scalar_type();
  dispatch_mask(pred.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    constexpr bool half = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
    const auto launch = [&](auto map_tag, ScalarType type) {
      result =
          launch_mask_chamfer<T, decltype(map_tag)>(pred, target, target_distance, args, skeletons, type, cuda.stream);
    };
    if constexpr (std::is_same_v<T, double>) return launch(double{}, ScalarType::Double);
    if constexpr (half) {
      if (maps == pred.scalar_type()) return launch(T{}, maps);
    }
    if constexpr (!std::is_same_v<T, double>) launch(float{}, ScalarType::Float);
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("mask_chamfer", TORCH_BOX(&mask_chamfer_cuda));
}

}  // namespace topo
