// The most that this machine computes and moves in a second, by loops that do nothing else: peak THREADS SECONDS.
//
// Prints a line of JSON for each kind of work: operations (a multiply-add is two) or bytes a second, of all threads
// together, in each of five goes of SECONDS.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#endif

// A multiply-add takes four cycles, and up to four (ARM) begin in each: so many chains keep all units busy, and all of
// them stay in registers.
#if defined(__AVX512F__)
constexpr int LANES = 16, CHAINS = 24;
constexpr const char* VECTORS = "AVX-512";
#define REGISTER "+v"
#elif defined(__FMA__)
constexpr int LANES = 8, CHAINS = 12;
constexpr const char* VECTORS = "AVX2";
#define REGISTER "+x"
#elif defined(__aarch64__)
constexpr int LANES = 4, CHAINS = 24;
constexpr const char* VECTORS = "NEON";
#define REGISTER "+w"
#else
#error "peaks are known how to reach on x86-64 with AVX2 and on ARM"
#endif

using Vector [[gnu::vector_size(4 * LANES)]] = float;
using Work = std::function<double()>;

constexpr int GOES = 5;
constexpr int REPEATS = 1 << 13;  // short enough for many looks at the clock, long enough for these to cost nothing

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Lets each thread do its work over and over, all of them at the same time, and prints how much was done a second.
// make(thread) answers its work, which answers how much it has done.
template <typename Make>
void measure(const char* what, const char* with, int threads, double seconds, Make make) {
  std::vector<std::array<double, GOES>> rates(threads);
  std::barrier together(threads);
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      const Work work = make(thread);
      for (double& rate : rates[thread]) {
        together.arrive_and_wait();
        const double begun = now();
        double done = 0, taken;
        do {
          done += work();
          taken = now() - begun;
        } while (taken < seconds);
        rate = done / taken;
      }
    });
  for (std::thread& thread : running) thread.join();
  std::printf("{\"what\": \"%s\", \"with\": \"%s\", \"rates\": [", what, with);
  for (int go = 0; go < GOES; ++go) {
    double sum = 0;
    for (const auto& of_thread : rates) sum += of_thread[go];
    std::printf("%s%.6g", go ? ", " : "", sum);
  }
  std::printf("]}\n");
}

double float32() {
  Vector sums[CHAINS] = {}, factor = Vector{} + 0.5f, addend = Vector{} + 1.0f;
  for (int repeat = 0; repeat < REPEATS; ++repeat)
#pragma GCC unroll 32
    for (Vector& sum : sums) {
      sum = sum * factor + addend;
      asm volatile("" : REGISTER(sum));  // the compiler must take it for used, and for changed
    }
  return 2.0 * LANES * CHAINS * REPEATS;
}

#if defined(__AVX512BF16__)
double dot_products() {
  __m512 sums[CHAINS] = {};
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (int repeat = 0; repeat < REPEATS; ++repeat)
#pragma GCC unroll 32
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, ones, ones);
      asm volatile("" : REGISTER(sum));
    }
  return 2.0 * 32 * CHAINS * REPEATS;
}
#endif

#if defined(__AMX_BF16__)
// Whether Linux lets this process use the tiles.
bool may_use_tiles() {
  constexpr long ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

// Eight tiles of 16 rows with 64 bytes: four sums, and two by two factors.
void configure_tiles() {
  struct {
    unsigned char palette = 1, start = 0, reserved[14] = {};
    unsigned short row_bytes[16] = {};
    unsigned char rows[16] = {};
  } configuration;
  std::fill_n(configuration.row_bytes, 8, 64);
  std::fill_n(configuration.rows, 8, 16);
  _tile_loadconfig(&configuration);  // fills the tiles with zeros, which take as long as other numbers
}

double tiles() {
  for (int repeat = 0; repeat < REPEATS; ++repeat) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return 4 * 2.0 * 16 * 16 * 32 * REPEATS;
}
#endif

// a = b + s * c over three arrays that together have so many bytes, a piece at each call.
Work triad(size_t bytes) {
  constexpr size_t PIECE = 1 << 14;  // vectors
  const size_t count = bytes / 3 / sizeof(Vector);
  auto arrays = std::make_shared<std::array<std::vector<Vector>, 3>>();
  for (auto& array : *arrays) array.resize(count);
  return [arrays, count, first = size_t{0}]() mutable {
    auto& [a, b, c] = *arrays;
    const size_t last = std::min(first + PIECE, count);
    for (size_t place = first; place < last; ++place) a[place] = b[place] + 3.0f * c[place];
    asm volatile("" : : "r"(a.data()) : "memory");
    const double moved = 3.0 * sizeof(Vector) * (last - first);
    first = last == count ? 0 : last;
    return moved;
  };
}

// What the system says of a cache in bytes; it does not know of every one.
size_t cache(int name, size_t otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? bytes : otherwise;
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const int threads = std::atoi(arguments[1]);
  const double seconds = std::atof(arguments[2]);
  measure("float32", VECTORS, threads, seconds, [](int) -> Work { return float32; });
#if defined(__AVX512BF16__)
  measure("bfloat16", "AVX512-BF16", threads, seconds, [](int) -> Work { return dot_products; });
#endif
#if defined(__AMX_BF16__)
  if (may_use_tiles())
    measure("bfloat16", "AMX-BF16", threads, seconds, [](int) -> Work {
      configure_tiles();
      return tiles;
    });
#endif
  const size_t own = cache(_SC_LEVEL2_CACHE_SIZE, 1 << 20), shared = cache(_SC_LEVEL3_CACHE_SIZE, 32 << 20);
  measure("second-level cache", "triad", threads, seconds, [=](int) { return triad(own / 2); });
  measure("memory", "triad", threads, seconds, [=](int) { return triad(3 * shared / threads); });
}
