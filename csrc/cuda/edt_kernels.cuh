// edt: the nearest target along columns (edt_columns_kernel), then along rows (edt_rows_kernel), through a plane of 16
// bits in global memory. Planes cover the image with its ring of targets, if it has one: rows and columns in them are
// counted from the ring.
//
// Kernels and device functions only, so that tests/cpp can run them on the host.

#pragma once

#include "cuda/s2d_planes.cuh"
#include "edt.h"

namespace topo {
namespace {

constexpr int kEdtThreads = 256;
constexpr int32_t kEdtNear = 32;  // how far a pixel searches by itself

// The planes of one polarity of a map: targets are the background, or the foreground if `inverted`.
struct EdtPlanes {
  int32_t height, width;  // of the image with its ring
  int32_t ring;           // its width, 0 or 1
  bool inverted;

  TOPO_HOST_DEVICE int64_t pixels() const {
    return int64_t(height) * width;
  }
  TOPO_HOST_DEVICE int32_t inner_height() const {
    return height - 2 * ring;
  }
  TOPO_HOST_DEVICE int32_t inner_width() const {
    return width - 2 * ring;
  }
  // A bit per pixel of 32 columns.
  TOPO_HOST_DEVICE int column_bytes() const {
    return (height + 31) / 32 * 128;
  }
  TOPO_HOST_DEVICE int32_t edges() const {
    return (width + 31) / 32 + 1;
  }
  // 16 bits per column, and the best column at each edge.
  TOPO_HOST_DEVICE int row_bytes() const {
    return (width + 1) / 2 * 4 + 4 * edges();
  }
};

inline EdtPlanes edt_planes(const EdtParams& p, bool inverted) {
  const int32_t ring = p.black_border && !inverted;
  return {static_cast<int32_t>(p.height) + 2 * ring, static_cast<int32_t>(p.width) + 2 * ring, ring, inverted};
}

// The row of the nearest target of each column, of two the upper one, or kNoTarget. A block takes 32 columns of one
// image, with the targets of 32 rows of a column as one word of shared memory. Per pixel, sizeof(T) bytes are read and
// 2 written.
template <typename T>
__global__ void edt_columns_kernel(const T* __restrict__ mask,      // [B, H, W]
                                   uint16_t* __restrict__ nearest,  // [B, planes.height, planes.width]
                                   EdtPlanes planes) {
  auto* targets = reinterpret_cast<uint32_t*>(dynamic_shared());
  const int32_t strips = (planes.width + 31) / 32, words = (planes.height + 31) / 32, warps = blockDim.x / 32;
  const int64_t image = blockIdx.x / strips;
  const int32_t x = static_cast<int32_t>(blockIdx.x % strips) * 32 + lane_index();
  const int32_t inner_x = x - planes.ring, inner_width = planes.inner_width(), inner_height = planes.inner_height();
  const T* column = mask + image * inner_height * inner_width + inner_x;
  for (int32_t w = warp_index(); w < words; w += warps) {
    uint32_t bits = 0;
    for (int k = 0; k < 32 && x < planes.width && 32 * w + k < planes.height; ++k) {
      const int32_t y = 32 * w + k - planes.ring;
      bool target = true;  // the ring
      if (y >= 0 && y < inner_height && inner_x >= 0 && inner_x < inner_width) {
        const T value = column[int64_t(y) * inner_width];
        if constexpr (std::is_same_v<T, uint8_t>) {
          target = (value == 0) != planes.inverted;
        } else {
          target = (static_cast<accumulate_t<T>>(value) > 0.5f) == planes.inverted;
        }
      }
      if (target) bits |= 1u << k;
    }
    targets[w * 32 + lane_index()] = bits;
  }
  __syncthreads();
  if (x >= planes.width) return;
  uint16_t* result = nearest + image * planes.pixels() + x;
  for (int32_t w = warp_index(); w < words; w += warps) {
    // The nearest targets above and below this word.
    int32_t above = -1, below = -1;
    for (int32_t v = w - 1; v >= 0 && above < 0; --v) {
      const uint32_t bits = targets[v * 32 + lane_index()];
      if (bits) above = 32 * v + 31 - __clz(bits);
    }
    for (int32_t v = w + 1; v < words && below < 0; ++v) {
      const uint32_t bits = targets[v * 32 + lane_index()];
      if (bits) below = 32 * v + __ffs(bits) - 1;
    }
    const uint32_t bits = targets[w * 32 + lane_index()];
    for (int k = 0; k < 32 && 32 * w + k < planes.height; ++k) {
      const int32_t y = 32 * w + k;
      const uint32_t up = bits << (31 - k), down = bits >> k;
      const int32_t upper = up ? y - __clz(up) : above, lower = down ? y + __ffs(down) - 1 : below;
      const bool takes_upper = upper >= 0 && (lower < 0 || y - upper <= lower - y);
      const int32_t row = takes_upper ? upper : lower;
      result[int64_t(y) * planes.width] = row < 0 ? kNoTarget : static_cast<uint16_t>(row);
    }
  }
}

// Squared distances: exact in 32 bits for equal pitches, in their unit, otherwise in double.
template <typename Cost>
struct EdtMetric {
  double pitch_y, pitch_x;

  static __device__ Cost none() {
    if constexpr (std::is_same_v<Cost, uint32_t>) {
      return 0xFFFFFFFFu;
    } else {
      return 1e300;
    }
  }
  __device__ Cost operator()(int32_t along, int32_t across) const {
    if (along == kNoTarget) return none();
    if constexpr (std::is_same_v<Cost, uint32_t>) {
      return static_cast<uint32_t>(along) * static_cast<uint32_t>(along) +
             static_cast<uint32_t>(across) * static_cast<uint32_t>(across);
    } else {
      const double dy = pitch_y * along, dx = pitch_x * across;
      return dy * dy + dx * dx;
    }
  }
};

template <typename Cost>
struct EdtBest {
  Cost cost;
  int32_t column;
};

// The first of the best columns for pixel x, found by the lanes of a warp together.
template <typename Cost>
__device__ EdtBest<Cost> best_in_range(const EdtMetric<Cost>& metric, const uint16_t* along, int32_t x, int32_t low,
                                       int32_t high) {
  EdtBest<Cost> best{metric.none(), low};
  for (int32_t c = low + lane_index(); c <= high; c += 32) {
    const Cost cost = metric(along[c], x - c);
    if (cost < best.cost) best = {cost, c};
  }
  for (int bits = 16; bits > 0; bits /= 2) {
    const Cost cost = __shfl_xor_sync(kAllLanes, best.cost, bits);
    const int32_t column = __shfl_xor_sync(kAllLanes, best.column, bits);
    if (cost < best.cost || (cost == best.cost && column < best.column)) best = {cost, column};
  }
  return best;
}

// A row too deep for the search: the best columns at every 32nd pixel by bisection, then the pixels between them.
template <typename Cost, typename Emit>
__device__ void divide_edt_row(const EdtPlanes& planes, const EdtMetric<Cost>& metric, const uint16_t* along,
                               int32_t* edge, Emit&& emit) {
  const int32_t blocks = planes.edges() - 1, warps = blockDim.x / 32, last = planes.width - 1;
  for (int32_t e = warp_index(); e < 2; e += warps) {
    const int32_t column = best_in_range(metric, along, e ? last : 0, 0, last).column;
    if (lane_index() == 0) edge[e * blocks] = column;
  }
  __syncthreads();
  int32_t stride = 1;
  while (stride < blocks) stride *= 2;
  for (stride /= 2; stride > 0; stride /= 2) {
    for (int32_t e = stride + 2 * stride * warp_index(); e < blocks; e += 2 * stride * warps) {
      const int32_t after = e + stride < blocks ? e + stride : blocks;
      const int32_t column = best_in_range(metric, along, 32 * e, edge[e - stride], edge[after]).column;
      if (lane_index() == 0) edge[e] = column;
    }
    __syncthreads();
  }
  for (int32_t block = warp_index(); block < blocks; block += warps) {
    const int32_t x = 32 * block + lane_index();
    EdtBest<Cost> best{metric.none(), edge[block]};
    for (int32_t c = edge[block]; c <= edge[block + 1]; ++c) {
      const Cost cost = metric(along[c], x - c);
      if (cost < best.cost) best = {cost, c};
    }
    if (x < planes.width) emit(x, best);
  }
}

// Passes the best column of every pixel to `emit`. A block takes a row at a time, which it keeps in shared memory.
// First each pixel searches the columns around it. If that does not suffice for all, the row is divided.
template <typename Cost, typename Emit>
__global__ void edt_rows_kernel(const uint16_t* __restrict__ nearest,  // [B, planes.height, planes.width]
                                int64_t count, EdtPlanes planes, EdtMetric<Cost> metric, Emit emit) {
  auto* along = reinterpret_cast<uint16_t*>(dynamic_shared());
  auto* edge = reinterpret_cast<int32_t*>(along + (planes.width + 1) / 2 * 2);
  const int32_t width = planes.width, inner_height = planes.inner_height();
  for (int64_t row = blockIdx.x; row < count * inner_height; row += gridDim.x) {
    const int64_t image = row / inner_height;
    const int32_t y = static_cast<int32_t>(row - image * inner_height) + planes.ring;
    const uint16_t* nearest_row = nearest + image * planes.pixels() + int64_t(y) * width;
    const auto out = [&](int32_t x, const EdtBest<Cost>& best) {
      const int32_t inner_x = x - planes.ring;
      if (inner_x < 0 || inner_x >= planes.inner_width()) return;
      const bool found = best.cost < metric.none();
      emit(row * planes.inner_width() + inner_x, best.cost, found ? best.column : -1,
           found ? nearest_row[best.column] : -1);
    };
    for (int32_t x = threadIdx.x; x < width; x += blockDim.x) {
      const int32_t target = nearest_row[x];
      along[x] = target == kNoTarget ? kNoTarget : static_cast<uint16_t>(target < y ? y - target : target - y);
    }
    __syncthreads();
    int far = 0;
    for (int32_t x = threadIdx.x; x < width; x += blockDim.x) {
      EdtBest<Cost> best{metric(along[x], 0), x};
      int32_t dx = 1;
      // Up to equality, since a column to the left precedes an equally near one.
      for (; dx <= kEdtNear && metric(0, dx) <= best.cost; ++dx) {
        const Cost left = x >= dx ? metric(along[x - dx], dx) : metric.none();
        const Cost right = x + dx < width ? metric(along[x + dx], dx) : metric.none();
        if (right < best.cost) best = {right, x + dx};
        if (left <= best.cost && left < metric.none()) best = {left, x - dx};
      }
      if (dx > kEdtNear && (x >= dx || x + dx < width) && metric(0, dx) <= best.cost) {
        far = 1;
      } else {
        out(x, best);
      }
    }
    if (__syncthreads_or(far)) divide_edt_row(planes, metric, along, edge, out);
    __syncthreads();  // before the next row overwrites this one
  }
}

// What edt_rows_kernel writes. `column` and `row` are those of the target, -1 without; `i` is the pixel's flat index.
template <typename Out>
struct EmitDistance {
  Out* result;  // [B, H, W]
  double scale, without_target;
  bool squared, inverted;

  __device__ Out distance(uint32_t cost) const {
    // Up to 2^24 a float holds the square.
    if constexpr (std::is_same_v<Out, float>) {
      const float exact = static_cast<float>(cost);
      if (scale == 1 && cost < (1u << 24)) return squared ? exact : sqrtf(exact);
    }
    return distance(static_cast<double>(cost));
  }
  __device__ Out distance(double cost) const {
    return static_cast<Out>(scale * (squared ? cost : sqrt(cost)));
  }
  template <typename Cost>
  __device__ void operator()(int64_t i, Cost cost, int32_t column, int32_t) const {
    const Out value = column < 0 ? static_cast<Out>(without_target) : distance(cost);
    if (!inverted) {
      result[i] = value;
    } else if (cost > 0) {
      result[i] = -value;
    }
  }
};

struct EmitIndex {
  int64_t* result;  // [B, H, W]
  EdtPlanes planes;

  template <typename Cost>
  __device__ void operator()(int64_t i, Cost cost, int32_t column, int32_t row) const {
    if (planes.inverted && cost == 0) return;
    const int32_t y = row - planes.ring, x = column - planes.ring, width = planes.inner_width();
    const bool inside = column >= 0 && x >= 0 && x < width && y >= 0 && y < planes.inner_height();
    result[i] = inside ? int64_t(y) * width + x : -1;
  }
};

struct EmitColumn {
  uint16_t* result;  // [B, H, W], counted from the ring

  template <typename Cost>
  __device__ void operator()(int64_t i, Cost, int32_t column, int32_t) const {
    result[i] = column < 0 ? kNoTarget : static_cast<uint16_t>(column);
  }
};

}  // namespace
}  // namespace topo
