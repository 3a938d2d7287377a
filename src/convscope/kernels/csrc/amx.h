// Products of bfloat16 matrices on the tiles of Intel's AMX (Advanced Matrix Extensions): the inner loops of convolution.
//
// A tile has 16 rows of 64 bytes. One instruction adds to a tile of 16 x 16 floats the product of 16 x 32 and 32 x 16
// bfloat16 values, of which the second has its rows in pairs: row r holds values (2r, n), (2r + 1, n) side by side for
// each n (Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter 20).
#pragma once

#include <cstdint>

#include "vector.h"

#if defined(__linux__) && defined(__AVX512BF16__) && (defined(__AMX_BF16__) || defined(CONVSCOPE_SOFTWARE_TILES))
#define CONVSCOPE_AMX
#endif

namespace convscope {

constexpr int64_t TILE = 16;           // rows of a tile, and its floats in a row
constexpr int64_t DEPTH = 32;          // values that one product adds up
constexpr int64_t PANEL = 2 * TILE;    // channels that are computed together, two tiles side by side
constexpr int64_t TILE_VALUES = TILE * DEPTH;
constexpr int64_t LONGEST_KERNEL = 11; // rows

// Whether this CPU and this system have AMX for bfloat16; asks Linux for the use of the tiles, which is granted once for
// all threads of the process.
bool amx_available();

// The tiles of this thread, set up for 16 rows of 64 bytes; released at the end of the scope, because a thread that
// leaves them in use is slower to switch.
class Tiles {
 public:
  Tiles();
  ~Tiles();
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// How a convolution finds its values in a padded image: channels-last, so that what a row of the kernel covers lies side
// by side, (kernel width) x (channels) values.
struct Taps {
  int64_t rows;                    // of the kernel
  int64_t blocks;                  // of DEPTH values in a row of the kernel; what is over meets weights of zero
  int64_t step;                    // values from one output's place to the next one's
  int64_t offset[LONGEST_KERNEL];  // values from an output's place to what each row of the kernel covers
};

// Outputs: rows of `columns`, computed as if they were one row with `pitch` places for each of them.
struct Grid {
  int64_t rows, columns, pitch;
  int64_t places() const { return (rows - 1) * pitch + columns; }
};

// Where the outputs of one panel of channels go, and their moments.
struct Target {
  BFloat16* values;                  // of the first output's first channel
  int64_t row_step, column_step; // values from one output to the next
  int64_t channels;              // of the panel that exist, at most PANEL
  const float* centre;           // of the moments, (PANEL) or null for 0
  float* sum;                    // (channels), added to; null for no moments
  float* squares;
};

// One panel of channels of a convolution. `weights` are the panel's tiles: (rows, blocks, 2, TILE, DEPTH), in pairs.
void convolve(const BFloat16* image, const Taps& taps, const BFloat16* weights, const Grid& grid, const Target& target);

// sums (32, 32), with `stride` floats from row to row, += left (32, K) times right (K, 32): `left` has `left_stride`
// values from row to row; `right` and `right_next` are two columns of tiles in pairs, 16 channels each.
void multiply(const BFloat16* left, int64_t left_stride, const BFloat16* right, const BFloat16* right_next, int64_t blocks,
              float* sums, int64_t stride);

}  // namespace convscope
