// Entry point of mask_chamfer on CUDA. The kernels are in mask_chamfer_kernels.cuh.

#include "cuda/chamfer_sums_launch.cuh"
#include "cuda/mask_chamfer_kernels.cuh"
#include "cuda/s2d_levels_launch.cuh"

namespace topo {
namespace {

// The arguments of a launch: the maps of a batch, all [B, H, W], its sums, and the scratch for soft images.
template <typename T, typename M>
struct MaskChamferLaunch {
  const T* pred;
  const M *target, *target_distance;
  ChamferSums& result;
  const SoftScratch& soft;
  int64_t count;
  SkeletonParams p;
  bool skeletons;
  cudaStream_t stream;

  int32_t* soft_images() const {
    return static_cast<int32_t*>(soft.images.mutable_data_ptr());
  }
  accumulate_t<T>* real() const {
    return static_cast<accumulate_t<T>*>(soft.real.mutable_data_ptr());
  }
};

// Images on chip, one block per image. Returns whether the kernel may have marked soft images for the next one.
template <typename T, typename M>
bool launch_on_chip(const MaskChamferLaunch<T, M>& call) {
  const LevelPlanes planes = level_planes(call.p.thinning);
  const int threads = level_threads(planes), shared_bytes = planes.shared_bytes();
  const unsigned int blocks = resident_blocks(mask_chamfer_kernel<T, M>, threads, shared_bytes, call.count);
  const bool fours = rows_of_four(call.pred, planes.width) && rows_of_four(call.target, planes.width) &&
                     rows_of_four(call.target_distance, planes.width);
  mask_chamfer_kernel<T, M><<<blocks, threads, shared_bytes, call.stream>>>(
      call.pred, call.target, call.target_distance, call.result.template sums<accumulate_t<T>>(), call.real(),
      call.soft.slots, call.soft_images(), call.count, call.p, call.skeletons, planes, fours);
  return blocks > call.soft.slots && call.soft.slots > 0;
}

// Images that do not fit on chip, some at a time: levels, with skeletons also the ridges and their levels, then sums.
template <typename T, typename M>
void launch_large(const MaskChamferLaunch<T, M>& call, const Tensor& like) {
  using Real = accumulate_t<T>;
  const int64_t n = call.p.pixels(), at_once = images_at_once(call.p.thinning, call.count);
  const Tensor columns = torch::stable::new_empty(like, {at_once * n}, ScalarType::Short);
  const Tensor levels = torch::stable::new_empty(like, {at_once * n}, ScalarType::Short);
  const Tensor ridges = torch::stable::new_empty(like, {call.skeletons ? at_once * n : 0}, ScalarType::Byte);
  auto* column_data = static_cast<uint16_t*>(columns.mutable_data_ptr());
  auto* level_data = static_cast<uint16_t*>(levels.mutable_data_ptr());
  auto* ridge_data = static_cast<uint8_t*>(ridges.mutable_data_ptr());
  const auto make_levels = [&](const auto* mask, bool inverted, int32_t* marks, int64_t images) {
    launch_levels("mask_chamfer", mask, inverted, column_data, level_data, marks, images, call.p.thinning, call.stream);
  };
  if (call.soft.slots) cudaMemsetAsync(call.soft_images(), 0, call.count * sizeof(int32_t), call.stream);
  for (int64_t first = 0; first < call.count; first += at_once) {
    const int64_t images = first + at_once < call.count ? at_once : call.count - first, offset = first * n;
    make_levels(call.pred + offset, !call.skeletons, call.soft.slots ? call.soft_images() + first : nullptr, images);
    if (call.skeletons) {
      ridges_kernel<uint8_t>
          <<<pixel_blocks(images * n), kPixelThreads, 0, call.stream>>>(level_data, ridge_data, images, call.p.ridges);
      make_levels(ridge_data, true, nullptr, images);
    }
    const auto blocks = static_cast<unsigned int>(images * call.result.chunks);
    level_sums_kernel<M, Real>
        <<<blocks, kPixelThreads, 0, call.stream>>>(level_data, call.target + offset, call.target_distance + offset,
                                                    call.result.template sums<Real>().from(first), n);
  }
  call.result.template add_chunks<Real>(call.stream);
}

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
  SoftScratch soft(x, p.thinning, count);
  const MaskChamferLaunch<T, M> call{static_cast<const T*>(x.const_data_ptr()),
                                     static_cast<const M*>(t.const_data_ptr()),
                                     static_cast<const M*>(d.const_data_ptr()),
                                     result,
                                     soft,
                                     count,
                                     p,
                                     skeletons,
                                     stream};
  bool marked = soft.slots > 0;
  if (on_chip) {
    marked = launch_on_chip(call);
  } else {
    launch_large(call, x);
  }
  if constexpr (!std::is_same_v<T, uint8_t>) {
    if (marked) {
      Sums<Real> whole = result.sums<Real>();
      whole.chunks = 1;
      mask_chamfer_soft_kernel<T, M><<<static_cast<unsigned int>(soft.slots), kLevelThreads, 0, stream>>>(
          call.pred, call.target, call.target_distance, whole, call.real(), call.soft_images(), count, p, skeletons);
    }
  }
  check_launch("mask_chamfer");
  return {result.pull, result.push};
}

std::tuple<Tensor, Tensor> mask_chamfer_cuda(const Tensor& pred, const Tensor& target, const Tensor& target_distance,
                                             std::optional<int64_t> iterations, bool skeletons,
                                             StringArgument backward) {
  backward_mode("mask_chamfer", backward);
  const CudaScope cuda(pred);
  const MaskChamferArgs args = mask_chamfer_args("mask_chamfer", pred, target, target_distance, iterations);
  debug_mask_values("mask_chamfer", "pred", pred, args.images);
  std::tuple<Tensor, Tensor> result;
  // The maps are read in double if pred is double, in the dtype of a half-precision pred if target_distance has that
  // dtype as well, and in float32 otherwise.
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
