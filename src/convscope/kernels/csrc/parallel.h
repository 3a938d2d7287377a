// Work shared among threads. Results never depend on how many there are: each piece writes what is its own.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(CONVSCOPE_STD_THREADS)  // ThreadSanitizer does not understand OpenMP's barriers
#include <thread>
#include <vector>
#endif

namespace convscope {

struct Share {  // [first, last)
  int64_t first, last;
};

// The part of `count` pieces that falls to thread `index` of `threads`; the parts differ by at most one piece.
inline Share share(int64_t count, int threads, int index) {
  return {count * index / threads, count * (index + 1) / threads};
}

// work(index) for every index in [0, threads), at once; back when all are done.
template <typename Work>
void parallel(int threads, Work&& work) {
  if (threads <= 1) return work(0);
#if defined(CONVSCOPE_STD_THREADS)
  std::vector<std::thread> others;
  for (int index = 1; index < threads; ++index) others.emplace_back([&work, index] { work(index); });
  work(0);
  for (auto& other : others) other.join();
#else
  // A loop, not one index a thread: OpenMP may grant fewer threads than were asked for.
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int index = 0; index < threads; ++index) work(index);
#endif
}

// work(piece) for every piece in [0, count), shared among at most so many threads.
template <typename Work>
void for_each(int64_t count, int threads, Work&& work) {
  threads = static_cast<int>(std::clamp<int64_t>(count, 1, threads));
  parallel(threads, [&](int index) {
    const auto [first, last] = share(count, threads, index);
    for (int64_t piece = first; piece < last; ++piece) work(piece);
  });
}

}  // namespace convscope
