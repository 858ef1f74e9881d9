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

// The loops below never write to a buffer that they read. Otherwise the compiler would not vectorise them, since it
// does not know the offsets.

template <typename T>
void take_greater(const T* __restrict a, const T* __restrict b, int64_t count, T* __restrict out) {
  for (int64_t x = 0; x < count; ++x) out[x] = greater(a[x], b[x]);
}

// out[x] = relu(D - max + 1), where max is the larger of line[x] and line[x + reach].
template <typename T>
void stand_out(const T* __restrict distance, const T* __restrict line, int64_t reach, int64_t width,
               T* __restrict out) {
  const T* __restrict ahead = line + reach;
  for (int64_t x = 0; x < width; ++x) {
    const T peak = greater(line[x], ahead[x]);
    if constexpr (sizeof(T) == 2) {
      const T second = static_cast<T>(peak - 1);  // wraps if the peak is 0, which gives 0 as well
      out[x] = static_cast<T>(greater(distance[x], second) - second);
    } else {
      out[x] = greater(distance[x] - peak + T(1), T(0));
    }
  }
}

template <typename T, typename Mask, typename Out>
void write_row(const T* __restrict line, const Mask* __restrict mask, int64_t width, Out* __restrict skeleton) {
  for (int64_t x = 0; x < width; ++x)
    skeleton[x] = static_cast<Out>(static_cast<Out>(line[x]) * static_cast<Out>(mask[x]));
}

template <typename T, typename Mask, typename Out>
void ridges_of(const RidgeImage& image, const T* distance, const Mask* mask, Out* skeleton, T* lines) {
  const int64_t width = image.width, height = image.height, radius = image.radius, length = width + 2 * radius;
  T *line = lines, *other = lines + length;
  for (int64_t y = 0; y < height; ++y) {
    // Maxima over the window's rows, from the middle row outwards.
    const T *here = distance + y * width, *column = here;
    for (int64_t k = 1; k <= radius; ++k) {
      const T* above = distance + (y > k ? y - k : 0) * width;
      const T* below = distance + (y + k < height ? y + k : height - 1) * width;
      take_greater(above, column, width, other + radius);
      take_greater(other + radius, below, width, line + radius);
      column = line + radius;
    }
    for (int64_t x = 0; x < radius; ++x) line[x] = line[radius + width + x] = Lowest<T>::value;
    // line[x] becomes the maximum of `covered` columns from x on.
    int64_t covered = 1;
    for (; 2 * covered < 2 * radius + 1; covered *= 2) {
      take_greater(line, line + covered, length - covered, other);
      T* swapped = line;
      line = other, other = swapped;
    }
    stand_out(here, line, 2 * radius + 1 - covered, width, other);
    write_row(other, mask + y * width, width, skeleton + y * width);
  }
}

}  // namespace

void ridges(const RidgeImage& image, const float* distance, const float* mask, float* skeleton, float* lines) {
  ridges_of(image, distance, mask, skeleton, lines);
}

void ridges(const RidgeImage& image, const float* distance, const uint8_t* mask, float* skeleton, float* lines) {
  ridges_of(image, distance, mask, skeleton, lines);
}

void ridges(const RidgeImage& image, const double* distance, const double* mask, double* skeleton, double* lines) {
  ridges_of(image, distance, mask, skeleton, lines);
}

void ridges(const RidgeImage& image, const double* distance, const uint8_t* mask, double* skeleton, double* lines) {
  ridges_of(image, distance, mask, skeleton, lines);
}

void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, uint8_t* skeleton,
            uint16_t* lines) {
  ridges_of(image, distance, mask, skeleton, lines);
}

void ridges(const RidgeImage& image, const uint16_t* distance, const uint8_t* mask, float* skeleton, uint16_t* lines) {
  ridges_of(image, distance, mask, skeleton, lines);
}

}  // namespace TOPO_SIMD
}  // namespace topo
