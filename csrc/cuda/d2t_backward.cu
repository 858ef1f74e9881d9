// Entry point of d2t_backward on CUDA: one block per tile for 3 x 3 pools, one thread per pixel for larger ones. The
// kernels are in d2t_backward_kernels.cuh.

#include "cuda/common.cuh"
#include "cuda/d2t_backward_kernels.cuh"

namespace topo {
namespace {

constexpr int kThreads = 256, kTileThreads = 512;

unsigned int blocks_for(int64_t pixels) {
  const int64_t blocks = (pixels + kThreads - 1) / kThreads;
  return static_cast<unsigned int>(blocks < (1 << 20) ? blocks : (1 << 20));
}

template <typename Real>
unsigned int tile_blocks(int64_t count, const D2tParams& p) {
  const int64_t across = (p.width + kTileWidth - 1) / kTileWidth;
  const int64_t tiles = count * across * ((p.height + kTileHeight<Real> - 1) / kTileHeight<Real>);
  return static_cast<unsigned int>(tiles < (1 << 24) ? tiles : (1 << 24));
}

// The maps of a batch, all [B, H, W]; `mask` holds values of type T, or bytes.
template <typename T>
struct D2tBackwardMaps {
  const T *grad, *distance, *skeleton;
  const void* mask;
  T *grad_distance, *grad_mask;
};

template <typename T, typename Mask>
void launch_tiles(const D2tBackwardMaps<T>& maps, int64_t count, const D2tParams& p, bool literal,
                  cudaStream_t stream) {
  d2t_backward_tile_kernel<T, Mask><<<tile_blocks<accumulate_t<T>>(count, p), kTileThreads, 0, stream>>>(
      maps.grad, maps.distance, static_cast<const Mask*>(maps.mask), maps.skeleton, maps.grad_distance, maps.grad_mask,
      count, p, literal);
}

// Pools larger than 3 x 3: the results of the first pass go through global memory.
template <typename T, typename Mask>
void launch_passes(const D2tBackwardMaps<T>& maps, const Tensor& like, const D2tParams& p, bool literal,
                   cudaStream_t stream) {
  using Real = accumulate_t<T>;
  const int64_t total = like.numel();
  const ScalarType real = sizeof(Real) == 8 ? ScalarType::Double : ScalarType::Float;
  const Tensor passed = torch::stable::new_empty(like, {total}, real);
  const Tensor taken = torch::stable::new_empty(like, {total}, real);
  const Tensor argmax = torch::stable::new_empty(like, {total}, ScalarType::Long);
  auto* passed_data = static_cast<Real*>(passed.mutable_data_ptr());
  auto* taken_data = static_cast<Real*>(taken.mutable_data_ptr());
  auto* argmax_data = static_cast<int64_t*>(argmax.mutable_data_ptr());
  ridge_kernel<T, Mask><<<blocks_for(total), kThreads, 0, stream>>>(
      maps.grad, maps.distance, static_cast<const Mask*>(maps.mask), maps.skeleton, passed_data, taken_data,
      argmax_data, maps.grad_mask, total, p, literal);
  distance_grad_kernel<T><<<blocks_for(total), kThreads, 0, stream>>>(
      maps.distance, passed_data, taken_data, argmax_data, maps.grad_distance, total, p, literal);
}

std::tuple<Tensor, Tensor> d2t_backward_cuda(const Tensor& grad, const Tensor& distance, const Tensor& mask,
                                             const Tensor& skeleton, int64_t pool_size, StringArgument backward) {
  const bool literal = backward_mode("d2t_backward", backward) == BackwardMode::kLiteral;
  const CudaScope cuda(distance);
  const D2tParams p = d2t_backward_params(grad, distance, mask, skeleton, pool_size);
  const auto type = distance.scalar_type();
  Tensor grad_distance = empty_like_shape(distance, type);
  Tensor grad_mask = empty_like_shape(distance, type);
  if (distance.numel() == 0) return {grad_distance, grad_mask};

  const bool bytes = !is_floating(mask.scalar_type());
  const Tensor g = torch::stable::contiguous(torch::stable::to(grad, type));
  const Tensor d = torch::stable::contiguous(distance);
  const Tensor s = torch::stable::contiguous(bytes ? mask : torch::stable::to(mask, type));
  const Tensor t = torch::stable::contiguous(torch::stable::to(skeleton, type));
  dispatch_floating(type, [&](auto tag) {
    using T = decltype(tag);
    const auto data = [](const Tensor& map) { return static_cast<const T*>(map.const_data_ptr()); };
    const D2tBackwardMaps<T> maps{data(g),
                                  data(d),
                                  data(t),
                                  s.const_data_ptr(),
                                  static_cast<T*>(grad_distance.mutable_data_ptr()),
                                  static_cast<T*>(grad_mask.mutable_data_ptr())};
    const auto launch = [&](auto mask_tag) {
      using Mask = decltype(mask_tag);
      if (p.radius == 1) {
        launch_tiles<T, Mask>(maps, d.numel() / p.pixels(), p, literal, cuda.stream);
      } else {
        launch_passes<T, Mask>(maps, d, p, literal, cuda.stream);
      }
    };
    if (bytes) {
      launch(uint8_t{});
    } else {
      launch(T{});
    }
  });
  check_launch("d2t_backward");
  return {grad_distance, grad_mask};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CUDA, m) {
  m.impl("d2t_backward", TORCH_BOX(&d2t_backward_cuda));
}

}  // namespace topo
