// Activations on vectors: value(v), and gradient(g, v) = g * value'(v) as PyTorch defines it. NaN goes through.
// One that bends falls somewhere, so that a max pool before it is not the same as one behind it.
#pragma once

#include "tail.h"

namespace convscope {

// Comparisons are written so that a NaN on the left stays.
inline Floats at_least(Floats v, float low) { return v < all(low) ? all(low) : v; }
inline Floats at_most(Floats v, float high) { return v > all(high) ? all(high) : v; }
inline Floats magnitude(Floats v) {
  return reinterpret_cast<Floats>(reinterpret_cast<Words>(v) & 0x7fffffff);
}

// e^-x for x >= 0, relative error < 2e-7; beyond 87, where float32 ends, e^-87.
inline Floats decay(Floats x) {
  x = -at_most(x, 87.0f);
  const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
  const Floats shifted = x * 1.44269504f + round;
  const Floats whole = shifted - round;
  const Floats r = x - whole * 0.693359375f - whole * -2.12194440e-4f;  // ln 2 in two parts: |r| <= ln 2 / 2
  Floats power = all(1.9875691500e-4f);  // Cephes' expf
  for (const float coefficient : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f})
    power = power * r + coefficient;
  power = power * (r * r) + r + 1.0f;
  const Words exponent = (reinterpret_cast<Words>(shifted) + 127) << 23;
  return power * reinterpret_cast<Floats>(exponent);
}

struct Identity {
  static constexpr bool bends = false;
  Floats value(Floats v) const { return v; }
  Floats gradient(Floats g, Floats) const { return g; }
};

struct Relu {
  static constexpr bool bends = false;
  Floats value(Floats v) const { return at_least(v, 0.0f); }
  Floats gradient(Floats g, Floats v) const { return v <= Floats{} ? Floats{} : g; }
};

struct LeakyRelu {
  static constexpr bool bends = false;
  float slope;
  Floats value(Floats v) const { return v > Floats{} ? v : v * slope; }
  Floats gradient(Floats g, Floats v) const { return v > Floats{} ? g : g * slope; }
};

// v * s(v) with the logistic function s. At -inf, where PyTorch answers NaN, the limit 0 to 1e-36.
struct Silu {
  static constexpr bool bends = true;
  static Floats logistic(Floats v) {
    const Floats e = decay(magnitude(v));
    return (v < Floats{} ? e : all(1.0f)) / (e + 1.0f);
  }
  Floats value(Floats v) const { return at_least(v, -87.0f) * logistic(v); }
  Floats gradient(Floats g, Floats v) const {
    const Floats s = logistic(v);
    return g * (s * (at_most(at_least(v, -87.0f), 87.0f) * (1.0f - s) + 1.0f));
  }
};

// v * F(v) with the normal distribution F(v) = erfc(-v / sqrt 2) / 2. At -inf the limit 0, as for silu.
struct Gelu {
  static constexpr bool bends = true;
  static constexpr float far = 13.0f;  // F(-13) is nearly the smallest float32
  struct Normal {
    Floats below, density;  // F(v), F'(v)
  };
  static Normal normal(Floats v) {
    const Floats x = at_most(magnitude(v), far);
    const Floats e = decay(x * x * 0.5f);
    // erfc(y) e^(y^2) as a polynomial of t = 1 / (1 + 0.42 y), y = x / sqrt 2: fitted, relative error < 2e-7.
    const Floats t = 1.0f / (x * (0.42f * 0.70710678f) + 1.0f);
    Floats tail = all(0.07057113f);
    for (const float coefficient : {-0.32169224f, 0.44318381f, -0.13287635f, 0.27000919f, 0.19433429f, 0.23965007f,
                                    0.23681994f})
      tail = tail * t + coefficient;
    tail = tail * t * e * 0.5f;
    return {v > Floats{} ? 1.0f - tail : tail, e * 0.39894228f};
  }
  Floats value(Floats v) const { return at_least(v, -far) * normal(v).below; }
  Floats gradient(Floats g, Floats v) const {
    const auto [below, density] = normal(v);
    return g * (at_most(at_least(v, -far), far) * density + below);
  }
};

// One that is chosen anew at every vector.
struct Any {
  Activation activation;
  float slope;

  template <typename Run>
  Floats with(Run&& run) const {
    switch (activation) {
      case Activation::none:
        return run(Identity{});
      case Activation::relu:
        return run(Relu{});
      case Activation::leaky_relu:
        return run(LeakyRelu{slope});
      case Activation::silu:
        return run(Silu{});
      default:
        return run(Gelu{});
    }
  }
  Floats value(Floats v) const {
    return with([&](auto chosen) { return chosen.value(v); });
  }
  Floats gradient(Floats g, Floats v) const {
    return with([&](auto chosen) { return chosen.gradient(g, v); });
  }
};

}  // namespace convscope
