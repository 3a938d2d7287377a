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

inline constexpr float A = 0.70710678f, A2 = 0.5f, A3 = A * A2;
inline constexpr float B = 1.41421356f, B2 = 2.0f, B3 = B * B2;
inline constexpr float AT_A = 1 / (2 * A2 * (A2 - B2)), AT_B = 1 / (2 * B2 * (B2 - A2));  // and 1 at zero and infinity

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

struct OutputTransform {  // 6 -> 4
  static constexpr int from = INPUTS, to = OUTPUTS;
  static void apply(const Floats* v, Floats* out) {
    const Floats sum_a = v[1] + v[2], difference_a = v[1] - v[2];
    const Floats sum_b = v[3] + v[4], difference_b = v[3] - v[4];
    out[0] = v[0] + sum_a + sum_b;
    out[1] = A * difference_a + B * difference_b;
    out[2] = A2 * sum_a + B2 * sum_b;
    out[3] = A3 * difference_a + B3 * difference_b + v[5];
  }
};

struct GradientTransform {  // 4 -> 6: OutputTransform transposed
  static constexpr int from = OUTPUTS, to = INPUTS;
  static void apply(const Floats* v, Floats* out) {
    const Floats even_a = v[0] + A2 * v[2], odd_a = A * v[1] + A3 * v[3];
    const Floats even_b = v[0] + B2 * v[2], odd_b = B * v[1] + B3 * v[3];
    out[0] = v[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = v[3];
  }
};

struct FilterTransform {  // 3 -> 6
  static constexpr int from = TAPS, to = INPUTS;
  static void apply(const Floats* v, Floats* out) {
    const Floats even_a = AT_A * (v[0] + A2 * v[2]), odd_a = AT_A * A * v[1];
    const Floats even_b = AT_B * (v[0] + B2 * v[2]), odd_b = AT_B * B * v[1];
    out[0] = v[0];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = v[2];
  }
};

struct FilterGradientTransform {  // 6 -> 3: FilterTransform transposed
  static constexpr int from = INPUTS, to = TAPS;
  static void apply(const Floats* v, Floats* out) {
    const Floats sum_a = AT_A * (v[1] + v[2]), difference_a = AT_A * (v[1] - v[2]);
    const Floats sum_b = AT_B * (v[3] + v[4]), difference_b = AT_B * (v[3] - v[4]);
    out[0] = v[0] + sum_a + sum_b;
    out[1] = A * difference_a + B * difference_b;
    out[2] = A2 * sum_a + B2 * sum_b + v[5];
  }
};

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
