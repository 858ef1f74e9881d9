// Scratch memory of the CPU kernels.

#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace topo {

struct ScratchBlock {
  std::unique_ptr<char[]> memory;
  int64_t bytes = 0;
};

// Fresh pages cost more than the sweeps that write them, so each thread keeps the blocks of its last call.
inline std::vector<ScratchBlock>& kept_blocks() {
  static thread_local std::vector<ScratchBlock> blocks;
  return blocks;
}

constexpr int64_t kLargestKeptBlock = int64_t(16) << 20;
constexpr size_t kMostKeptBlocks = 8;

// Memory that is written before it is read. Buffers die in the reverse order of their birth, so the same calls find
// the same blocks again.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : count_(count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    auto& blocks = kept_blocks();
    if (!blocks.empty()) {
      block_ = std::move(blocks.back());
      blocks.pop_back();
    }
    if (block_.bytes < bytes) block_ = {std::unique_ptr<char[]>(new char[bytes]), bytes};
  }
  ~Buffer() {
    auto& blocks = kept_blocks();
    if (block_.bytes <= kLargestKeptBlock && blocks.size() < kMostKeptBlocks) blocks.push_back(std::move(block_));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() {
    return reinterpret_cast<T*>(block_.memory.get());
  }
  T* begin() {
    return data();
  }
  T* end() {
    return data() + count_;
  }
  T& operator[](int64_t i) {
    return data()[i];
  }

 private:
  int64_t count_;
  ScratchBlock block_;
};

}  // namespace topo
