// The subgradient of edt. The pixels that share a target are adjacent in each row, and the rows in which a column has
// the same nearest target are adjacent as well. Sums along rows, then along columns, by the direction in which a pixel
// sees its target; then each pixel gathers its own. The order of every sum is fixed, and there are no atomics.

#pragma once

#include "cuda/edt_kernels.cuh"

namespace topo {
namespace {

constexpr int kRunSums = 5;  // pixels to the left, left diagonal, straight, right diagonal, right of the target
constexpr int kDirections = 8;

TOPO_HOST_DEVICE int run_sum_of(const EdtStep& step) {
  if (step.y == 0) return step.x < 0 ? 0 : 4;
  return 2 + step.x;
}

// The number of a step from a target to one of its neighbours.
TOPO_HOST_DEVICE int direction_of(int y, int x) {
  const int window = 3 * (y + 1) + x + 1;
  return window < 4 ? window : window - 1;
}

// Sums of the runs of pixels with one target, by direction. The first pixel of each run walks along it.
template <typename Real>
__global__ void edt_runs_kernel(const Real* __restrict__ grad,         // [B, H, W]
                                const uint16_t* __restrict__ nearest,  // [B, planes.height, planes.width]
                                const uint16_t* __restrict__ columns,  // [B, H, W]
                                Real* __restrict__ sums,               // [B, 5, H, planes.width], zeros
                                int64_t count, EdtPlanes planes, EdtParams p) {
  const int32_t height = planes.inner_height(), width = planes.inner_width();
  const int64_t total = count * height * width, step = int64_t(gridDim.x) * blockDim.x;
  const EdtMetric<double> metric{p.pitch_y, p.pitch_x};
  const bool plain = p.pitch_y == 1 && p.pitch_x == 1 && !p.squared;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += step) {
    const int64_t row = i / width, image = row / height;
    const int32_t column = columns[i], first = static_cast<int32_t>(i - row * width);
    if (column == kNoTarget || (first > 0 && columns[i - 1] == column)) continue;
    const int32_t y = static_cast<int32_t>(row - image * height) + planes.ring;
    const int32_t dy = y - nearest[image * planes.pixels() + int64_t(y) * planes.width + column];
    double by_direction[kRunSums] = {};
    for (int32_t x = first; x < width && columns[row * width + x] == column; ++x) {
      const int32_t dx = x + planes.ring - column;
      if (dy == 0 && dx == 0) continue;
      double value = grad[row * width + x];
      if (!plain) {
        const double length = sqrt(metric(dy < 0 ? -dy : dy, dx));
        const double slope = length / sqrt(double(dy) * dy + double(dx) * dx);
        value *= p.squared ? 2 * length * slope : slope;
      }
      const int mine = run_sum_of(edt_step(dy, dx));
      for (int k = 0; k < kRunSums; ++k) by_direction[k] += k == mine ? value : 0;
    }
    for (int k = 0; k < kRunSums; ++k) {
      const int64_t sum_row = (image * kRunSums + k) * height + y - planes.ring;
      sums[sum_row * planes.width + column] = static_cast<Real>(by_direction[k]);
    }
  }
}

// The sums of all pixels with one target, by the neighbour of the target that they pass. Each target walks along its
// column. Only targets are written.
template <typename Real>
__global__ void edt_targets_kernel(const uint16_t* __restrict__ nearest,  // [B, planes.height, planes.width]
                                   const Real* __restrict__ sums,         // [B, 5, H, planes.width]
                                   Real* __restrict__ passed,             // [B, 8, planes.height, planes.width]
                                   int64_t count, EdtPlanes planes) {
  const int32_t height = planes.height, width = planes.width, inner = planes.inner_height();
  const int64_t n = planes.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count * n; i += step) {
    const int64_t image = i / n, pixel = i - image * n;
    const int32_t y = static_cast<int32_t>(pixel / width), x = static_cast<int32_t>(pixel - int64_t(y) * width);
    const uint16_t* column = nearest + image * n + x;
    if (column[int64_t(y) * width] != y) continue;
    double by_direction[kDirections] = {};
    const auto add = [&](int32_t row, int vertical) {
      const int32_t inner_row = row - planes.ring;
      if (inner_row < 0 || inner_row >= inner) return;
      const Real* sum = sums + (image * kRunSums * inner + inner_row) * width + x;
      const int64_t stride = int64_t(inner) * width;
      by_direction[direction_of(0, -1)] += sum[0];
      by_direction[direction_of(0, 1)] += sum[4 * stride];
      if (vertical == 0) return;
      for (int across = -1; across <= 1; ++across) {
        by_direction[direction_of(vertical, across)] += sum[(2 + across) * stride];
      }
    };
    add(y, 0);
    for (int32_t row = y - 1; row >= 0 && column[int64_t(row) * width] == y; --row) add(row, -1);
    for (int32_t row = y + 1; row < height && column[int64_t(row) * width] == y; ++row) add(row, 1);
    for (int k = 0; k < kDirections; ++k) {
      passed[(image * kDirections + k) * n + pixel] = static_cast<Real>(by_direction[k]);
    }
  }
}

// What each pixel receives: a target half of its sums, another pixel half of what passes it. Adds to the result if the
// targets are inverted, since the other polarity comes first.
template <typename Real>
__global__ void edt_gather_kernel(const uint16_t* __restrict__ nearest,  // [B, planes.height, planes.width]
                                  const Real* __restrict__ passed,       // [B, 8, planes.height, planes.width]
                                  Real* __restrict__ result,             // [B, H, W]
                                  int64_t count, EdtPlanes planes) {
  const int32_t height = planes.inner_height(), width = planes.inner_width();
  const int64_t total = count * height * width, n = planes.pixels(), step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < total; i += step) {
    const int64_t row = i / width, image = row / height;
    const int32_t y = static_cast<int32_t>(row - image * height) + planes.ring;
    const int32_t x = static_cast<int32_t>(i - row * width) + planes.ring;
    const uint16_t* targets = nearest + image * n;
    const Real* sums = passed + image * kDirections * n;
    const bool target = targets[int64_t(y) * planes.width + x] == y;
    double sum = 0;
    for (int sy = -1; sy <= 1; ++sy) {
      for (int sx = -1; sx <= 1; ++sx) {
        if (sy == 0 && sx == 0) continue;
        // Its own sums, or those of the target from which this pixel is one step away.
        const int32_t v = target ? y : y - sy, u = target ? x : x - sx;
        if (v < 0 || v >= planes.height || u < 0 || u >= planes.width) continue;
        const int64_t from = int64_t(v) * planes.width + u;
        if (targets[from] == v) sum += sums[direction_of(sy, sx) * n + from];
      }
    }
    const Real half = static_cast<Real>(sum / 2);
    result[i] = planes.inverted ? result[i] + half : half;
  }
}

}  // namespace
}  // namespace topo
