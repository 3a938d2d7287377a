// Room for intermediate values of one thread, kept from call to call: to ask the system for it each time costs page faults.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace convscope {

class Arena {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

 public:
  struct Block {
    std::unique_ptr<void, Free> memory;
    int64_t bytes = 0;
  };

  // Room for `bytes` in all; one arena at a time has a block.
  Arena(int64_t bytes, Block& block) {
    if (block.bytes < bytes) {
      block.memory.reset();
      block.memory.reset(std::aligned_alloc(LINE, (bytes + LINE - 1) / LINE * LINE));
      if (block.memory == nullptr) {
        block.bytes = 0;
        throw std::bad_alloc();
      }
      block.bytes = bytes;
    }
    next_ = static_cast<char*>(block.memory.get());
  }

  // In this thread's own block.
  explicit Arena(int64_t bytes) : Arena(bytes, own_block()) {}

  template <typename T>
  T* take(int64_t count) {
    T* values = reinterpret_cast<T*>(next_);
    next_ += size<T>(count);
    return values;
  }

  template <typename T>
  static int64_t size(int64_t count) {
    return (count * static_cast<int64_t>(sizeof(T)) + LINE - 1) / LINE * LINE;
  }

 private:
  static constexpr int64_t LINE = 64;
  static Block& own_block() {
    static thread_local Block block;
    return block;
  }
  char* next_;
};

}  // namespace convscope
