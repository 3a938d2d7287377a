#include "amx_pack.h"

#if defined(CONVSCOPE_AMX)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace convscope {

namespace {

inline __mmask16 first(int64_t count) { return count >= TILE ? __mmask16(~0) : __mmask16((1 << std::max<int64_t>(count, 0)) - 1); }

// 16 values as bfloat16, 0 beyond the mask.
inline __m256i load(const BFloat16* values, __mmask16 kept) { return _mm256_maskz_loadu_epi16(kept, values); }
inline __m256i load(const float* values, __mmask16 kept) {
  return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(kept, values));
}

inline __m512i pair(__m256i even, __m256i odd) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
}

void copy(const BFloat16* from, BFloat16* to, int64_t count) { std::memcpy(to, from, count * sizeof(BFloat16)); }
void copy(const float* from, BFloat16* to, int64_t count) {
  for (int64_t i = 0; i < count; i += TILE) {
    const __mmask16 kept = first(count - i);
    _mm256_mask_storeu_epi16(to + i, kept, load(from + i, kept));
  }
}

void clear(BFloat16* values, int64_t count) { std::memset(values, 0, count * sizeof(BFloat16)); }

// 16 x 16 values of 4 bytes, rows to columns.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// What the kernel covers at each place, one long pixel after the other. Whole blocks are copied: what is too much, the
// next copy overwrites, and after the last one it meets weights of zero, as do the zeros that fill up the last block.
void unfold(const BFloat16* padded, const Convolution& c, const ForwardPlan& plan, BFloat16* image) {
  const int64_t row = plan.pitch * c.in_channels, length = c.row_values();
  for (int64_t y = 0; y < plan.grid.rows; ++y)
    for (int64_t x = 0; x < plan.grid.columns; ++x, image += plan.taps.step) {
      const BFloat16* from = padded + y * c.stride * row + x * c.stride * c.in_channels;
      _mm512_storeu_si512(image + plan.taps.step - DEPTH, _mm512_setzero_si512());
      for (int64_t tap = 0; tap < c.kernel; ++tap)
        for (int64_t i = 0; i < length; i += DEPTH)
          _mm512_storeu_si512(image + tap * length + i, _mm512_loadu_si512(from + tap * row + i));
    }
}

}  // namespace

template <typename T>
void pack_input(const T* x, const Convolution& c, const ForwardPlan& plan, BFloat16* padded, BFloat16* image) {
  const int64_t stride = c.unfolds() ? 1 : c.stride;
  const int64_t row_values = plan.pitch * c.in_channels;
  const int64_t before = c.padding * c.in_channels, inside = c.width * c.in_channels;
  BFloat16* const begin = c.unfolds() ? padded : image;
  BFloat16* row = begin;
  for (int64_t plane = 0; plane < plan.planes; ++plane)
    for (int64_t i = 0; i < plan.plane_rows; ++i, row += row_values) {
      const int64_t y = i * stride + plane - c.padding;
      if (y < 0 || y >= c.height) {
        clear(row, row_values);
        continue;
      }
      clear(row, before);
      copy(x + y * inside, row + before, inside);
      clear(row + before + inside, row_values - before - inside);
    }
  clear(row, begin + (c.unfolds() ? plan.padded_values : plan.values) - row);
  if (c.unfolds()) unfold(padded, c, plan, image);
}

void pack_weights(const float* weight, const Convolution& c, const Taps& taps, int64_t channel, BFloat16* tiles) {
  const int64_t all = c.kernel * c.row_values(), row_values = all / taps.rows;
  for (int64_t tap = 0; tap < taps.rows; ++tap)
    for (int64_t block = 0; block < taps.blocks; ++block)
      for (int64_t half = 0; half < 2; ++half, tiles += TILE_VALUES) {
        const int64_t begin = block * DEPTH, begin_channel = channel + half * TILE;
        const __mmask16 low = first(row_values - begin), high = first(row_values - begin - TILE);
        __m512i rows[TILE];
        for (int64_t i = 0; i < TILE; ++i) {
          rows[i] = _mm512_setzero_si512();
          if (begin_channel + i >= c.out_channels) continue;
          const float* from = weight + (begin_channel + i) * all + tap * row_values + begin;
          rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(load(from, low)), load(from + TILE, high), 1);
        }
        transpose(rows);
        for (int64_t i = 0; i < TILE; ++i) _mm512_storeu_si512(tiles + i * DEPTH, rows[i]);
      }
}

void pack_turned_weights(const float* weight, const Convolution& c, const InputGradientPlan& plan, int64_t channel,
                         BFloat16* tiles) {
  const int64_t all = c.kernel * c.row_values();
  for (const auto& phase : plan.phases) {
    const int64_t count = phase.column_taps * c.out_channels;
    // Value `i` of a row of taps: output channel i % out_channels of the tap that many strides before the last.
    const auto from = [&](int64_t tap, int64_t i) -> const float* {
      if (i >= count) return nullptr;
      const int64_t row = phase.last_row_tap - tap * c.stride;
      const int64_t column = phase.last_column_tap - i / c.out_channels * c.stride;
      return weight + i % c.out_channels * all + (row * c.kernel + column) * c.in_channels + channel;
    };
    for (int64_t tap = 0; tap < phase.taps.rows; ++tap)
      for (int64_t block = 0; block < phase.taps.blocks; ++block, tiles += 2 * TILE_VALUES)
        for (int64_t i = 0; i < TILE; ++i) {
          const float* even = from(tap, block * DEPTH + 2 * i);
          const float* odd = from(tap, block * DEPTH + 2 * i + 1);
          for (int64_t half = 0; half < 2; ++half) {
            const __mmask16 kept = first(c.in_channels - channel - half * TILE);
            const __m256i zero = _mm256_setzero_si256();
            _mm512_storeu_si512(tiles + half * TILE_VALUES + i * DEPTH,
                                pair(even ? load(even + half * TILE, kept) : zero,
                                     odd ? load(odd + half * TILE, kept) : zero));
          }
        }
  }
}

void clear_halo(const Convolution& c, const InputGradientPlan& plan, BFloat16* image) {
  const int64_t row = plan.pitch * c.out_channels;
  const int64_t before = plan.left * c.out_channels, inside = c.out_width() * c.out_channels;
  clear(image, plan.top * row);
  BFloat16* place = image + plan.top * row;
  for (int64_t y = 0; y < c.out_height(); ++y, place += row) {
    clear(place, before);
    clear(place + before + inside, row - before - inside);
  }
  clear(place, image + plan.values - place);
}

void transpose(const BFloat16* image, int64_t channels, const int32_t* pixels, int64_t count, BFloat16* rows, int64_t stride) {
  for (int64_t channel = 0; channel < channels; channel += TILE) {
    const __mmask16 kept = first(channels - channel);
    const auto at = [&](int32_t pixel) {
      return pixel < 0 ? _mm256_setzero_si256() : load(image + pixel * channels + channel, kept);
    };
    for (int64_t i = 0; i < count; i += DEPTH) {
      __m512i block[TILE];
      for (int64_t j = 0; j < TILE; ++j) block[j] = pair(at(pixels[i + 2 * j]), at(pixels[i + 2 * j + 1]));
      transpose(block);
      for (int64_t j = 0; j < TILE; ++j) _mm512_storeu_si512(rows + (channel + j) * stride + i, block[j]);
    }
  }
}

template <typename T>
void pack_pairs(const T* image, int64_t channels, const int32_t* pixels, int64_t count, BFloat16* pairs, int64_t stride) {
  for (int64_t channel = 0; channel < channels; channel += TILE, pairs += stride * TILE) {
    const __mmask16 kept = first(channels - channel);
    const auto at = [&](int32_t pixel) {
      return pixel < 0 ? _mm256_setzero_si256() : load(image + pixel * channels + channel, kept);
    };
    for (int64_t i = 0; i < count; i += 2)
      _mm512_storeu_si512(pairs + i * TILE, pair(at(pixels[i]), at(pixels[i + 1])));
  }
}

template void pack_input(const float*, const Convolution&, const ForwardPlan&, BFloat16*, BFloat16*);
template void pack_input(const BFloat16*, const Convolution&, const ForwardPlan&, BFloat16*, BFloat16*);
template void pack_pairs(const float*, int64_t, const int32_t*, int64_t, BFloat16*, int64_t);
template void pack_pairs(const BFloat16*, int64_t, const int32_t*, int64_t, BFloat16*, int64_t);

}  // namespace convscope

#endif
