#include "cpu/m2s_simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace topo {
namespace TOPO_SIMD {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;  // size of a vector
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

// Narrow boxes are walked in half vectors if the instruction set has them: most faces of a body are a few pixels wide.
constexpr int kNarrowBytes = kBytes > 32 ? 32 : kBytes;

template <typename Real>
bool is_narrow(const PixelBox& box) {
  return (box.x1 - box.x0 + 1) * static_cast<int>(sizeof(Real)) <= kNarrowBytes;
}

template <typename Real, int bytes>
struct Lanes;
template <int bytes>
struct Lanes<float, bytes> {
  typedef float V __attribute__((vector_size(bytes)));
  typedef int32_t I __attribute__((vector_size(bytes)));
  static constexpr int kExponentShift = 23, kExponentBias = 127, kTerms = 7;
  static constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
};
template <int bytes>
struct Lanes<double, bytes> {
  typedef double V __attribute__((vector_size(bytes)));
  typedef int64_t I __attribute__((vector_size(bytes)));
  static constexpr int kExponentShift = 52, kExponentBias = 1023, kTerms = 14;
  static constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52
};

// log(2)^k / k!
constexpr double kPower[14] = {1.0,
                               0.6931471805599453,
                               0.2402265069591007,
                               0.05550410866482158,
                               0.009618129107628477,
                               0.0013333558146428443,
                               0.0001540353039338161,
                               1.525273380405984e-05,
                               1.3215486790144309e-06,
                               1.0178086009239699e-07,
                               7.054911620801123e-09,
                               4.4455382718708116e-10,
                               2.5678435993488206e-11,
                               1.3691488853904128e-12};

template <typename Real, int bytes>
struct Pixels {
  using L = Lanes<Real, bytes>;
  using V = typename L::V;
  using I = typename L::I;
  static constexpr int kCount = bytes / sizeof(Real);

  static inline __attribute__((always_inline)) V load(const Real* from) {
    V value;
    __builtin_memcpy(&value, from, sizeof(V));
    return value;
  }

  static inline __attribute__((always_inline)) void store(Real* to, V value) {
    __builtin_memcpy(to, &value, sizeof(V));
  }

  static inline __attribute__((always_inline)) V ramp() {
    V value;
    for (int i = 0; i < kCount; ++i) value[i] = static_cast<Real>(i);
    return value;
  }

  static inline __attribute__((always_inline)) bool any(I mask) {
#if defined(__AVX512F__)
    if constexpr (bytes == 64) return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#endif
#if defined(__AVX2__)
    if constexpr (bytes == 32) return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#endif
    int64_t words[bytes / 8], set = 0;
    __builtin_memcpy(words, &mask, sizeof(mask));
    for (int i = 0; i < bytes / 8; ++i) set |= words[i];
    return set != 0;
  }

  // e = exp(-d / sigma), 0 where d >= blur: 2^z is 2^round(z) times a Taylor polynomial of the remainder.
  static inline __attribute__((always_inline)) V exponential(V distance, const Falloff<Real>& falloff) {
    constexpr Real kLargest = static_cast<Real>(L::kExponentBias - 1);
    const V z = greatest(least(distance * falloff.exponent_scale, V{} + kLargest), V{} - kLargest);
    const V rounded = z + L::kRounder;
    const V rest = z - (rounded - L::kRounder);
    V power = V{} + static_cast<Real>(kPower[L::kTerms - 1]);
    for (int k = L::kTerms - 2; k >= 0; --k) power = power * rest + static_cast<Real>(kPower[k]);
    const I scale = ((I)rounded + L::kExponentBias) << L::kExponentShift;
    return distance < falloff.blur ? power * (V)scale : V{};
  }

  // Whether any pixel of the box has a weight.
  static bool any_weight(const Real* weight, int64_t pitch, const PixelBox& box) {
    for (int32_t x = box.x0; x <= box.x1; x += kCount) {
      const I in_box = ramp() <= V{} + static_cast<Real>(box.x1 - x);
      for (int64_t y = box.y0; y <= box.y1; ++y) {
        if (any(in_box & (load(weight + y * pitch + x) != V{}))) return true;
      }
    }
    return false;
  }

  // Adds halves: a sum in order would wait for every single addition.
  static inline __attribute__((always_inline)) Real total(V value) {
    Real lane[kCount];
    store(lane, value);
    for (int half = kCount / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
    return lane[0];
  }

  template <bool exact>
  static void multiply(const FaceEdges<Real>& face, int64_t row_begin, int64_t row_end, const Falloff<Real>& falloff,
                       Real* product, int64_t pitch) {
    const PixelBox box = face.box;
    const int64_t first = box.y0 > row_begin ? box.y0 : row_begin, last = box.y1 < row_end - 1 ? box.y1 : row_end - 1;
    for (int32_t x = box.x0; x <= box.x1; x += kCount) {
      const V dx = ramp() + static_cast<Real>(x - box.x0);
      for (int64_t y = first; y <= last; ++y) {
        Real* at = product + y * pitch + x;
        const V before = load(at);
        // A negative product means inside. A pixel saturated from outside must go on, since a later face may contain
        // it.
        if (!any(exact ? before > -falloff.saturated : before < falloff.saturated)) continue;
        const V distance = signed_distance(face, dx, V{} + static_cast<Real>(y - box.y0));
        const V after = before * (exponential(distance, falloff) + Real(1));
        const I sign = (I)(-V{}) & (distance < static_cast<Real>(kTouching));
        store(at, exact ? (V)((I)after | sign) : after);
      }
    }
  }

  static void gather(const FaceEdges<Real>& face, const Falloff<Real>& falloff, const Real* weight, int64_t pitch,
                     Real* grad) {
    const PixelBox box = face.box;
    V sum[6] = {V{}, V{}, V{}, V{}, V{}, V{}};
    for (int32_t x = box.x0; x <= box.x1; x += kCount) {
      const V dx = ramp() + static_cast<Real>(x - box.x0);
      for (int64_t y = box.y0; y <= box.y1; ++y) {
        const V here = load(weight + y * pitch + x);
        if (!any(here != V{})) continue;
        const Nearest<V> near = nearest_point(face, dx, V{} + static_cast<Real>(y - box.y0));
        const V e = exponential(near.distance, falloff);
        const V share = here * (e / (e + Real(1)));
        for (int k = 0; k < 3; ++k) {
          const V part = share * near.weight[k];
          sum[2 * k] += part * near.x;
          sum[2 * k + 1] += part * near.y;
        }
      }
    }
    for (int k = 0; k < 3; ++k) {
      const int corner = face.flipped && k ? 3 - k : k;
      grad[2 * corner] = total(sum[2 * k]);
      grad[2 * corner + 1] = total(sum[2 * k + 1]);
    }
  }
};

template <bool exact, typename Real>
void multiply_faces(const FaceEdges<Real>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                    const Falloff<Real>& falloff, Real* product, int64_t pitch) {
  for (int64_t f = 0; f < count; ++f) {
    if (faces[f].box.y1 < row_begin || faces[f].box.y0 >= row_end) continue;
    const auto draw = is_narrow<Real>(faces[f].box) ? Pixels<Real, kNarrowBytes>::template multiply<exact>
                                                    : Pixels<Real, kBytes>::template multiply<exact>;
    draw(faces[f], row_begin, row_end, falloff, product, pitch);
  }
}

template <typename Real>
void gather_faces(const FaceEdges<Real>* faces, int64_t count, const Falloff<Real>& falloff, const Real* weight,
                  int64_t pitch, Real* grad) {
  for (int64_t f = 0; f < count; ++f) {
    const auto draw = is_narrow<Real>(faces[f].box) ? Pixels<Real, kNarrowBytes>::gather : Pixels<Real, kBytes>::gather;
    draw(faces[f], falloff, weight, pitch, grad + 6 * f);
  }
}

template <typename Real>
bool any_weight(const Real* weight, int64_t pitch, const PixelBox& box) {
  return is_narrow<Real>(box) ? Pixels<Real, kNarrowBytes>::any_weight(weight, pitch, box)
                              : Pixels<Real, kBytes>::any_weight(weight, pitch, box);
}

// Works in whole vectors; the values beyond `count` are never used.
static inline int64_t padded(int64_t count) {
  return (count + 7) / 8 * 8;
}

// Pixels of an axis of `length` pixels whose centre lies in [low, high]; none if first > last.
struct PixelRanges {
  int32_t first[kFacesAtOnce], last[kFacesAtOnce];
};

void pixel_ranges(const double (*at)[kFacesAtOnce], int64_t count, double reach, int64_t length, PixelRanges& ranges) {
  const double end = static_cast<double>(length - 1);
  for (int64_t f = 0; f < padded(count); ++f) {
    const double low = least(least(at[0][f], at[1][f]), at[2][f]) - reach - 0.5;
    const double high = greatest(greatest(at[0][f], at[1][f]), at[2][f]) + reach - 0.5;
    const double from = greatest(low, 0.0), to = least(high, end);
    const int32_t first = static_cast<int32_t>(from);
    ranges.first[f] = first + (static_cast<double>(first) < from ? 1 : 0);
    ranges.last[f] = to < 0.0 ? -1 : static_cast<int32_t>(to);
  }
}

template <typename Real>
struct Edges {
  Real ux[kFacesAtOnce], uy[kFacesAtOnce], height[kFacesAtOnce];
  Real start[kFacesAtOnce], end[kFacesAtOnce], inverse[kFacesAtOnce];
};

template <typename Real>
void set_up_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count, FaceEdges<Real>* faces) {
  double centre_x[kFacesAtOnce], centre_y[kFacesAtOnce];
  for (int64_t f = 0; f < count; ++f) {
    faces[f].box = boxes[f];
    centre_x[f] = boxes[f].x0 + 0.5;
    centre_y[f] = boxes[f].y0 + 0.5;
  }
  for (int64_t f = count; f < padded(count); ++f) centre_x[f] = centre_y[f] = 0.0;
  for (int k = 0; k < 3; ++k) {
    const double *ax = corners.x[k], *ay = corners.y[k], *bx = corners.x[(k + 1) % 3], *by = corners.y[(k + 1) % 3];
    Edges<Real> edges;
    for (int64_t f = 0; f < padded(count); ++f) {
      const double dx = bx[f] - ax[f], dy = by[f] - ay[f];
      const double length = __builtin_sqrt(dx * dx + dy * dy), inverse = 1.0 / length;
      const double ux = dx * inverse, uy = dy * inverse;
      const double px = centre_x[f] - ax[f], py = centre_y[f] - ay[f];
      const double along = ux * px + uy * py;
      edges.ux[f] = static_cast<Real>(ux);
      edges.uy[f] = static_cast<Real>(uy);
      edges.height[f] = static_cast<Real>(ux * py - uy * px);
      edges.start[f] = static_cast<Real>(along);
      edges.end[f] = static_cast<Real>(along - length);
      edges.inverse[f] = static_cast<Real>(inverse);
    }
    for (int64_t f = 0; f < count; ++f) {
      faces[f].ux[k] = edges.ux[f];
      faces[f].uy[k] = edges.uy[f];
      faces[f].height[k] = edges.height[f];
      faces[f].start[k] = edges.start[f];
      faces[f].end[k] = edges.end[f];
      faces[f].inv_length[k] = edges.inverse[f];
    }
  }
}

// The gradient of the coverage in row y from that of the silhouette. The 3 x 3 sums are taken along the columns first.
template <typename Real>
void outline_row(const Real* grad, const Real* silhouette, int64_t height, int64_t width, int64_t y, Real* scratch,
                 Real* row) {
  Real *count = scratch, *pull = scratch + width + 2;
  count[0] = pull[0] = count[width + 1] = pull[width + 1] = Real(0);
  for (int64_t x = 0; x < width; ++x) {
    count[x + 1] = silhouette[y * width + x];
    pull[x + 1] = silhouette[y * width + x] * grad[y * width + x];
  }
  for (int64_t v = y - 1; v <= y + 1; v += 2) {
    if (v < 0 || v >= height) continue;
    for (int64_t x = 0; x < width; ++x) {
      count[x + 1] += silhouette[v * width + x];
      pull[x + 1] += silhouette[v * width + x] * grad[v * width + x];
    }
  }
  for (int64_t x = 0; x < width; ++x) {
    const Real inside = (count[x + 1] + count[x]) + count[x + 2], pulls = (pull[x + 1] + pull[x]) + pull[x + 2];
    const Real here = grad[y * width + x], mean = pulls / (inside > Real(1) ? inside : Real(1));
    const Real central = inside > Real(0) ? (mean + here) * Real(0.5) : here;
    row[x] = silhouette[y * width + x] > Real(0) ? Real(0) : central;
  }
}

template <typename Real>
void weigh(const Real* grad, const Real* silhouette, const Real* coverage, int64_t height, int64_t width, int64_t y,
           Real scale, Real least, Real* scratch, Real* row) {
  const Real* gradient = grad + y * width;
  if (silhouette) {
    outline_row(grad, silhouette, height, width, y, scratch, row);
    gradient = row;
  }
  for (int64_t x = 0; x < width; ++x) {
    const Real open = Real(1) - coverage[y * width + x], weight = scale * gradient[x] * open;
    row[x] = open < least ? Real(0) : weight;
  }
}

}  // namespace

void m2s_boxes(const FaceCorners& corners, int64_t count, int64_t height, int64_t width, double reach,
               PixelBox* boxes) {
  PixelRanges x, y;
  pixel_ranges(corners.x, count, reach, width, x);
  pixel_ranges(corners.y, count, reach, height, y);
  for (int64_t f = 0; f < count; ++f) {
    const bool none = x.first[f] > x.last[f] || y.first[f] > y.last[f];
    boxes[f] = none ? PixelBox{0, -1, 0, -1} : PixelBox{x.first[f], x.last[f], y.first[f], y.last[f]};
  }
}

void m2s_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count, FaceEdges<float>* faces) {
  set_up_edges(corners, boxes, count, faces);
}

void m2s_edges(const FaceCorners& corners, const PixelBox* boxes, int64_t count, FaceEdges<double>* faces) {
  set_up_edges(corners, boxes, count, faces);
}

void m2s_weigh(const float* grad, const float* silhouette, const float* coverage, int64_t height, int64_t width,
               int64_t y, float scale, float least, float* scratch, float* row) {
  weigh(grad, silhouette, coverage, height, width, y, scale, least, scratch, row);
}

void m2s_weigh(const double* grad, const double* silhouette, const double* coverage, int64_t height, int64_t width,
               int64_t y, double scale, double least, double* scratch, double* row) {
  weigh(grad, silhouette, coverage, height, width, y, scale, least, scratch, row);
}

bool m2s_any_weight(const float* weight, int64_t pitch, const PixelBox& box) {
  return any_weight(weight, pitch, box);
}

bool m2s_any_weight(const double* weight, int64_t pitch, const PixelBox& box) {
  return any_weight(weight, pitch, box);
}

void m2s_multiply(const FaceEdges<float>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                  const Falloff<float>& falloff, bool exact, float* product, int64_t pitch) {
  const auto multiply = exact ? multiply_faces<true, float> : multiply_faces<false, float>;
  multiply(faces, count, row_begin, row_end, falloff, product, pitch);
}

void m2s_multiply(const FaceEdges<double>* faces, int64_t count, int64_t row_begin, int64_t row_end,
                  const Falloff<double>& falloff, bool exact, double* product, int64_t pitch) {
  const auto multiply = exact ? multiply_faces<true, double> : multiply_faces<false, double>;
  multiply(faces, count, row_begin, row_end, falloff, product, pitch);
}

void m2s_gather(const FaceEdges<float>* faces, int64_t count, const Falloff<float>& falloff, const float* weight,
                int64_t pitch, float* grad) {
  gather_faces(faces, count, falloff, weight, pitch, grad);
}

void m2s_gather(const FaceEdges<double>* faces, int64_t count, const Falloff<double>& falloff, const double* weight,
                int64_t pitch, double* grad) {
  gather_faces(faces, count, falloff, weight, pitch, grad);
}

}  // namespace TOPO_SIMD
}  // namespace topo
