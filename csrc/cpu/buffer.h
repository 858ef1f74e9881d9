// Scratch memory of the CPU kernels.

#pragma once

#include <cstdint>
#include <memory>

namespace topo {

// Memory that is written before it is read: clearing it would take longer than the sweeps.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : data_(new T[count]), count_(count) {}
  T* data() {
    return data_.get();
  }
  T* begin() {
    return data();
  }
  T* end() {
    return data() + count_;
  }
  T& operator[](int64_t i) {
    return data_[i];
  }

 private:
  std::unique_ptr<T[]> data_;
  int64_t count_;
};

}  // namespace topo
