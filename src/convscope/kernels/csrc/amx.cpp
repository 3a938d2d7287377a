#include "amx.h"

#if defined(CONVSCOPE_AMX)

#include "amx_tiles.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace convscope {

namespace {

constexpr int ARCH_REQ_XCOMP_PERM = 0x1023;  // linux/arch/x86/include/uapi/asm/prctl.h
constexpr int XFEATURE_XTILEDATA = 18;

struct alignas(64) TileConfiguration {  // as the instruction LDTILECFG reads it
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_in_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

inline __m512 widen(__m256i values) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

// Rounds a block of outputs to bfloat16 and puts each in its place; those beyond the columns of a row have none. The
// moments are those of the rounded values, which is what the backward pass will see.
class Writer {
 public:
  Writer(const Grid& grid, const Target& target) : grid_(grid), target_(target) {
    kept_ = target.channels == PANEL ? ~__mmask32{0} : (__mmask32{1} << target.channels) - 1;
    if (target.sum != nullptr && target.centre != nullptr) {
      centre_[0] = _mm512_maskz_loadu_ps(static_cast<__mmask16>(kept_), target.centre);
      centre_[1] = _mm512_maskz_loadu_ps(static_cast<__mmask16>(kept_ >> TILE), target.centre + TILE);
    }
  }

  void write(const float* block, int64_t first, int64_t count) {
    int64_t row = first / grid_.pitch, column = first % grid_.pitch;
    for (int64_t i = 0; i < count;) {
      const int64_t length = std::min(count - i, grid_.pitch - column);
      const int64_t inside = std::min(length, grid_.columns - column);
      BFloat16* place = target_.values + row * target_.row_step + column * target_.column_step;
      for (int64_t j = 0; j < inside; ++j, place += target_.column_step) write_one(block + (i + j) * PANEL, place);
      i += length;
      column = 0;
      ++row;
    }
  }

  void finish() const {
    if (target_.sum == nullptr) return;
    for (int half = 0; half < 2; ++half) {
      const auto mask = static_cast<__mmask16>(kept_ >> (half * TILE));
      float* sum = target_.sum + half * TILE;
      float* squares = target_.squares + half * TILE;
      _mm512_mask_storeu_ps(sum, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, sum), sum_[half]));
      _mm512_mask_storeu_ps(squares, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, squares), squares_[half]));
    }
  }

 private:
  void write_one(const float* block, BFloat16* place) {
    const __m512i rounded =
        (__m512i)_mm512_cvtne2ps_pbh(_mm512_load_ps(block + TILE), _mm512_load_ps(block));
    _mm512_mask_storeu_epi16(place, kept_, rounded);
    if (target_.sum == nullptr) return;
    const __m512 low = _mm512_sub_ps(widen(_mm512_castsi512_si256(rounded)), centre_[0]);
    const __m512 high = _mm512_sub_ps(widen(_mm512_extracti64x4_epi64(rounded, 1)), centre_[1]);
    sum_[0] = _mm512_add_ps(sum_[0], low);
    sum_[1] = _mm512_add_ps(sum_[1], high);
    squares_[0] = _mm512_fmadd_ps(low, low, squares_[0]);
    squares_[1] = _mm512_fmadd_ps(high, high, squares_[1]);
  }

  const Grid& grid_;
  const Target& target_;
  __mmask32 kept_;
  __m512 centre_[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  __m512 sum_[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  __m512 squares_[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
};

}  // namespace

#if defined(CONVSCOPE_SOFTWARE_TILES)
bool amx_available() { return true; }
#else
bool amx_available() {
  // The compiler was told to build for this very CPU, so that only the system's permission is left to ask for.
  static const bool granted = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
  return granted;
}
#endif

Tiles::Tiles() {
  const TileConfiguration configuration;
  TILE_CONFIGURE(configuration);
}

Tiles::~Tiles() { TILE_RELEASE(); }

void convolve(const BFloat16* image, const Taps& taps, const BFloat16* weights, const Grid& grid, const Target& target) {
  alignas(64) float block[PANEL * PANEL];
  Writer writer(grid, target);
  const int64_t places = grid.places();
  const int64_t stride = taps.step * sizeof(BFloat16);
  for (int64_t place = 0; place < places; place += PANEL) {
    const BFloat16* from = image + place * taps.step;
    const BFloat16* tiles = weights;
    if (places - place > TILE) {
      TILE_ZERO(0);
      TILE_ZERO(1);
      TILE_ZERO(2);
      TILE_ZERO(3);
      for (int64_t row = 0; row < taps.rows; ++row) {
        const BFloat16* upper = from + taps.offset[row];
        const BFloat16* lower = upper + TILE * taps.step;
        for (int64_t i = 0; i < taps.blocks; ++i) {
          TILE_LOAD(4, upper + i * DEPTH, stride);
          TILE_LOAD(6, tiles, 64);
          TILE_MULTIPLY(0, 4, 6);
          TILE_LOAD(7, tiles + TILE_VALUES, 64);
          TILE_MULTIPLY(1, 4, 7);
          TILE_LOAD(5, lower + i * DEPTH, stride);
          TILE_MULTIPLY(2, 5, 6);
          TILE_MULTIPLY(3, 5, 7);
          tiles += 2 * TILE_VALUES;
        }
      }
      TILE_STORE(0, block, PANEL * sizeof(float));
      TILE_STORE(1, block + TILE, PANEL * sizeof(float));
      TILE_STORE(2, block + TILE * PANEL, PANEL * sizeof(float));
      TILE_STORE(3, block + TILE * PANEL + TILE, PANEL * sizeof(float));
    } else {
      TILE_ZERO(0);
      TILE_ZERO(1);
      for (int64_t row = 0; row < taps.rows; ++row) {
        const BFloat16* upper = from + taps.offset[row];
        for (int64_t i = 0; i < taps.blocks; ++i) {
          TILE_LOAD(4, upper + i * DEPTH, stride);
          TILE_LOAD(6, tiles, 64);
          TILE_MULTIPLY(0, 4, 6);
          TILE_LOAD(7, tiles + TILE_VALUES, 64);
          TILE_MULTIPLY(1, 4, 7);
          tiles += 2 * TILE_VALUES;
        }
      }
      TILE_STORE(0, block, PANEL * sizeof(float));
      TILE_STORE(1, block + TILE, PANEL * sizeof(float));
    }
    writer.write(block, place, std::min(PANEL, places - place));
  }
  writer.finish();
}

void multiply(const BFloat16* left, int64_t left_stride, const BFloat16* right, const BFloat16* right_next, int64_t blocks,
              float* sums, int64_t stride) {
  const int64_t row_bytes = left_stride * sizeof(BFloat16), sum_bytes = stride * sizeof(float);
  const BFloat16* lower = left + TILE * left_stride;
  TILE_LOAD(0, sums, sum_bytes);
  TILE_LOAD(1, sums + TILE, sum_bytes);
  TILE_LOAD(2, sums + TILE * stride, sum_bytes);
  TILE_LOAD(3, sums + TILE * stride + TILE, sum_bytes);
  for (int64_t i = 0; i < blocks; ++i) {
    TILE_LOAD(4, left + i * DEPTH, row_bytes);
    TILE_LOAD(6, right + i * TILE_VALUES, 64);
    TILE_MULTIPLY(0, 4, 6);
    TILE_LOAD(7, right_next + i * TILE_VALUES, 64);
    TILE_MULTIPLY(1, 4, 7);
    TILE_LOAD(5, lower + i * DEPTH, row_bytes);
    TILE_MULTIPLY(2, 5, 6);
    TILE_MULTIPLY(3, 5, 7);
  }
  TILE_STORE(0, sums, sum_bytes);
  TILE_STORE(1, sums + TILE, sum_bytes);
  TILE_STORE(2, sums + TILE * stride, sum_bytes);
  TILE_STORE(3, sums + TILE * stride + TILE, sum_bytes);
}

}  // namespace convscope

#else

namespace convscope {

bool amx_available() { return false; }

}  // namespace convscope

#endif
