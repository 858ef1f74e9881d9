#include "cpu/s2d_backward_simd.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

template <typename Real>
int64_t keep_nonzero_of(const Real* upstream, int64_t height, int64_t width, uint8_t* marked) {
  int64_t count = 0;
  for (int64_t y = 0; y < height; ++y) {
    const Real* g = upstream + y * width;
    uint8_t* row = marked + (y + 1) * (width + 2) + 1;
    uint32_t here = 0;
    for (int64_t x = 0; x < width; ++x) {
      const uint32_t kept = row[x] & static_cast<uint32_t>(!(g[x] == Real(0)));
      row[x] = static_cast<uint8_t>(kept);
      here += kept;
    }
    count += here;
  }
  return count;
}

template <typename Real>
void take_background_of(const uint16_t* depth, const Real* handed, int64_t width, int64_t top, int64_t bottom,
                        int64_t left, int64_t right, Real* grad) {
  for (int64_t y = top; y < bottom; ++y) {
    const Real* h = handed + (y + 1) * (width + 2) + 1;
    const Real *a = h - (width + 2), *b = h + (width + 2);
    const uint16_t* d = depth + y * width;
    Real* g = grad + y * width;
    for (int64_t x = left; x < right; ++x) {
      const Real taken = ((a[x - 1] + a[x]) + a[x + 1]) + (h[x - 1] + h[x + 1]) + ((b[x - 1] + b[x]) + b[x + 1]);
      g[x] = d[x] == 0 ? taken : g[x];
    }
  }
}

}  // namespace

void pad_depth(const uint16_t* depth, int64_t height, int64_t width, uint16_t outside, uint16_t* padded) {
  const int64_t stride = width + 2;
  for (int64_t x = 0; x < stride; ++x) padded[x] = padded[(height + 1) * stride + x] = outside;
  for (int64_t y = 0; y < height; ++y) {
    uint16_t* row = padded + (y + 1) * stride + 1;
    row[-1] = row[width] = outside;
    for (int64_t x = 0; x < width; ++x) row[x] = depth[y * width + x];
  }
}

void count_lower(const uint16_t* padded, int64_t height, int64_t width, uint16_t* lower) {
  const int64_t stride = width + 2;
  for (int64_t y = 0; y < height; ++y) {
    const uint16_t* d = padded + (y + 1) * stride + 1;
    const uint16_t *a = d - stride, *b = d + stride;
    uint16_t* out = lower + (y + 1) * stride + 1;
    for (int64_t x = 0; x < width; ++x) {
      const uint16_t level = static_cast<uint16_t>(d[x] - 1);
      uint16_t count = a[x - 1] == level;
      count = static_cast<uint16_t>(count + (a[x] == level));
      count = static_cast<uint16_t>(count + (a[x + 1] == level));
      count = static_cast<uint16_t>(count + (d[x - 1] == level));
      count = static_cast<uint16_t>(count + (d[x + 1] == level));
      count = static_cast<uint16_t>(count + (b[x - 1] == level));
      count = static_cast<uint16_t>(count + (b[x] == level));
      count = static_cast<uint16_t>(count + (b[x + 1] == level));
      out[x] = count;
    }
  }
}

int64_t mark_inside(const uint16_t* depth, int64_t height, int64_t width, uint16_t saturated, uint8_t* marked) {
  const int64_t stride = width + 2;
  for (int64_t x = 0; x < stride; ++x) marked[x] = marked[(height + 1) * stride + x] = 0;
  int64_t count = 0;
  for (int64_t y = 0; y < height; ++y) {
    const uint16_t* d = depth + y * width;
    uint8_t* row = marked + (y + 1) * stride + 1;
    row[-1] = row[width] = 0;
    uint16_t here = 0;  // a row has at most 32768 pixels
    for (int64_t x = 0; x < width; ++x) {
      const uint16_t kept = (d[x] != 0) & (d[x] < saturated);
      row[x] = static_cast<uint8_t>(kept);
      here = static_cast<uint16_t>(here + kept);
    }
    count += here;
  }
  return count;
}

int64_t keep_nonzero(const float* upstream, int64_t height, int64_t width, uint8_t* marked) {
  return keep_nonzero_of(upstream, height, width, marked);
}

int64_t keep_nonzero(const double* upstream, int64_t height, int64_t width, uint8_t* marked) {
  return keep_nonzero_of(upstream, height, width, marked);
}

void take_background(const uint16_t* depth, const float* handed, int64_t width, int64_t top, int64_t bottom,
                     int64_t left, int64_t right, float* grad) {
  take_background_of(depth, handed, width, top, bottom, left, right, grad);
}

void take_background(const uint16_t* depth, const double* handed, int64_t width, int64_t top, int64_t bottom,
                     int64_t left, int64_t right, double* grad) {
  take_background_of(depth, handed, width, top, bottom, left, right, grad);
}

}  // namespace TOPO_SIMD
}  // namespace topo
