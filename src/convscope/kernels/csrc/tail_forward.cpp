#include "tail.h"
#include "windows.h"

namespace convscope {

template <typename T>
void add_moments(const T* z, Map map, const float* centre, float* sum, float* squares) {
  for_each_band<T>(map, 1, [&](auto tile, int64_t channel, int64_t first, int64_t last) {
    using Tile = decltype(tile);
    const Constants<Tile> centres(tile, centre, channel);
    Sums<Tile> even[2], odd[2];  // of each, sum and squares: two chains of additions hide their latency
    const auto add = [&](const T* pixel, Sums<Tile>* sums) {
      for (int i = 0; i < Tile::vectors; ++i) {
        const Floats distance = tile.load(pixel, i) - centres[i];
        sums[0][i] += distance;
        sums[1][i] += distance * distance;
      }
    };
    const T* pixel = z + first * map.width * map.channels + channel;
    int64_t left = (last - first) * map.width;
    for (; left > 1; left -= 2, pixel += 2 * map.channels) {
      add(pixel, even);
      add(pixel + map.channels, odd);
    }
    if (left) add(pixel, even);
    for (const auto& sums : {even, odd}) {
      sums[0].add_to(sum, tile, channel);
      sums[1].add_to(squares, tile, channel);
    }
  });
}

template <typename T>
void forward_tail(const T* z, const T* residual, Map map, Tail tail, Affine affine, T* out) {
  const int64_t step = map.channels, line = map.width * step, width = map.width / tail.pool;
  with_windows(tail, [&](auto windows) {
    for_each_band<T>(map, windows.size(), [&](auto tile, int64_t channel, int64_t first, int64_t last) {
      using Tile = decltype(tile);
      constexpr bool single = decltype(windows)::fixed_size == 1;
      const Constants<Tile> scale(tile, affine.scale, channel), shift(tile, affine.shift, channel);
      for (int64_t row = first; row < last; ++row) {
        int64_t at = row * windows.size() * line + channel, to = row * width * step + channel;
        for (int64_t column = 0; column < width; ++column, at += windows.size() * step, to += step)
          for (int i = 0; i < Tile::vectors; ++i) {
            Floats value = winner(windows, tile, z + at, step, line, i, scale[i], shift[i]).rank;
            if (single && residual) value += tile.load(residual + at, i);
            tile.store(out + to, i, windows.pool_first ? windows.activation.value(value) : value);
          }
      }
    });
  });
}

template void add_moments(const float*, Map, const float*, float*, float*);
template void add_moments(const BFloat16*, Map, const float*, float*, float*);
template void forward_tail(const float*, const float*, Map, Tail, Affine, float*);
template void forward_tail(const BFloat16*, const BFloat16*, Map, Tail, Affine, BFloat16*);

}  // namespace convscope
