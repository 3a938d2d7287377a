// The tile instructions of AMX, or the same in software where CONVSCOPE_SOFTWARE_TILES asks for it: so that the tests
// check on any CPU with AVX512-BF16 what is computed with them.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#if defined(CONVSCOPE_SOFTWARE_TILES)

namespace convscope::software {

alignas(64) inline thread_local uint32_t tiles[8][16][16];  // of 4 bytes: a float, or two bfloat16 values

inline void load_configuration(const void*) { std::memset(tiles, 0xff, sizeof tiles); }  // a NaN where nothing was loaded
inline void release() {}
inline void zero(int tile) { std::memset(tiles[tile], 0, sizeof tiles[tile]); }

inline void load(int tile, const void* from, int64_t stride) {
  for (int64_t row = 0; row < 16; ++row)
    std::memcpy(tiles[tile][row], static_cast<const char*>(from) + row * stride, 64);
}

inline void store(int tile, void* to, int64_t stride) {
  for (int64_t row = 0; row < 16; ++row) std::memcpy(static_cast<char*>(to) + row * stride, tiles[tile][row], 64);
}

inline void multiply(int sums, int left, int right) {
  for (int row = 0; row < 16; ++row) {
    __m512 sum = _mm512_load_ps(tiles[sums][row]);
    for (int pair = 0; pair < 16; ++pair)
      sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(tiles[left][row][pair])),
                             (__m512bh)_mm512_load_si512(tiles[right][pair]));
    _mm512_store_ps(tiles[sums][row], sum);
  }
}

}  // namespace convscope::software

#define TILE_CONFIGURE(configuration) convscope::software::load_configuration(&configuration)
#define TILE_RELEASE() convscope::software::release()
#define TILE_ZERO(tile) convscope::software::zero(tile)
#define TILE_LOAD(tile, from, stride) convscope::software::load(tile, from, stride)
#define TILE_STORE(tile, to, stride) convscope::software::store(tile, to, stride)
#define TILE_MULTIPLY(sums, left, right) convscope::software::multiply(sums, left, right)

#else

// Macros, because the number of a tile is part of the instruction. Not _tile_loadconfig, of which GCC 12 believes that it
// reads eight bytes: the other 56 are then never written.
#define TILE_CONFIGURE(configuration) __asm__ volatile("ldtilecfg %0" : : "m"(configuration))
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(tile) _tile_zero(tile)
#define TILE_LOAD(tile, from, stride) _tile_loadd(tile, from, stride)
#define TILE_STORE(tile, to, stride) _tile_stored(tile, to, stride)
#define TILE_MULTIPLY(sums, left, right) _tile_dpbf16ps(sums, left, right)

#endif
