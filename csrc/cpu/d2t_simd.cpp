#include "cpu/d2t_simd.h"

namespace topo {
namespace TOPO_SIMD {
namespace {

template <typename Real>
struct Lowest {
  static constexpr Real value = static_cast<Real>(-__builtin_inf());
};
template <>
struct Lowest<uint16_t> {
  static constexpr uint16_t value = 0;
};

template <typename T>
inline __attribute__((always_inline)) T greater(T a, T b) {
  return a > b ? a : b;
}

// Selections of computed values, not branches: these loops are vectorised.
template <typename Out, typename Real, typename Mask>
inline __attribute__((always_inline)) Out ridge(Real value, Real peak, Mask mask) {
  if constexpr (sizeof(Real) == 2) {
    return static_cast<Out>(static_cast<uint8_t>((value == peak) & (mask != 0)));
  } else {
    const Real z = value - peak + Real(1), inside = z * static_cast<Real>(mask);
    return z > Real(0) ? inside : Real(0);
  }
}

template <typename T>
void take_greater(T* __restrict line, const T* __restrict other, int64_t count) {
  for (int64_t x = 0; x < count; ++x) line[x] = greater(line[x], other[x]);
}

template <typename T, typename Mask, typename Out>
void write_row(const T* __restrict distance, const Mask* __restrict mask, const T* __restrict line, int64_t reach,
               int64_t width, Out* __restrict skeleton) {
  for (int64_t x = 0; x < width; ++x) {
    skeleton[x] = ridge<Out>(distance[x], greater(line[x], line[x + reach]), mask[x]);
  }
}

template <typename T, typename Mask, typename Out>
void ridges_of(const RidgeImage& image, const T* distance, const Mask* mask, Out* skeleton, T* line) {
  const int64_t width = image.width, height = image.height, radius = image.radius, side = 2 * radius + 1;
  for (int64_t y = 0; y < height; ++y) {
    const int64_t first = y > radius ? y - radius : 0, last = y + radius < height ? y + radius : height - 1;
    for (int64_t x = 0; x < radius; ++x) line[x] = line[radius + width + x] = Lowest<T>::value;
    T* inside = line + radius;
    __builtin_memcpy(inside, distance + first * width, width * sizeof(T));
    for (int64_t v = first + 1; v <= last; ++v) take_greater(inside, distance + v * width, width);
    // line[x] becomes the maximum of `covered` columns from x on.
    int64_t covered = 1;
    for (; 2 * covered < side; covered *= 2) {
      for (int64_t x = 0; x < width + side - 1 - covered; ++x) line[x] = greater(line[x], line[x + covered]);
    }
    write_row(distance + y * width, mask + y * width, line, side - covered, width, skeleton + y * width);
  }
}

}  // namespace

void ridges(const RidgeImage& image, const float* distance, const float* mask, float* skeleton, float* line) {
  ridges_of(image, distance, mask, skeleton, line);
}

void ridges(const RidgeImage& image, const float* distance, const uint8_t* mask, float* skeleton, float* line) {
  ridges_of(image, distance, mask, skeleton, line);
}

void ridges(const RidgeImage& image, const double* distance, const double* mask, double* skeleton, double* line) {
  ridges_of(image, distance, mask, skeleton, line);
}

void ridges(const RidgeImage& image, const double* distance, const uint8_t* mask, double* skeleton, double* line) {
  ridges_of(image, distance, mask, skeleton, line);
}

void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, uint8_t* skeleton, uint16_t* line) {
  ridges_of(image, distance, mask, skeleton, line);
}

void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, float* skeleton, uint16_t* line) {
  ridges_of(image, distance, mask, skeleton, line);
}

}  // namespace TOPO_SIMD
}  // namespace topo
