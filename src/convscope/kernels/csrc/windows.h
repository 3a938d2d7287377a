// How the kernels of an image go over it: bands of rows, tiles of channels, and the windows of a max pool.
#pragma once

#include <algorithm>

#include "activations.h"
#include "tail.h"

namespace convscope {

// Channels that are worked on together, at a pixel: whole vectors, two of which fill a cache line of bfloat16, ...
struct Whole {
  static constexpr int vectors = 2;
  template <typename T>
  Floats load(const T* from, int vector) const {
    return convscope::load(from + vector * lanes);
  }
  template <typename T>
  void store(T* to, int vector, Floats values) const {
    convscope::store(to + vector * lanes, values);
  }
};

// ... or what is left of the channels, at most a vector.
struct Rest {
  static constexpr int vectors = 1;
  int count;
  template <typename T>
  Floats load(const T* from, int) const {
    return convscope::load(from, count);
  }
  template <typename T>
  void store(T* to, int, Floats values) const {
    convscope::store(to, values, count);
  }
};

// A row of one vector per vector of a tile; of zeros where there is nothing to read.
template <typename Tile>
struct Constants {
  Floats values[Tile::vectors];
  Constants(Tile tile, const float* from, int64_t channel) {
    for (int i = 0; i < Tile::vectors; ++i) values[i] = from ? tile.load(from + channel, i) : Floats{};
  }
  Floats operator[](int vector) const { return values[vector]; }
};

// Sums over pixels that stay in registers until they are added to memory.
template <typename Tile>
struct Sums {
  Floats values[Tile::vectors] = {};
  Floats& operator[](int vector) { return values[vector]; }
  void add_to(float* memory, Tile tile, int64_t channel) const {
    float* to = memory + channel;
    for (int i = 0; i < Tile::vectors; ++i) tile.store(to, i, tile.load(to, i) + values[i]);
  }
};

template <typename Run>
void for_each_tile(int64_t channels, Run&& run) {
  int64_t channel = 0;
  for (; channel + Whole::vectors * lanes <= channels; channel += Whole::vectors * lanes) run(Whole{}, channel);
  for (; channel < channels; channel += lanes)
    run(Rest{static_cast<int>(std::min<int64_t>(lanes, channels - channel))}, channel);
}

// run(tile, channel, first, last): every tile over output rows [first, last), which stay in the first-level cache
// while one tile after the other passes over them.
template <typename T, typename Run>
void for_each_band(Map map, int pool, Run&& run) {
  const int64_t rows = map.height / pool;
  const int64_t row_bytes = static_cast<int64_t>(sizeof(T)) * pool * map.width * map.channels;
  const int64_t band = std::max<int64_t>(1, 12288 / std::max<int64_t>(1, row_bytes));
  for (int64_t first = 0; first < rows; first += band) {
    const int64_t last = std::min(rows, first + band);
    for_each_tile(map.channels, [&](auto tile, int64_t channel) { run(tile, channel, first, last); });
  }
}

// An activation with the windows of a pool before or after it; `fixed` is k where the compiler knows it, else 0.
template <typename Activation, int fixed, bool first>
struct Windows {
  static constexpr int fixed_size = fixed;
  static constexpr bool pool_first = first;
  Activation activation;
  int pool;

  int size() const { return fixed ? fixed : pool; }
};

// Of a window, the largest: what was compared, v and z there, and which pixel it is.
template <int fixed>
struct Winner {
  static constexpr int kept = fixed ? fixed * fixed : 1;
  Floats rank, v, z;
  Floats seen[kept];  // in a fixed window: z of every pixel
  Ints better[kept];  // and where it beats all pixels before it
  Ints position;      // in any other: its place in row-major order

  // What of `left` falls to the pixel at `place`, if the pixels are asked from the last to the first. Comparing
  // positions would read better in fixed windows too, but GCC 12 unrolls that to single bits of AVX-512 masks.
  Floats take(int place, Floats& left) const {
    if (fixed == 1) return left;
    if (fixed == 0) return position == place ? left : Floats{};
    if (place == 0) return left;
    const Floats taken = better[place] ? left : Floats{};
    left = better[place] ? Floats{} : left;
    return taken;
  }
};

// The first of equals wins; a NaN beats all, the last of several, as in PyTorch. z is the upper left pixel, `step` and
// `line` are the elements from one pixel and from one row to the next.
template <typename Windows, typename Tile, typename T>
inline auto winner(const Windows& windows, Tile tile, const T* z, int64_t step, int64_t line, int vector,
                   Floats scale, Floats shift) {
  Winner<Windows::fixed_size> best{};
  for (int row = 0, place = 0; row < windows.size(); ++row)
    for (int column = 0; column < windows.size(); ++column, ++place) {
      const Floats here = tile.load(z + row * line + column * step, vector);
      const Floats v = here * scale + shift;
      const Floats rank = Windows::pool_first ? v : windows.activation.value(v);
      const Ints better = place == 0 ? Ints{} - 1 : (rank > best.rank) | (rank != rank);
      best.rank = better ? rank : best.rank;
      best.v = better ? v : best.v;
      best.z = better ? here : best.z;
      if (Windows::fixed_size) {
        best.seen[place] = here;
        best.better[place] = better;
      } else {
        best.position = better ? Ints{} + place : best.position;
      }
    }
  return best;
}

// run(windows) with the Windows that stand for `tail`, so that nothing is decided within its loops; but for windows
// and activations seldom met, which all share one slower kind, as every kind takes long to compile.
template <typename Run>
void with_windows(Tail tail, Run&& run) {
  const bool rises = tail.activation == Activation::none || tail.activation == Activation::relu ||
                     (tail.activation == Activation::leaky_relu && tail.slope >= 0);
  const bool pool_first = tail.pool_first || rises || tail.pool == 1;
  const auto common = [&]<typename Chosen>(Chosen activation) {
    if (tail.pool == 1) return run(Windows<Chosen, 1, true>{activation, 1});
    if (pool_first) return run(Windows<Chosen, 2, true>{activation, 2});
    if constexpr (Chosen::bends) run(Windows<Chosen, 2, false>{activation, 2});
  };
  if (tail.pool <= 2 && tail.activation == Activation::none) return common(Identity{});
  if (tail.pool <= 2 && tail.activation == Activation::relu) return common(Relu{});
  if (tail.pool <= 2 && tail.activation == Activation::leaky_relu && pool_first) return common(LeakyRelu{tail.slope});
  if (tail.pool <= 2 && tail.activation == Activation::silu) return common(Silu{});
  if (tail.pool <= 2 && tail.activation == Activation::gelu) return common(Gelu{});
  const Any any{tail.activation, tail.slope};
  if (pool_first)
    run(Windows<Any, 0, true>{any, tail.pool});
  else
    run(Windows<Any, 0, false>{any, tail.pool});
}

}  // namespace convscope
