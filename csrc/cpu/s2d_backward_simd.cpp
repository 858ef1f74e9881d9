#include "cpu/s2d_backward_simd.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

// Fills the border of a padded plane.
template <typename T>
void fill_border(T* plane, int64_t height, int64_t width, T value) {
  const int64_t stride = width + 2;
  for (int64_t x = 0; x < stride; ++x) plane[x] = plane[(height + 1) * stride + x] = value;
  for (int64_t y = 1; y <= height; ++y) plane[y * stride] = plane[y * stride + width + 1] = value;
}

// One row: the gradient on pixels that are neither background nor saturated, and where it is not 0.
template <typename Real>
void start_row(const uint16_t* __restrict__ depth, const Real* __restrict__ upstream, int64_t width, uint16_t saturated,
               Real* __restrict__ flow, uint8_t* __restrict__ carries) {
  const uint32_t most = static_cast<uint32_t>(saturated) - 1;
  for (int64_t x = 0; x < width; ++x) {
    const uint32_t level = depth[x];
    const Real value = level - 1 < most ? upstream[x] : Real(0);
    flow[x] = value;
    carries[x] = value == Real(0) ? 0 : 1;  // NaN counts
  }
}

uint16_t pad_row(const uint16_t* __restrict__ depth, const uint8_t* __restrict__ carries, int64_t width,
                 uint16_t* __restrict__ padded) {
  uint16_t deepest = 0;
  for (int64_t x = 0; x < width; ++x) {
    const uint16_t level = depth[x];
    padded[x] = level;
    const uint16_t carried = static_cast<uint16_t>(level & -static_cast<uint16_t>(carries[x]));
    deepest = carried > deepest ? carried : deepest;
  }
  return deepest;
}

template <typename Real>
uint16_t start(const uint16_t* depth, const Real* upstream, int64_t height, int64_t width, uint16_t saturated,
               uint16_t outside, uint16_t* padded, Real* flow, uint8_t* carries) {
  const int64_t stride = width + 2;
  fill_border(padded, height, width, outside);
  fill_border(flow, height, width, Real(0));
  fill_border(carries, height, width, uint8_t(0));
  uint16_t deepest = 0;
  for (int64_t y = 0; y < height; ++y) {
    const int64_t first = (y + 1) * stride + 1;
    start_row(depth + y * width, upstream + y * width, width, saturated, flow + first, carries + first);
    const uint16_t here = pad_row(depth + y * width, carries + first, width, padded + first);
    deepest = here > deepest ? here : deepest;
  }
  return deepest;
}

#ifdef __AVX512F__
// Appends the indices first + k of the bits k of `bits`.
uint32_t* append(uint64_t bits, int64_t first, uint32_t* end) {
  const __m512i ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; bits != 0; bits >>= 16, first += 16) {
    const auto lanes = static_cast<__mmask16>(bits);
    const __m512i indices = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), ramp);
    _mm512_storeu_si512(end, _mm512_maskz_compress_epi32(lanes, indices));
    end += __builtin_popcount(lanes);
  }
  return end;
}
#endif

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

uint16_t start_route(const uint16_t* depth, const float* upstream, int64_t height, int64_t width, uint16_t saturated,
                     uint16_t outside, uint16_t* padded, float* flow, uint8_t* carries) {
  return start(depth, upstream, height, width, saturated, outside, padded, flow, carries);
}

uint16_t start_route(const uint16_t* depth, const double* upstream, int64_t height, int64_t width, uint16_t saturated,
                     uint16_t outside, uint16_t* padded, double* flow, uint8_t* carries) {
  return start(depth, upstream, height, width, saturated, outside, padded, flow, carries);
}

int64_t list_marked(const uint8_t* marks, int64_t count, uint32_t* list) {
  uint32_t* end = list;
  int64_t i = 0;
#ifdef __AVX512F__
  for (; i + 64 <= count; i += 64) {
    const __m512i v = _mm512_loadu_si512(marks + i);
    end = append(_mm512_test_epi8_mask(v, v), i, end);
  }
#else
  for (; i + 8 <= count; i += 8) {
    uint64_t eight;
    __builtin_memcpy(&eight, marks + i, 8);
    if (eight == 0) continue;
    for (int64_t k = i; k < i + 8; ++k) {
      *end = static_cast<uint32_t>(k);
      end += marks[k] != 0;
    }
  }
#endif
  for (; i < count; ++i) {
    *end = static_cast<uint32_t>(i);
    end += marks[i] != 0;
  }
  return end - list;
}

int64_t list_levels(const uint16_t* depth, int64_t count, uint16_t deepest, uint32_t* list) {
  uint32_t* end = list;
  int64_t i = 0;
#ifdef __AVX512F__
  const __m512i one = _mm512_set1_epi16(1), most = _mm512_set1_epi16(static_cast<int16_t>(deepest));
  for (; i + 32 <= count; i += 32) {
    const __m512i less = _mm512_sub_epi16(_mm512_loadu_si512(depth + i), one);
    end = append(_mm512_cmplt_epu16_mask(less, most), i, end);
  }
#else
  for (; i + 8 <= count; i += 8) {
    uint64_t four[2];
    __builtin_memcpy(four, depth + i, 16);
    if ((four[0] | four[1]) == 0) continue;
    for (int64_t k = i; k < i + 8; ++k) {
      *end = static_cast<uint32_t>(k);
      end += static_cast<uint16_t>(depth[k] - 1) < deepest;
    }
  }
#endif
  for (; i < count; ++i) {
    *end = static_cast<uint32_t>(i);
    end += static_cast<uint16_t>(depth[i] - 1) < deepest;
  }
  return end - list;
}

void find_lower(const uint16_t* padded, int64_t height, int64_t width, uint16_t* lower) {
  const int64_t stride = width + 2;
  for (int64_t y = 1; y <= height; ++y) {
    const uint16_t* __restrict__ d = padded + y * stride + 1;
    const uint16_t *a = d - stride, *b = d + stride;
    uint16_t* __restrict__ out = lower + y * stride + 1;
    for (int64_t x = 0; x < width; ++x) {
      const uint16_t level = static_cast<uint16_t>(d[x] - 1);
      uint16_t bits = a[x - 1] == level ? 1 : 0;
      bits = static_cast<uint16_t>(bits | (a[x] == level ? 2 : 0));
      bits = static_cast<uint16_t>(bits | (a[x + 1] == level ? 4 : 0));
      bits = static_cast<uint16_t>(bits | (d[x - 1] == level ? 8 : 0));
      bits = static_cast<uint16_t>(bits | (d[x + 1] == level ? 16 : 0));
      bits = static_cast<uint16_t>(bits | (b[x - 1] == level ? 32 : 0));
      bits = static_cast<uint16_t>(bits | (b[x] == level ? 64 : 0));
      bits = static_cast<uint16_t>(bits | (b[x + 1] == level ? 128 : 0));
      out[x] = bits;
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
