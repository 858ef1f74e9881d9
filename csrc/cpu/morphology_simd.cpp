#include "cpu/morphology_simd.h"

namespace topo {
namespace TOPO_SIMD {

void spread_columns(const BitStrips& strips, int64_t step, const uint64_t* from, uint64_t* to) {
  const int64_t far = step / 64, height = strips.height;
  const int bits = static_cast<int>(step % 64);
  // Moved by whole words alone, the second word takes no part. Half a shift twice avoids one by 64.
  const int rest = 63 - bits;
  const auto strip_at = [&](int64_t strip) -> const uint64_t* {
    return strip >= 0 && strip < strips.count ? from + strip * height : nullptr;
  };
  for (int64_t strip = 0; strip < strips.count; ++strip) {
    const uint64_t* here = from + strip * height;
    uint64_t* out = to + strip * height;
    for (int64_t y = 0; y < height; ++y) out[y] = here[y];
    if (const uint64_t* left = strip_at(strip - far)) {
      for (int64_t y = 0; y < height; ++y) out[y] |= left[y] << bits;
    }
    if (const uint64_t* left = strip_at(strip - far - 1)) {
      for (int64_t y = 0; y < height; ++y) out[y] |= left[y] >> 1 >> rest;
    }
    if (const uint64_t* right = strip_at(strip + far)) {
      for (int64_t y = 0; y < height; ++y) out[y] |= right[y] >> bits;
    }
    if (const uint64_t* right = strip_at(strip + far + 1)) {
      for (int64_t y = 0; y < height; ++y) out[y] |= right[y] << 1 << rest;
    }
  }
  uint64_t* out = to + (strips.count - 1) * height;
  for (int64_t y = 0; y < height; ++y) out[y] &= strips.last;
}

void spread_rows(const BitStrips& strips, int64_t step, const uint64_t* from, uint64_t* to) {
  const int64_t height = strips.height, moved = height - step;
  for (int64_t strip = 0; strip < strips.count; ++strip) {
    const uint64_t* here = from + strip * height;
    uint64_t* out = to + strip * height;
    for (int64_t y = 0; y < height; ++y) out[y] = here[y];
    for (int64_t y = 0; y < moved; ++y) out[y] |= here[y + step];
    for (int64_t y = 0; y < moved; ++y) out[y + step] |= here[y];
  }
}

void spread_and_add(const BitStrips& strips, const uint64_t* from, const uint64_t* more, uint64_t* to) {
  const int64_t height = strips.height;
  for (int64_t strip = 0; strip < strips.count; ++strip) {
    const uint64_t *here = from + strip * height, *added = more + strip * height;
    uint64_t* out = to + strip * height;
    if (height == 1) {
      out[0] = here[0] | added[0];
      continue;
    }
    out[0] = here[1] | added[0];
    for (int64_t y = 1; y + 1 < height; ++y) out[y] = here[y - 1] | here[y + 1] | added[y];
    out[height - 1] = here[height - 2] | added[height - 1];
  }
}

}  // namespace TOPO_SIMD
}  // namespace topo
