// The transforms of Winograd's F(4 x 4, 3 x 3), for a vector of channels at once.
//
// Four outputs of a filter of three are a product of polynomials, found by its values at six places: 0, +-a, +-b and
// infinity. The paper takes a = 1 and b = 2; with a^2 = 1/2 and b^2 = 2 rounding errors are smaller.
#pragma once

#include <cstdint>

#include "vector.h"

namespace convscope {

constexpr int OUTPUTS = 4;  // of a tile, in a row
constexpr int INPUTS = 6;   // that they are computed from: as many places, where the polynomials are taken
constexpr int TAPS = 3;
constexpr int PLACES = INPUTS * INPUTS;

inline constexpr float A = 0.70710678f, A2 = 0.5f;
inline constexpr float B = 1.41421356f, B2 = 2.0f;
// What a filter's values at +-a and +-b are multiplied by, so that outputs are sums; at zero and infinity it is 1.
inline constexpr float SCALE_A = 1 / (2 * A2 * (A2 - B2)), SCALE_B = 1 / (2 * B2 * (B2 - A2));

// Each takes the values `v` of a row, or of a column.

struct InputTransform {  // 6 -> 6
  static constexpr int from = INPUTS, to = INPUTS;
  static void apply(const Floats* v, Floats* out) {
    const Floats even_a = v[4] - B2 * v[2], odd_a = A * (v[3] - B2 * v[1]);
    const Floats even_b = v[4] - A2 * v[2], odd_b = B * (v[3] - A2 * v[1]);
    out[0] = v[4] - (A2 + B2) * v[2] + v[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = v[5] - (A2 + B2) * v[3] + v[1];
  }
};

// N -> 6: the values at the places of a polynomial with N coefficients.
template <int N, bool SCALED>
struct AtPlaces {
  static constexpr int from = N, to = INPUTS;
  static void apply(const Floats* v, Floats* out) {
    constexpr float a = SCALED ? SCALE_A : 1, b = SCALED ? SCALE_B : 1;
    const Floats even_a = a * (v[0] + A2 * v[2]), even_b = b * (v[0] + B2 * v[2]);
    Floats odd_a = v[1], odd_b = v[1];
    if constexpr (N == OUTPUTS) odd_a += A2 * v[3], odd_b += B2 * v[3];
    odd_a *= a * A, odd_b *= b * B;
    out[0] = v[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = v[N - 1];
  }
};

// 6 -> N: AtPlaces transposed.
template <int N, bool SCALED>
struct FromPlaces {
  static constexpr int from = INPUTS, to = N;
  static void apply(const Floats* v, Floats* out) {
    constexpr float a = SCALED ? SCALE_A : 1, b = SCALED ? SCALE_B : 1;
    const Floats sum_a = a * (v[1] + v[2]), difference_a = a * A * (v[1] - v[2]);
    const Floats sum_b = b * (v[3] + v[4]), difference_b = b * B * (v[3] - v[4]);
    out[0] = v[0] + sum_a + sum_b;
    out[1] = difference_a + difference_b;
    out[2] = A2 * sum_a + B2 * sum_b;
    if constexpr (N == OUTPUTS) out[3] = A2 * difference_a + B2 * difference_b;
    out[N - 1] += v[5];
  }
};

using OutputTransform = FromPlaces<OUTPUTS, false>;
using GradientTransform = AtPlaces<OUTPUTS, false>;
using FilterTransform = AtPlaces<TAPS, true>;
using FilterGradientTransform = FromPlaces<TAPS, true>;

// A square of values, transformed in both directions: read(row, column) and write(row, column, value).
template <typename Transform, typename Read, typename Write>
inline void transform(const Read& read, const Write& write) {
  Floats columns[Transform::to][Transform::from];
  // Not unrolled, for GCC would work out the places of all values in advance, more than there are registers for.
#pragma GCC unroll 1
  for (int column = 0; column < Transform::from; ++column) {
    Floats values[Transform::from], changed[Transform::to];
#pragma GCC unroll 6
    for (int row = 0; row < Transform::from; ++row) values[row] = read(row, column);
    Transform::apply(values, changed);
#pragma GCC unroll 6
    for (int row = 0; row < Transform::to; ++row) columns[row][column] = changed[row];
  }
#pragma GCC unroll 1
  for (int row = 0; row < Transform::to; ++row) {
    Floats changed[Transform::to];
    Transform::apply(columns[row], changed);
#pragma GCC unroll 6
    for (int column = 0; column < Transform::to; ++column) write(row, column, changed[column]);
  }
}

}  // namespace convscope
