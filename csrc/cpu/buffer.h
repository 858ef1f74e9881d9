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

// The page faults of fresh memory cost more than the sweeps that write it, so each thread keeps the blocks of its last
// call.
struct KeptBlocks {
  std::vector<ScratchBlock> blocks;
  int64_t bytes = 0;
};

inline KeptBlocks& kept_blocks() {
  static thread_local KeptBlocks kept;
  return kept;
}

constexpr int64_t kMostKeptBytes = int64_t(64) << 20;  // per thread

// Uninitialised scratch memory. Buffers are destroyed in the reverse order of their construction, so that the same
// sequence of calls gets the same blocks again.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : count_(count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    KeptBlocks& kept = kept_blocks();
    if (!kept.blocks.empty()) {
      block_ = std::move(kept.blocks.back());
      kept.blocks.pop_back();
      kept.bytes -= block_.bytes;
    }
    if (block_.bytes < bytes) block_ = {std::unique_ptr<char[]>(new char[bytes]), bytes};
  }
  ~Buffer() {
    KeptBlocks& kept = kept_blocks();
    if (kept.bytes + block_.bytes > kMostKeptBytes) return;
    kept.bytes += block_.bytes;
    kept.blocks.push_back(std::move(block_));
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
