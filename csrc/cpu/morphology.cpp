#include "morphology.h"

#include "cpu/bits.h"
#include "cpu/morphology_simd.h"
#include "cpu/pages.h"

namespace topo {
namespace {

// Dilates and erodes one image, whose words are in strips of 64 columns.
class BitImage {
 public:
  BitImage(int64_t height, int64_t width, const MorphologyParams& p)
      : height_(height), width_(width), p_(p), strips_{words_of(width), height, last_columns(width)} {
    for (Buffer<uint64_t>* plane : {&here_, &wide_, &next_}) plane->resize(strips_.words());
  }

  void read(const uint64_t* rows) {
    for (int64_t y = 0; y < height_; ++y) {
      for (int64_t strip = 0; strip < strips_.count; ++strip) {
        here_[strip * height_ + y] = rows[y * strips_.count + strip];
      }
    }
  }
  void write(uint64_t* rows) {
    for (int64_t y = 0; y < height_; ++y) {
      for (int64_t strip = 0; strip < strips_.count; ++strip) {
        rows[y * strips_.count + strip] = here_[strip * height_ + y];
      }
    }
  }

  void dilate() {
    if (p_.disc) {
      dilate_by_disc();
    } else {
      grow_columns(0, p_.reach);
      for (int64_t reach = 0; reach < std::min<int64_t>(p_.reach, height_); reach += step(reach, p_.reach)) {
        TOPO_SIMD_CALL(spread_rows, strips_, std::min(step(reach, p_.reach), height_), here_.data(), next_.data());
        here_.swap(next_);
      }
    }
  }

  void erode() {
    invert();
    dilate();
    invert();
    if (!p_.black_border || p_.reach == 0) return;
    // What is outside reaches as far as the element.
    for (int64_t strip = 0; strip < strips_.count; ++strip) {
      const uint64_t inner = columns_from(p_.reach - 64 * strip) & ~columns_from(width_ - p_.reach - 64 * strip);
      for (int64_t y = 0; y < height_; ++y) {
        const bool inside = y >= p_.reach && y < height_ - p_.reach;
        here_[strip * height_ + y] &= inside ? inner : 0;
      }
    }
  }

  Buffer<uint64_t>& words() {
    return here_;
  }

 private:
  static uint64_t last_columns(int64_t width) {
    return width % 64 ? (uint64_t(1) << width % 64) - 1 : ~uint64_t(0);
  }
  // The bits of a word from column x on.
  static uint64_t columns_from(int64_t x) {
    return x <= 0 ? ~uint64_t(0) : x >= 64 ? 0 : ~uint64_t(0) << x;
  }
  // Intervals of 2 reach + 1 pixels, moved by this much in both directions, leave no gap, even if half of one is
  // outside the image.
  static int64_t step(int64_t reach, int64_t wanted) {
    return std::min(reach + 1, wanted - reach);
  }

  // Widens here_ along the rows from `reach` to `wanted` pixels in both directions.
  void grow_columns(int64_t reach, int64_t wanted) {
    for (wanted = std::min(wanted, width_); reach < wanted; reach += step(reach, wanted)) {
      TOPO_SIMD_CALL(spread_columns, strips_, step(reach, wanted), here_.data(), next_.data());
      here_.swap(next_);
    }
  }

  // From the outermost row of the disc, which is the narrowest, to the middle: what is collected so far moves by one
  // row in both directions, and the next row of the disc is added.
  void dilate_by_disc() {
    const auto half_width = [&](int64_t row) {
      const int64_t left = int64_t(p_.squared) - row * row;
      auto half = static_cast<int64_t>(std::sqrt(static_cast<double>(left)));
      while (half * half > left) --half;
      while ((half + 1) * (half + 1) <= left) ++half;
      return half;
    };
    // Rows of the disc beyond the image need not be looked at.
    const int64_t rows = std::min<int64_t>(p_.reach, height_ - 1);
    int64_t reach = half_width(rows);
    grow_columns(0, reach);
    Buffer<uint64_t> sum(strips_.words());
    std::copy(here_.begin(), here_.end(), sum.begin());
    for (int64_t row = rows - 1; row >= 0; --row) {
      const int64_t wanted = half_width(row);
      grow_columns(reach, wanted);
      reach = wanted;
      TOPO_SIMD_CALL(spread_and_add, strips_, sum.data(), here_.data(), wide_.data());
      sum.swap(wide_);
    }
    here_.swap(sum);
  }

  void invert() {
    for (uint64_t& word : here_) word = ~word;
    for (int64_t y = 0; y < height_; ++y) here_[(strips_.count - 1) * height_ + y] &= strips_.last;
  }

  int64_t height_, width_;
  MorphologyParams p_;
  BitStrips strips_;
  Buffer<uint64_t> here_, wide_, next_;
};

void transform(BitImage& image, const MorphologyParams& p) {
  switch (p.operation) {
    case Morphology::kDilate:
      return image.dilate();
    case Morphology::kErode:
      return image.erode();
    case Morphology::kOpen:
      image.erode();
      return image.dilate();
    case Morphology::kClose:
      image.dilate();
      return image.erode();
    default:
      break;
  }
  // A band: what an erosion, or the mask, leaves of a dilation, or of the mask.
  Buffer<uint64_t> mask, outer;
  mask.assign(image.words().begin(), image.words().end());
  if (p.operation != Morphology::kInnerBand) image.dilate();
  outer.assign(image.words().begin(), image.words().end());
  std::copy(mask.begin(), mask.end(), image.words().begin());
  if (p.operation != Morphology::kOuterBand) image.erode();
  for (int64_t i = 0; i < outer.end() - outer.begin(); ++i) image.words()[i] = outer[i] & ~image.words()[i];
}

Tensor morphology_cpu(const Tensor& mask, StringArgument operation, double radius, StringArgument shape,
                      bool black_border) {
  const MorphologyNames names = morphology_names("morphology", operation, shape);
  check_mask_dtype("morphology", "mask", mask);
  const Images images = images_of("morphology", "mask", mask);
  const MorphologyParams p = morphology_params("morphology", names, images, radius, black_border);
  Tensor result = fresh_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return result;

  const Tensor source = as_contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    auto* out = static_cast<T*>(result.mutable_data_ptr());
    for_bit_images("morphology", static_cast<const T*>(source.const_data_ptr()), images,
                   [&](int64_t index, const T*, uint64_t* bits) {
                     BitImage image(images.height, images.width, p);
                     image.read(bits);
                     transform(image, p);
                     image.write(bits);
                     write_bits(bits, images.height, images.width, out + index * images.pixels());
                   });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("morphology", TORCH_BOX(&morphology_cpu));
}

}  // namespace topo
