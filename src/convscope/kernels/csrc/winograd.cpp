#include "winograd.h"

#include <algorithm>

#include "arena.h"
#include "parallel.h"
#include "winograd_products.h"
#include "winograd_tiles.h"

namespace convscope {
namespace {

constexpr int64_t SCRATCH_BYTES = 1 << 20;  // for the tiles that a thread works on at a time: half of its cache
constexpr int64_t PARTS = 8;
constexpr int64_t PARTS_BYTES = 8 << 20;

// Filters at each place: (PLACES, pairs of vectors of outputs, inputs, 2 x lanes); the last pair may be one vector.
struct Filters {
  int64_t inputs, outputs;

  int64_t place_step() const { return vectors(outputs) * lanes * inputs; }
  int64_t size() const { return PLACES * place_step(); }

  // weight(output, row, column, input) tells a tap.
  template <typename Weight>
  void pack(const Weight& weight, float* packed, int threads) const {
    parallel(threads, [&](int index) {
      const Share mine = share(inputs, threads, index);
      for (int64_t vector = 0; vector < vectors(outputs); ++vector) {
        const int64_t pair = vector / 2 * 2, width = std::min<int64_t>(2, vectors(outputs) - pair) * lanes;
        const int64_t count = std::min<int64_t>(lanes, outputs - vector * lanes);
        for (int64_t input = mine.first; input < mine.last; ++input) {
          float* const to = packed + pair * lanes * inputs + input * width + (vector - pair) * lanes;
          transform<FilterTransform>(
              [&](int row, int column) {
                float taps[lanes] = {};
                for (int64_t i = 0; i < count; ++i) taps[i] = weight(vector * lanes + i, row, column, input);
                return load(taps);
              },
              [&](int row, int column, Floats values) { store(to + (row * INPUTS + column) * place_step(), values); });
        }
      }
    });
  }
};

// How many tiles to work on at a time. Filters that do not fit into the cache are read again for each group, so that
// they want larger ones.
int64_t group_size(const Convolution3x3& c, int64_t tiles) {
  const int64_t each = PLACES * (vectors(c.in_channels) + vectors(c.out_channels)) * lanes * sizeof(float);
  const int64_t filters = PLACES * c.in_channels * c.out_channels * sizeof(float);
  return std::min(tiles, std::max<int64_t>(std::max(SCRATCH_BYTES, filters) / each / ROWS, 1) * ROWS);
}

// Room for a group of tiles of inputs, and as many of outputs or of their gradients.
struct Scratch {
  Arena arena;
  WinogradTiles inputs, outputs;

  Scratch(const Convolution3x3& c, int64_t group)
      : arena(bytes(c.in_channels, group) + bytes(c.out_channels, group)), inputs(take(c.in_channels, group)),
        outputs(take(c.out_channels, group)) {}

  static int64_t bytes(int64_t channels, int64_t group) {
    return Arena::size<float>(WinogradTiles::size(channels, group));
  }

  WinogradTiles take(int64_t channels, int64_t group) {
    return {arena.take<float>(WinogradTiles::size(channels, group)), channels, group};
  }
};

template <typename T>
void convolve(const T* x, const float* packed, const Filters& filters, const Convolution3x3& c, T* z, int threads) {
  const Tiling tiling(c);
  const int64_t tiles = c.images * tiling.per_image();
  parallel(threads, [&](int index) {
    const Share mine = share(tiles, threads, index);
    const int64_t group = group_size(c, mine.last - mine.first);
    const Scratch scratch(c, group);
    const WinogradTiles &inputs = scratch.inputs, &outputs = scratch.outputs;
    for (int64_t first = mine.first; first < mine.last; first += group) {
      const int64_t count = std::min(group, mine.last - first);
      for (int64_t i = 0; i < count; ++i) gather_inputs(x, tiling, first + i, inputs, i);
      for (int64_t place = 0; place < PLACES; ++place)
        for (int64_t vector = 0; vector < vectors(c.out_channels); vector += 2) {
          const auto run = vector + 1 < vectors(c.out_channels) ? multiply_all<2> : multiply_all<1>;
          run(inputs.at(place, 0), inputs.vector_step(), c.in_channels,
              packed + place * filters.place_step() + vector * lanes * c.in_channels, outputs.at(place, vector), count);
        }
      for (int64_t i = 0; i < count; ++i) scatter_outputs(outputs, i, tiling, first + i, z);
    }
  });
}

// Room that all threads share, kept by the calling thread from call to call.
Arena::Block& shared_block() {
  static thread_local Arena::Block block;
  return block;
}

// Sums over tiles of the products of inputs and gradients: (PLACES, in channels, out channels), both in whole vectors.
struct Sums {
  int64_t in_padded, out_padded;

  explicit Sums(const Convolution3x3& c)
      : in_padded(vectors(c.in_channels) * lanes), out_padded(vectors(c.out_channels) * lanes) {}

  int64_t place_step() const { return in_padded * out_padded; }
  int64_t size() const { return PLACES * place_step(); }
};

// How many parts of the tiles have sums of their own, one thread for each; or 1 where these would be large, and the
// threads share the places. It depends on sizes alone, so that results do not depend on the number of threads.
int64_t parts_of(const Sums& sizes, int64_t tiles) {
  const bool small = PARTS * sizes.size() * static_cast<int64_t>(sizeof(float)) <= PARTS_BYTES;
  return small && tiles >= PARTS * ROWS ? PARTS : 1;
}

// The sums over the tiles [begin, end), one after the other.
template <typename T>
void add_up(const T* x, const T* g, const Convolution3x3& c, int64_t begin, int64_t end, float* sums, int threads) {
  const Tiling tiling(c);
  const Sums sizes(c);
  const int64_t group = std::min(end - begin, threads * group_size(c, end - begin));
  const Scratch scratch(c, group);
  const WinogradTiles &inputs = scratch.inputs, &gradients = scratch.outputs;
  for (int64_t first = begin; first < end; first += group) {
    const int64_t count = std::min(group, end - first);
    parallel(threads, [&](int index) {
      const Share mine = share(count, threads, index);
      for (int64_t i = mine.first; i < mine.last; ++i) {
        gather_inputs(x, tiling, first + i, inputs, i);
        gather_gradients(g, tiling, first + i, gradients, i);
      }
    });
    parallel(threads, [&](int index) {
      const Share mine = share(PLACES, threads, index);
      for (int64_t place = mine.first; place < mine.last; ++place)
        for (int64_t vector = 0; vector < vectors(c.out_channels); vector += 2) {
          const auto run = vector + 1 < vectors(c.out_channels) ? add_products<2> : add_products<1>;
          for (int64_t channel = 0; channel < sizes.in_padded; channel += SUM_ROWS)
            run(inputs.at(place, channel / lanes) + channel % lanes, gradients.at(place, vector),
                gradients.vector_step(), count, first == begin,
                sums + place * sizes.place_step() + channel * sizes.out_padded + vector * lanes, sizes.out_padded);
        }
    });
  }
}

}  // namespace

template <typename T>
void winograd(const T* x, const float* weight, const Convolution3x3& c, T* z, int threads) {
  const Filters filters{c.in_channels, c.out_channels};
  Arena arena(Arena::size<float>(filters.size()), shared_block());
  float* const packed = arena.take<float>(filters.size());
  filters.pack(
      [&](int64_t output, int row, int column, int64_t input) {
        return weight[((output * TAPS + row) * TAPS + column) * c.in_channels + input];
      },
      packed, threads);
  convolve(x, packed, filters, c, z, threads);
}

// A convolution of the gradient by the kernels turned round.
template <typename T>
void winograd_by_input(const T* g, const float* weight, const Convolution3x3& c, T* gx, int threads) {
  const Convolution3x3 back{c.images, c.out_height(), c.out_width(), c.out_channels, c.in_channels, 2 - c.padding};
  const Filters filters{c.out_channels, c.in_channels};
  Arena arena(Arena::size<float>(filters.size()), shared_block());
  float* const packed = arena.take<float>(filters.size());
  filters.pack(
      [&](int64_t output, int row, int column, int64_t input) {
        return weight[((input * TAPS + TAPS - 1 - row) * TAPS + TAPS - 1 - column) * c.in_channels + output];
      },
      packed, threads);
  convolve(g, packed, filters, back, gx, threads);
}

template <typename T>
void winograd_by_weight(const T* g, const T* x, const Convolution3x3& c, float* gweight, int threads) {
  const Sums sizes(c);
  const int64_t tiles = c.images * Tiling(c).per_image(), parts = parts_of(sizes, tiles);
  Arena arena(Arena::size<float>(parts * sizes.size()), shared_block());
  float* const sums = arena.take<float>(parts * sizes.size());
  if (parts == 1) {
    add_up(x, g, c, 0, tiles, sums, threads);
  } else {
    parallel(threads, [&](int index) {
      const Share mine = share(parts, threads, index);
      for (int64_t part = mine.first; part < mine.last; ++part)
        add_up(x, g, c, tiles * part / parts, tiles * (part + 1) / parts, sums + part * sizes.size(), 1);
    });
  }
  parallel(threads, [&](int index) {
    const Share mine = share(c.in_channels, threads, index);
    for (int64_t vector = 0; vector < vectors(c.out_channels); ++vector)
      for (int64_t input = mine.first; input < mine.last; ++input) {
        const int64_t count = std::min<int64_t>(lanes, c.out_channels - vector * lanes);
        const float* const from = sums + input * sizes.out_padded + vector * lanes;
        float* const to = gweight + vector * lanes * TAPS * TAPS * c.in_channels + input;
        transform<FilterGradientTransform>(
            [&](int row, int column) {
              Floats sum{};
              for (int64_t part = 0; part < parts; ++part)
                sum += load(from + part * sizes.size() + (row * INPUTS + column) * sizes.place_step());
              return sum;
            },
            [&](int row, int column, Floats values) {
              for (int64_t i = 0; i < count; ++i) to[((i * TAPS + row) * TAPS + column) * c.in_channels] = values[i];
            });
      }
  });
}

#define CONVSCOPE_INSTANTIATE(T)                                                           \
  template void winograd(const T*, const float*, const Convolution3x3&, T*, int);          \
  template void winograd_by_input(const T*, const float*, const Convolution3x3&, T*, int); \
  template void winograd_by_weight(const T*, const T*, const Convolution3x3&, float*, int);
CONVSCOPE_INSTANTIATE(float)
CONVSCOPE_INSTANTIATE(BFloat16)

}  // namespace convscope
