#include "cpu/d2t_backward_simd.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

// One row of the ridge pass's results, padded by one pixel on both sides.
template <typename Real>
struct Ridge {
  Real *peak, *passed, *taken;  // window maxima; dL/dz; what is subtracted at each maximum of the window
};

template <typename Real>
void fill(Real* line, int64_t count, Real value) {
  for (int64_t x = 0; x < count; ++x) line[x] = value;
}

// Sets columns[x] to 1 where this row carries a gradient. Returns whether it carries any.
template <typename Real>
bool mark_columns(const Real* __restrict__ grad, const Real* __restrict__ mask, int64_t width,
                  Real* __restrict__ columns) {
  uint32_t any = 0;
  for (int64_t x = 0; x < width; ++x) {
    const bool carries = (mask[x] != Real(0)) & !(grad[x] == Real(0));
    columns[x] = carries ? Real(1) : columns[x];
    any |= carries;
  }
  return any != 0;
}

// The largest distance of three rows, how often it occurs, and the largest skeleton value.
template <typename Real>
void join_rows(const Real* __restrict__ above, const Real* __restrict__ here, const Real* __restrict__ below,
               const Real* __restrict__ ridge_above, const Real* __restrict__ ridge_here,
               const Real* __restrict__ ridge_below, int64_t left, int64_t right, Real* __restrict__ peak,
               Real* __restrict__ ties, Real* __restrict__ ridge) {
  for (int64_t x = left; x < right; ++x) {
    const Real ab = above[x] > here[x] ? above[x] : here[x];
    const Real most = ab > below[x] ? ab : below[x];
    peak[x] = most;
    const Real a = above[x] == most ? Real(1) : Real(0), h = here[x] == most ? Real(1) : Real(0);
    const Real b = below[x] == most ? Real(1) : Real(0);
    ties[x] = a + h + b;
    const Real r = ridge_above[x] > ridge_here[x] ? ridge_above[x] : ridge_here[x];
    ridge[x] = r > ridge_below[x] ? r : ridge_below[x];
  }
}

template <typename Real>
void ridge_row(const Real* __restrict__ grad, const Real* __restrict__ distance, const Real* __restrict__ mask,
               const Real* __restrict__ peak, const Real* __restrict__ ties, const Real* __restrict__ ridge,
               int64_t left, int64_t right, Real* __restrict__ peaks, Real* __restrict__ passed,
               Real* __restrict__ taken, Real* __restrict__ grad_mask) {
  for (int64_t x = left; x < right; ++x) {
    const Real l = peak[x - 1], c = peak[x], r = peak[x + 1];
    const Real lc = l > c ? l : c;
    const Real most = lc > r ? lc : r;
    const Real a = l == most ? ties[x - 1] : Real(0), h = c == most ? ties[x] : Real(0);
    const Real b = r == most ? ties[x + 1] : Real(0);
    const Real z = (distance[x] - most) + Real(1);
    const bool near_ridge = (ridge[x - 1] > Real(0)) | (ridge[x] > Real(0)) | (ridge[x + 1] > Real(0));
    const bool passes = (mask[x] != Real(0)) & ((z > Real(0)) | ((z == Real(0)) & near_ridge));
    const Real pass = passes ? grad[x] * mask[x] : Real(0);
    const Real kept = grad[x] * z;
    peaks[x] = most;
    passed[x] = pass;
    taken[x] = pass / (a + h + b);
    grad_mask[x] = (z > Real(0)) & (mask[x] > Real(0)) ? kept : Real(0);
  }
}

template <typename Real>
Real given_back(Real peak, Real distance, Real taken) {
  return peak == distance ? taken : Real(0);
}

template <typename Real>
void distance_row(const Real* __restrict__ distance, const Ridge<Real>& above, const Ridge<Real>& here,
                  const Ridge<Real>& below, int64_t left, int64_t right, Real* __restrict__ grad_distance) {
  const Real *pa = above.peak, *ph = here.peak, *pb = below.peak;
  const Real *ta = above.taken, *th = here.taken, *tb = below.taken, *passed = here.passed;
  for (int64_t x = left; x < right; ++x) {
    const Real d = distance[x];
    Real sum = passed[x];
    sum -= given_back(pa[x - 1], d, ta[x - 1]);
    sum -= given_back(pa[x], d, ta[x]);
    sum -= given_back(pa[x + 1], d, ta[x + 1]);
    sum -= given_back(ph[x - 1], d, th[x - 1]);
    sum -= given_back(ph[x], d, th[x]);
    sum -= given_back(ph[x + 1], d, th[x + 1]);
    sum -= given_back(pb[x - 1], d, tb[x - 1]);
    sum -= given_back(pb[x], d, tb[x]);
    sum -= given_back(pb[x + 1], d, tb[x + 1]);
    grad_distance[x] = sum;
  }
}

template <typename Real>
void run(const Real* grad, const Real* distance, const Real* mask, const Real* skeleton, int64_t height, int64_t width,
         Real* scratch, Real* grad_distance, Real* grad_mask) {
  const int64_t stride = width + 2;
  const auto line = [&](int64_t k) { return scratch + k * stride + 1; };
  fill(scratch, ridge_scratch(width), Real(0));

  // The bounding box of the pixels that carry a gradient.
  Real* columns = line(0);
  int64_t top = height, bottom = 0, left = 0, right = width;
  for (int64_t y = 0; y < height; ++y) {
    if (!mark_columns(grad + y * width, mask + y * width, width, columns)) continue;
    top = y < top ? y : top;
    bottom = y + 1;
  }
  while (left < right && columns[left] == Real(0)) ++left;
  while (left < right && columns[right - 1] == Real(0)) --right;
  fill(grad_distance, height * width, Real(0));
  fill(grad_mask, height * width, Real(0));
  if (left == right) return;

  const Real nothing = -__builtin_inf();
  Real *lowest = line(0), *zeros = line(1);  // rows of distance and of skeleton outside the image
  fill(lowest - 1, stride, nothing);
  Real *peak = line(2), *ties = line(3), *ridge = line(4);
  peak[-1] = peak[width] = nothing;
  const Ridge<Real> outside{line(5), line(6), line(6)};
  const Ridge<Real> rows[3] = {
      {line(7), line(8), line(9)}, {line(10), line(11), line(12)}, {line(13), line(14), line(15)}};
  const auto ridge_of = [&](int64_t y) { return y >= top && y < bottom ? rows[y % 3] : outside; };

  const int64_t from = left > 0 ? left - 1 : 0, to = right < width ? right + 1 : width;
  for (int64_t y = top - 1; y <= bottom + 1; ++y) {
    if (y >= top && y < bottom) {
      const Real *d = distance + y * width, *t = skeleton + y * width;
      const bool first = y == 0, last = y + 1 == height;
      join_rows(first ? lowest : d - width, d, last ? lowest : d + width, first ? zeros : t - width, t,
                last ? zeros : t + width, from, to, peak, ties, ridge);
      const Ridge<Real> row = rows[y % 3];
      ridge_row(grad + y * width, d, mask + y * width, peak, ties, ridge, left, right, row.peak, row.passed, row.taken,
                grad_mask + y * width);
    }
    const int64_t done = y - 1;
    if (done >= 0 && done < height) {
      distance_row(distance + done * width, ridge_of(done - 1), ridge_of(done), ridge_of(done + 1), from, to,
                   grad_distance + done * width);
    }
  }
}

}  // namespace

void ridge_backward(const float* grad, const float* distance, const float* mask, const float* skeleton, int64_t height,
                    int64_t width, float* scratch, float* grad_distance, float* grad_mask) {
  run(grad, distance, mask, skeleton, height, width, scratch, grad_distance, grad_mask);
}

void ridge_backward(const double* grad, const double* distance, const double* mask, const double* skeleton,
                    int64_t height, int64_t width, double* scratch, double* grad_distance, double* grad_mask) {
  run(grad, distance, mask, skeleton, height, width, scratch, grad_distance, grad_mask);
}

}  // namespace TOPO_SIMD
}  // namespace topo
