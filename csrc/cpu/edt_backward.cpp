// The subgradient of edt on the CPU (edt.h). The pixels of a row that share a target are adjacent; they are summed by
// the direction in which they see it, and the sums are added to the target and its neighbours, row after row. The cost
// is O(1) per pixel, and the order of all sums is fixed.

#include <vector>

#include "cpu/edt_image.h"
#include "cpu/pages.h"

namespace topo {
namespace {

// The incoming gradient of a run times the derivative of the results by the distance in pixels.
template <typename Real>
void weigh_run(const EdtImage& image, const EdtRowSearch& search, const Real* grad, int64_t y, int64_t begin,
               int64_t end, int64_t column, Real* weighted) {
  const EdtParams& p = image.p;
  const int64_t dy = image.target_row(y, column) - y;
  for (int64_t x = begin; x < end; ++x) {
    const int64_t dx = x - column;
    const double length = std::sqrt(search.cost(p, dy, dx)), pixels = std::sqrt(static_cast<double>(dy * dy + dx * dx));
    const double slope = pixels > 0 ? length / pixels : 0;
    weighted[x] = static_cast<Real>(static_cast<double>(grad[x]) * (p.squared ? 2 * length * slope : slope));
  }
}

// Four sums in turn, which need not wait for each other.
template <typename Real>
double sum_of(const Real* values, int64_t count) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int k = 0; k < 4; ++k) sums[k] += static_cast<double>(values[i + k]);
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(values[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Adds the sums of the pixels from `begin` to `end` of row y, whose target is in `column`.
template <typename Real>
void add_run(const EdtImage& image, const Real* grad, int64_t y, int64_t begin, int64_t end, int64_t column,
             Real* result) {
  const EdtParams& p = image.p;
  const int64_t row = image.target_row(y, column), dy = y - row, v = dy < 0 ? -dy : dy;
  const int64_t vertical = dy > 0 ? p.width : dy < 0 ? -p.width : 0, target = row * p.width + column;
  double total = 0;
  for (int64_t x = begin; x < end;) {
    const EdtStep step = edt_step(v, x - column);
    // Where edt_step changes next.
    const int64_t change = step.x == 0  ? column + v / 2 + 1
                           : step.x < 0 ? (step.y ? column - v / 2 : std::min(column - 2 * v + 1, column - v / 2))
                                        : (step.y ? column + 2 * v : end);
    const int64_t stop = std::min(change, end);
    const double sum = sum_of(grad + x, stop - x);
    x = stop;
    if (step.x == 0 && step.y == 0) continue;  // the target itself
    total += sum;
    result[target + (step.y ? vertical : 0) + step.x] += static_cast<Real>(sum / 2);
  }
  if (!image.in_ring(row, column)) result[target] += static_cast<Real>(total / 2);
}

template <typename Real>
void edt_backward_map(const EdtImage& image, const Real* grad, EdtRowSearch& search, std::vector<Real>& weighted,
                      Real* result) {
  const EdtParams& p = image.p;
  find_columns(image);
  if (!image.has_target()) return;
  search.start(image);
  const bool plain = p.isotropic() && p.pitch_x == 1 && !p.squared;
  for (int64_t y = 0; y < p.height; ++y) {
    const Real* row = grad + y * p.width;
    search.for_runs(image, y, [&](int64_t begin, int64_t end, int64_t column) {
      if (!plain) weigh_run(image, search, row, y, begin, end, column, weighted.data());
      add_run(image, plain ? row : weighted.data(), y, begin, end, column, result);
    });
  }
}

template <typename T>
void edt_backward_images(const accumulate_t<T>* grad, const T* mask, T* grad_mask, int64_t count, const EdtParams& p) {
  using Real = accumulate_t<T>;
  const int64_t n = p.pixels();
  for_edt_images("edt_backward", mask, count, p, [&](int64_t i, const uint8_t* foreground, uint16_t* distance) {
    EdtRowSearch search(p);
    std::vector<Real> sums, weighted(p.width);
    const Real* incoming = grad + i * n;
    Real* result;
    if constexpr (std::is_same_v<T, Real>) {
      result = grad_mask + i * n;
      std::fill(result, result + n, Real(0));
    } else {
      sums.assign(n, Real(0));
      result = sums.data();
    }
    edt_backward_map(EdtImage{p, foreground, distance, false}, incoming, search, weighted, result);
    if (p.is_signed) edt_backward_map(EdtImage{p, foreground, distance, true}, incoming, search, weighted, result);
    if constexpr (!std::is_same_v<T, Real>) {
      for (int64_t k = 0; k < n; ++k) grad_mask[i * n + k] = static_cast<T>(result[k]);
    }
  });
}

Tensor edt_backward_cpu(const Tensor& grad, const Tensor& mask, bool is_signed, bool squared,
                        std::optional<std::vector<double>> sampling, bool black_border) {
  check_floating("edt_backward", "mask", mask);
  check_floating("edt_backward", "grad", grad);
  check_same_shape("edt_backward", "grad", grad, "mask", mask);
  const Images images = images_of("edt_backward", "mask", mask);
  const EdtParams p = edt_params("edt_backward", images, is_signed, squared, sampling, black_border);
  Tensor grad_mask = fresh_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return grad_mask;

  const Tensor source = as_contiguous(mask);
  const Tensor upstream = as_contiguous(as_dtype(grad, edt_result_dtype(mask.scalar_type())));
  dispatch_floating(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    edt_backward_images(static_cast<const accumulate_t<T>*>(upstream.const_data_ptr()),
                        static_cast<const T*>(source.const_data_ptr()), static_cast<T*>(grad_mask.mutable_data_ptr()),
                        images.count, p);
  });
  return grad_mask;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("edt_backward", TORCH_BOX(&edt_backward_cpu));
}

}  // namespace topo
