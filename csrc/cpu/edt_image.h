// The targets of one image on the CPU, for edt, edt_indices and edt_backward.

#pragma once

#include <algorithm>

#include "cpu/buffer.h"
#include "cpu/edt_simd.h"
#include "cpu/mask.h"
#include "edt.h"

namespace topo {

// The foreground of one image, and for all pixels the distance along the column to the nearest target. Targets are the
// background, or the foreground if `inverted`, which gives the outer part of a signed map.
struct EdtImage {
  const EdtParams& p;
  const uint8_t* foreground;  // (H, W)
  uint16_t* distance;         // (H, W)
  bool inverted;

  bool ring() const {
    return p.black_border && !inverted;
  }
  bool has_target() const {
    if (ring()) return true;
    return std::any_of(distance, distance + p.width, [](uint16_t d) { return d != kNoTarget; });
  }
  bool is_target(int64_t y, int64_t x) const {
    return (foreground[y * p.width + x] == 0) != inverted;
  }
  bool in_ring(int64_t y, int64_t x) const {
    return y < 0 || x < 0 || y == p.height || x == p.width;
  }
  // The row of the target that is nearest to row y in a column.
  int64_t target_row(int64_t y, int64_t column) const {
    if (column < 0 || column == p.width) return y;
    const int64_t d = distance[y * p.width + column], above = y - d;
    const bool up = above < 0 ? above == -1 && ring() : is_target(above, column);
    return up ? above : y + d;
  }
};

// Calls body(begin, end) for parts of 0 ... count in parallel, each of at least `pixels` pixels.
template <typename Body>
void in_parts(int64_t count, int64_t pixels_each, Body&& body) {
  constexpr int64_t least_pixels = 1 << 16;
  torch::stable::parallel_for(0, count, std::max<int64_t>(1, least_pixels / std::max<int64_t>(1, pixels_each)), body);
}

// Finds the distances along the columns.
inline void find_columns(const EdtImage& image) {
  in_parts(image.p.width, image.p.height, [&](int64_t begin, int64_t end) {
    TOPO_SIMD_CALL(edt_columns, image.foreground, image.p.height, image.p.width, begin, end, image.inverted,
                   image.ring(), image.distance);
  });
}

// Scratch of one thread for the rows of images of one size.
class EdtRowSearch {
 public:
  explicit EdtRowSearch(const EdtParams& p)
      : column_(p.width + 2 + 16),
        cost_(p.width + 2 + 16),
        square_(p.width + 2 * kEdtPadding),
        table_(2 * p.width + 64),
        edge_(p.width / kEdtBlock + 2),
        squared_(p.width + kEdtBlock),
        nearest_(p.width),
        runs_(p.width),
        weighted_(p.width + 2),
        rows_{p.width, false, 0, column_.data(), cost_.data(), square_.data(), table_.data(), edge_.data(), 0} {}

  void start(const EdtImage& image) {
    rows_.ring = image.ring();
    TOPO_SIMD_CALL(start_edt_rows, image.distance, &rows_);
  }

  // Squared distances of row y in pixels, for equal pitches.
  const uint32_t* squared(const EdtImage& image, int64_t y) {
    TOPO_SIMD_CALL(edt_row, image.distance + y * rows_.width, &rows_, squared_.data());
    return squared_.data();
  }

  // Calls visit(begin, end, column) for the pixels of row y, by the column of their target, -1 or W in the ring. Leaves
  // out targets that are no other pixel's target.
  template <typename Visit>
  void for_runs(const EdtImage& image, int64_t y, Visit&& visit) {
    if (image.p.isotropic()) {
      const uint16_t* distance = image.distance + y * rows_.width;
      const int64_t count = TOPO_SIMD_CALL(edt_runs, distance, squared(image, y), rows_, runs_.data());
      for (int64_t k = 0; k < count; ++k) visit(runs_[k].begin, runs_[k].end, runs_[k].column);
      return;
    }
    weigh(image, y);
    divide(0, rows_.width - 1, 0, rows_.columns - 1);
    for (int64_t x = 0, begin = 0; x < rows_.width; begin = x) {
      while (x < rows_.width && nearest_[x] == nearest_[begin]) ++x;
      visit(begin, x, nearest_[begin]);
    }
  }

  // The squared distance of pixel x of the row to a target in `column`, at distance `along` in that column.
  double cost(const EdtParams& p, int64_t along, int64_t across) const {
    const double dy = p.pitch_y * static_cast<double>(along), dx = p.pitch_x * static_cast<double>(across);
    return dy * dy + dx * dx;
  }

 private:
  void weigh(const EdtImage& image, int64_t y) {
    pitch_x_ = image.p.pitch_x;
    for (int64_t k = 0; k < rows_.columns; ++k) {
      const int64_t column = rows_.column[k];
      const bool outside = column < 0 || column == rows_.width;
      weighted_[k] = cost(image.p, outside ? 0 : image.distance[y * rows_.width + column], 0);
    }
  }

  // The first best column of the pixels from `left` to `right`, among the listed columns from `low` to `high`.
  void divide(int64_t left, int64_t right, int64_t low, int64_t high) {
    if (left > right) return;
    const int64_t x = (left + right) / 2;
    int64_t best = low;
    double least = 0;
    for (int64_t k = low; k <= high; ++k) {
      const double dx = pitch_x_ * static_cast<double>(x - rows_.column[k]), here = weighted_[k] + dx * dx;
      if (k == low || here < least) best = k, least = here;
    }
    nearest_[x] = rows_.column[best];
    divide(left, x - 1, low, best);
    divide(x + 1, right, best, high);
  }

  Buffer<int32_t> column_;
  Buffer<uint32_t> cost_;
  Buffer<int16_t> square_;
  Buffer<uint32_t> table_;
  Buffer<int32_t> edge_;
  Buffer<uint32_t> squared_;
  Buffer<int32_t> nearest_;
  Buffer<EdtRun> runs_;
  Buffer<double> weighted_;
  double pitch_x_ = 1;
  EdtRows rows_;
};

// Calls body(source, image index, foreground, distance) for the images of a batch: images in parallel if there are as
// many as threads, otherwise one after the other, so that the body can divide an image among the threads.
template <typename T, typename Body>
void for_edt_images(const char* op, const T* mask, int64_t count, const EdtParams& p, Body&& body) {
  InvalidImage invalid;
  const auto run = [&](int64_t begin, int64_t end) {
    Buffer<uint8_t> foreground(p.pixels());
    Buffer<uint16_t> distance(p.pixels() + 8);  // edt_runs reads beyond the last row
    for (int64_t image = begin; image < end; ++image) {
      const T* source = mask + image * p.pixels();
      if (read_foreground(source, p.pixels(), foreground.data())) {
        body(image, foreground.data(), distance.data());
      } else {
        invalid.record(image, source, p.pixels());
      }
    }
  };
  if (count < static_cast<int64_t>(torch::stable::get_num_threads())) {
    run(0, count);
  } else {
    torch::stable::parallel_for(0, count, 1, run);
  }
  invalid.check(op, "mask");
}

}  // namespace topo
