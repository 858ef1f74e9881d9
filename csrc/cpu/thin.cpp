#include "thin.h"

#include "cpu/bits.h"
#include "cpu/pages.h"
#include "cpu/thin_simd.h"

namespace topo {
namespace {

// Thins the rows of one image in place.
void thin_image(int64_t height, int64_t width, ThinMethod method, uint64_t* bits) {
  const int64_t words = words_of(width);
  const ThinStrips strips{words, (height + kThinBlock - 1) / kThinBlock};
  Buffer<uint64_t> first(strips.words()), second(strips.words());
  Buffer<uint8_t> changed(strips.flags()), before(strips.flags()), recent(strips.flags());
  std::fill(first.begin(), first.end(), 0);
  for (Buffer<uint8_t>* flags : {&changed, &before}) {
    std::fill(flags->begin(), flags->end(), uint8_t(0));
    for (int64_t strip = 1; strip <= strips.strips; ++strip) {
      std::fill_n(flags->data() + strip * (strips.blocks + 2) + 1, strips.blocks, uint8_t(1));
    }
  }
  const auto word_at = [&](int64_t y, int64_t word) { return (word + 1) * strips.stride() + kThinBlock + y; };
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t word = 0; word < words; ++word) first[word_at(y, word)] = bits[y * words + word];
  }
  std::copy(first.begin(), first.end(), second.begin());
  bool any = true;
  while (any) {
    any = false;
    for (int pass = 0; pass < 2; ++pass) {
      // A block looks at pixels as this pass last saw them unless one of the last two passes has changed some.
      for (int64_t i = 0; i < strips.flags(); ++i) recent[i] = changed[i] | before[i];
      before.swap(changed);
      any |= TOPO_SIMD_CALL(thin_pass, strips, static_cast<int>(method), pass, first.data(), second.data(),
                            recent.data(), changed.data());
      first.swap(second);
    }
  }
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t word = 0; word < words; ++word) bits[y * words + word] = first[word_at(y, word)];
  }
}

Tensor thin_cpu(const Tensor& mask, StringArgument method_name) {
  const ThinMethod method = thin_method("thin", method_name);
  check_mask_dtype("thin", "mask", mask);
  const Images images = images_of("thin", "mask", mask);
  Tensor result = fresh_like_shape(mask, mask.scalar_type());
  if (mask.numel() == 0) return result;

  const Tensor source = as_contiguous(mask);
  dispatch_mask(mask.scalar_type(), [&](auto tag) {
    using T = decltype(tag);
    auto* out = static_cast<T*>(result.mutable_data_ptr());
    for_bit_images("thin", static_cast<const T*>(source.const_data_ptr()), images,
                   [&](int64_t image, const T*, uint64_t* bits) {
                     thin_image(images.height, images.width, method, bits);
                     write_bits(bits, images.height, images.width, out + image * images.pixels());
                   });
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(topo, CPU, m) {
  m.impl("thin", TORCH_BOX(&thin_cpu));
}

}  // namespace topo
