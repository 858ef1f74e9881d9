#include "cpu/s2d_backward_simd.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

// The border of a padded plane.
template <typename T>
void fill_border(T* plane, int64_t height, int64_t width, T value) {
  const int64_t stride = width + 2;
  for (int64_t x = 0; x < stride; ++x) plane[x] = plane[(height + 1) * stride + x] = value;
  for (int64_t y = 1; y <= height; ++y) plane[y * stride] = plane[y * stride + width + 1] = value;
}

// Marks the pixels of a row that are inside and returns the deepest level of these.
uint16_t mark_inside(const uint16_t* __restrict__ depth, int64_t width, uint16_t saturated,
                     uint16_t* __restrict__ level, uint8_t* __restrict__ mark) {
  const uint16_t most = static_cast<uint16_t>(saturated - 1);
  uint16_t deepest = 0;
  for (int64_t x = 0; x < width; ++x) {
    const uint16_t d = depth[x];
    const uint16_t inside = static_cast<uint16_t>(d - 1) < most ? 0xFFFF : 0;
    const uint16_t reached = inside & d;
    level[x] = d;
    mark[x] = static_cast<uint8_t>(inside & kInside);
    deepest = reached > deepest ? reached : deepest;
  }
  return deepest;
}

// Marks those that carry a gradient.
template <typename Real>
void mark_carrying(const Real* __restrict__ upstream, int64_t width, Real* __restrict__ flow,
                   uint8_t* __restrict__ mark) {
  for (int64_t x = 0; x < width; ++x) {
    const Real value = mark[x] ? upstream[x] : Real(0);
    flow[x] = value;
    mark[x] = static_cast<uint8_t>(mark[x] | (value == Real(0) ? 0 : kCarries));  // NaN does
  }
}

int64_t count_marked(const uint8_t* marks, int64_t width, uint8_t mark) {
  uint32_t sum = 0;
  for (int64_t x = 0; x < width; ++x) sum += static_cast<uint8_t>(marks[x] & mark);
  return sum / mark;
}

template <typename Real>
RouteStart start(const uint16_t* depth, const Real* upstream, int64_t height, int64_t width, uint16_t saturated,
                 uint16_t outside, uint16_t* padded, Real* flow, uint8_t* marks) {
  const int64_t stride = width + 2;
  fill_border(padded, height, width, outside);
  fill_border(flow, height, width, Real(0));
  fill_border(marks, height, width, uint8_t(0));
  RouteStart result = {0, 0, 0};
  for (int64_t y = 0; y < height; ++y) {
    const int64_t first = (y + 1) * stride + 1;
    const int32_t deepest = mark_inside(depth + y * width, width, saturated, padded + first, marks + first);
    mark_carrying(upstream + y * width, width, flow + first, marks + first);
    result.deepest = deepest > result.deepest ? deepest : result.deepest;
    result.inside += count_marked(marks + first, width, kInside);
    result.carrying += count_marked(marks + first, width, kCarries);
  }
  return result;
}

template <typename Real>
void finish(const uint16_t* __restrict__ depth, const Real* __restrict__ handed, const Real* __restrict__ flow,
            int64_t width, int64_t top, int64_t bottom, Real* __restrict__ grad) {
  const int64_t stride = width + 2;
  for (int64_t y = top; y < bottom; ++y) {
    const Real* h = handed + (y + 1) * stride + 1;
    const Real *a = h - stride, *b = h + stride, *kept = flow + (y + 1) * stride + 1;
    const uint16_t* d = depth + y * width;
    Real* g = grad + y * width;
    for (int64_t x = 0; x < width; ++x) {
      const Real taken = ((a[x - 1] + a[x]) + a[x + 1]) + (h[x - 1] + h[x + 1]) + ((b[x - 1] + b[x]) + b[x + 1]);
      const Real rest = d[x] == 1 ? kept[x] : Real(0);
      g[x] = d[x] == 0 ? taken : rest;
    }
  }
}

}  // namespace

RouteStart start_route(const uint16_t* depth, const float* upstream, int64_t height, int64_t width, uint16_t saturated,
                       uint16_t outside, uint16_t* padded, float* flow, uint8_t* marks) {
  return start(depth, upstream, height, width, saturated, outside, padded, flow, marks);
}

RouteStart start_route(const uint16_t* depth, const double* upstream, int64_t height, int64_t width, uint16_t saturated,
                       uint16_t outside, uint16_t* padded, double* flow, uint8_t* marks) {
  return start(depth, upstream, height, width, saturated, outside, padded, flow, marks);
}

int64_t list_marked(const uint8_t* marks, int64_t count, uint8_t mark, uint32_t* list) {
  uint32_t* end = list;
  int64_t i = 0;
#ifdef __AVX512F__
  const __m512i wanted = _mm512_set1_epi8(static_cast<char>(mark));
  const __m512i ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; i + 64 <= count; i += 64) {
    uint64_t bits = _mm512_test_epi8_mask(_mm512_loadu_si512(marks + i), wanted);
    for (int64_t first = i; bits != 0; bits >>= 16, first += 16) {
      const auto lanes = static_cast<__mmask16>(bits);
      const __m512i indices = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), ramp);
      _mm512_storeu_si512(end, _mm512_maskz_compress_epi32(lanes, indices));
      end += __builtin_popcount(lanes);
    }
  }
#else
  for (; i + 8 <= count; i += 8) {
    uint64_t eight;
    __builtin_memcpy(&eight, marks + i, 8);
    if ((eight & (0x0101010101010101u * mark)) == 0) continue;
    for (int64_t k = i; k < i + 8; ++k) {
      *end = static_cast<uint32_t>(k);
      end += (marks[k] & mark) != 0;
    }
  }
#endif
  for (; i < count; ++i) {
    *end = static_cast<uint32_t>(i);
    end += (marks[i] & mark) != 0;
  }
  return end - list;
}

void count_lower(const uint16_t* padded, int64_t height, int64_t width, uint16_t* lower) {
  const int64_t stride = width + 2;
  for (int64_t y = 1; y <= height; ++y) {
    const uint16_t* d = padded + y * stride + 1;
    const uint16_t *a = d - stride, *b = d + stride;
    uint16_t* out = lower + y * stride + 1;
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

void finish_route(const uint16_t* depth, const float* handed, const float* flow, int64_t width, int64_t top,
                  int64_t bottom, float* grad) {
  finish(depth, handed, flow, width, top, bottom, grad);
}

void finish_route(const uint16_t* depth, const double* handed, const double* flow, int64_t width, int64_t top,
                  int64_t bottom, double* grad) {
  finish(depth, handed, flow, width, top, bottom, grad);
}

}  // namespace TOPO_SIMD
}  // namespace topo
