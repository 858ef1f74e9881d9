// Shared by all operators: stable-ABI aliases, argument checks, and the host/device marker.

#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/Dispatch_v2.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef __CUDACC__
#define TOPO_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define TOPO_HOST_DEVICE inline
#endif

// Throws a RuntimeError. Its text names the operator, the argument, what was expected and what was given.
#define TOPO_CHECK(condition, ...)               \
  do {                                           \
    if (!(condition)) ::topo::fail(__VA_ARGS__); \
  } while (0)

#ifndef STABLE_TORCH_ERROR_CODE_CHECK  // torch 2.10 and 2.11 use another name
#define STABLE_TORCH_ERROR_CODE_CHECK TORCH_ERROR_CODE_CHECK
#endif

namespace topo {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw std::runtime_error(text.str());
}

inline std::string shape_str(const Tensor& tensor) {
  std::ostringstream text;
  text << "(";
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    text << (i ? ", " : "") << tensor.size(i);
  }
  text << (tensor.dim() == 1 ? ",)" : ")");
  return text.str();
}

inline bool is_floating(ScalarType type) {
  return type == ScalarType::Float || type == ScalarType::Double || type == ScalarType::Half ||
         type == ScalarType::BFloat16;
}

// The largest n for which a dtype holds all whole numbers from 0 to n; 0 for dtypes that hold no distances.
inline int64_t largest_whole(ScalarType type) {
  switch (type) {
    case ScalarType::Byte:
      return 255;
    case ScalarType::BFloat16:
      return 256;
    case ScalarType::Half:
      return 2048;
    case ScalarType::Short:
      return 32767;
    case ScalarType::Int:
    case ScalarType::Float:
    case ScalarType::Double:
      return 1 << 24;
    default:
      return 0;
  }
}

inline std::string dtype_str(ScalarType type) {
  return torch::headeronly::toString(type);
}

// A batch of images (..., H, W), with the leading dimensions flattened into one.
struct Images {
  int64_t count, height, width;
  int64_t pixels() const {
    return height * width;
  }
};

inline Images images_of(const char* op, const char* argument, const Tensor& tensor) {
  TOPO_CHECK(tensor.dim() >= 2, op, ": ", argument, " must have shape (..., H, W), got ", shape_str(tensor));
  Images images{1, tensor.size(tensor.dim() - 2), tensor.size(tensor.dim() - 1)};
  for (int64_t i = 0; i < tensor.dim() - 2; ++i) {
    images.count *= tensor.size(i);
  }
  TOPO_CHECK(images.height <= 32768 && images.width <= 32768, op, ": ", argument,
             " must be at most 32768 x 32768, got ", shape_str(tensor));
  return images;
}

inline void check_mask_dtype(const char* op, const char* argument, const Tensor& mask) {
  const auto type = mask.scalar_type();
  TOPO_CHECK(is_floating(type) || type == ScalarType::Bool || type == ScalarType::Byte, op, ": ", argument,
             " must be bool, uint8 or floating point, got ", dtype_str(type));
}

inline void check_floating(const char* op, const char* argument, const Tensor& tensor) {
  TOPO_CHECK(is_floating(tensor.scalar_type()), op, ": ", argument, " must be floating point, got ",
             dtype_str(tensor.scalar_type()));
}

inline void check_same_shape(const char* op, const char* argument, const Tensor& tensor, const char* other_argument,
                             const Tensor& other) {
  bool same = tensor.dim() == other.dim();
  for (int64_t i = 0; same && i < tensor.dim(); ++i) {
    same = tensor.size(i) == other.size(i);
  }
  TOPO_CHECK(same, op, ": ", argument, " must have the shape of ", other_argument, " ", shape_str(other), ", got ",
             shape_str(tensor));
}

inline std::string device_str(const Tensor& tensor) {
  return tensor.is_cuda() ? "cuda:" + std::to_string(tensor.get_device_index()) : "cpu";
}

inline void check_same_device(const char* op, const char* argument, const Tensor& tensor, const char* other_argument,
                              const Tensor& other) {
  TOPO_CHECK(tensor.is_cuda() == other.is_cuda() && tensor.get_device_index() == other.get_device_index(), op, ": ",
             argument, " must be on the device of ", other_argument, " ", device_str(other), ", got ",
             device_str(tensor));
}

// Checks the size of an n x n window, which must be odd and at least 3, and returns its radius.
inline int64_t window_radius(const char* op, const char* argument, int64_t size) {
  TOPO_CHECK(size >= 3 && size % 2 == 1, op, ": ", argument, " must be odd and at least 3, got ", size);
  return size / 2;
}

// Calls visit(index) for every pixel of the window of `radius` around (y, x) that lies in the image, in raster order.
template <typename Visit>
TOPO_HOST_DEVICE void visit_window(int64_t height, int64_t width, int64_t radius, int64_t y, int64_t x, Visit&& visit) {
  // The common case without loops or clipping.
  if (radius == 1 && y > 0 && x > 0 && y + 1 < height && x + 1 < width) {
    const int64_t above = (y - 1) * width + x, here = above + width, below = here + width;
    visit(above - 1), visit(above), visit(above + 1);
    visit(here - 1), visit(here), visit(here + 1);
    visit(below - 1), visit(below), visit(below + 1);
    return;
  }
  const int64_t y0 = y > radius ? y - radius : 0, y1 = y + radius < height ? y + radius : height - 1;
  const int64_t x0 = x > radius ? x - radius : 0, x1 = x + radius < width ? x + radius : width - 1;
  for (int64_t v = y0; v <= y1; ++v) {
    for (int64_t u = x0; u <= x1; ++u) visit(v * width + u);
  }
}

enum class BackwardMode { kLiteral, kSubgradient };

// A str argument of an operator. Kernels do not take a std::string, because torch's conversion (2.10 to 2.13) leaks one
// per call. The leaked blocks lie between the results on the heap, so the allocator cannot join freed results: a loop
// would get fresh pages, with all their page faults, in every call, and the process would grow by a result per call.
struct StringArgument {
  StringHandle handle;  // owned by the kernel: take_string() releases it
};

// Reads a str argument and releases it, so kernels call this once, before anything that may throw.
inline std::string take_string(StringArgument argument) {
  const char* text = nullptr;
  size_t length = 0;
  STABLE_TORCH_ERROR_CODE_CHECK(torch_string_c_str(argument.handle, &text));
  STABLE_TORCH_ERROR_CODE_CHECK(torch_string_length(argument.handle, &length));
  std::string result(text, length);
  STABLE_TORCH_ERROR_CODE_CHECK(torch_delete_string(argument.handle));
  return result;
}

// Takes the argument `backward`.
inline BackwardMode backward_mode(const char* op, StringArgument argument) {
  const std::string name = take_string(argument);
  TOPO_CHECK(name == "literal" || name == "subgradient", op, ": backward must be 'literal' or 'subgradient', got '",
             name, "'");
  return name == "literal" ? BackwardMode::kLiteral : BackwardMode::kSubgradient;
}

// uint8 masks as bool, so that a cast to floating point gives 0 and 1 for any non-zero byte.
inline Tensor foreground_bool(const Tensor& mask) {
  return mask.scalar_type() == ScalarType::Byte ? torch::stable::to(mask, ScalarType::Bool) : mask;
}

// The stable functions look up the dispatcher by name, which takes a microsecond, so these two call them only if there
// is something to do.
inline Tensor as_contiguous(const Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
}

inline Tensor as_dtype(const Tensor& tensor, ScalarType type) {
  return tensor.scalar_type() == type ? tensor : torch::stable::to(tensor, type);
}

// An uninitialised tensor with the first `dims` dimensions of `tensor`, contiguous, on its device.
inline Tensor empty_like_leading(const Tensor& tensor, int64_t dims, ScalarType type) {
  std::vector<int64_t> sizes(dims), strides(dims);
  // By way of the C shim: torch::stable::new_empty would go through the dispatcher.
  int64_t stride = 1;
  for (int64_t i = dims - 1; i >= 0; --i) {
    sizes[i] = tensor.size(i);
    strides[i] = stride;
    stride *= sizes[i] > 1 ? sizes[i] : 1;
  }
  int32_t device = 0;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(tensor.get(), &device));
  AtenTensorHandle result = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(
      dims, sizes.data(), strides.data(), torch::stable::detail::to<int32_t>(torch::stable::detail::from(type)), device,
      tensor.get_device_index(), &result));
  return Tensor(result);
}

inline Tensor empty_like_shape(const Tensor& tensor, ScalarType type) {
  return empty_like_leading(tensor, tensor.dim(), type);
}

}  // namespace topo
