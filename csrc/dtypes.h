// Dispatch from a dtype to a C++ type: dispatch_mask(type, [&](auto tag) {...}) calls the lambda with a value of it.

#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <type_traits>

#include "common.h"

namespace topo {

using torch::headeronly::BFloat16;
using torch::headeronly::Half;

// The type to compute in: double for double, float for everything else.
template <typename T>
using accumulate_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename Body>
void dispatch_floating(ScalarType type, Body&& body) {
  switch (type) {
    case ScalarType::Float:
      return body(float{});
    case ScalarType::Double:
      return body(double{});
    case ScalarType::Half:
      return body(Half{});
    case ScalarType::BFloat16:
      return body(BFloat16{});
    default:
      fail("topo: floating point expected, got ", dtype_str(type));
  }
}

// bool and uint8 masks are both read as bytes, in which any non-zero value is foreground.
template <typename Body>
void dispatch_mask(ScalarType type, Body&& body) {
  if (type == ScalarType::Bool || type == ScalarType::Byte) return body(uint8_t{});
  dispatch_floating(type, body);
}

}  // namespace topo
