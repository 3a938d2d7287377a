// Vectors of floats as wide as the machine's registers, and how float32 and bfloat16 memory becomes them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define CONVSCOPE_AVX512
#include <immintrin.h>
#endif

namespace convscope {

struct BFloat16 {  // the upper half of a float32; the same bits as at::BFloat16
  uint16_t bits;
};

// GCC splits wider vectors than the machine has into single floats, so the width follows the machine.
#if defined(CONVSCOPE_AVX512)
inline constexpr int lanes = 16;
#elif defined(__AVX2__)
inline constexpr int lanes = 8;
#else
inline constexpr int lanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef int32_t Ints __attribute__((vector_size(4 * lanes)));  // also what a comparison of Floats answers: 0 or -1
typedef uint32_t Words __attribute__((vector_size(4 * lanes)));
typedef uint16_t Halves __attribute__((vector_size(2 * lanes)));

inline Floats all(float value) { return value - Floats{}; }  // less zero, which changes no bit and costs nothing

inline Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

inline void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

#if defined(CONVSCOPE_AVX512)

inline Floats widen(__m256i halves) {
  // The masked form of the intrinsic, as GCC 12 warns of an uninitialised variable inside the plain one.
  const __m512i words = _mm512_maskz_cvtepu16_epi32(0xffff, halves);
  return reinterpret_cast<Floats>(reinterpret_cast<Words>(words) << 16);
}

inline __m256i narrow(Floats values) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values));
#else
  const Words bits = reinterpret_cast<Words>(values);
  const Words rounded = values == values ? bits + 0x7fff + (bits >> 16 & 1) : (bits | 0x400000);
  return _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(rounded >> 16));
#endif
}

inline Floats load(const BFloat16* from) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

inline void store(BFloat16* to, Floats values) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(values));
}

// The first `count` lanes; loaded ones beyond are 0, stored ones beyond leave the memory as it is.
inline Floats load(const float* from, int count) { return _mm512_maskz_loadu_ps((1u << count) - 1, from); }

inline Floats load(const BFloat16* from, int count) {
  return widen(_mm256_maskz_loadu_epi16((1u << count) - 1, from));
}

inline void store(float* to, Floats values, int count) { _mm512_mask_storeu_ps(to, (1u << count) - 1, values); }

inline void store(BFloat16* to, Floats values, int count) {
  _mm256_mask_storeu_epi16(to, (1u << count) - 1, narrow(values));
}

#else

inline Floats load(const BFloat16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return reinterpret_cast<Floats>(__builtin_convertvector(halves, Words) << 16);
}

inline void store(BFloat16* to, Floats values) {  // round to nearest even; a NaN stays one
  const Words bits = reinterpret_cast<Words>(values);
  const Words rounded = values == values ? bits + 0x7fff + (bits >> 16 & 1) : (bits | 0x400000);
  const Halves halves = __builtin_convertvector(rounded >> 16, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

// The first `count` lanes; loaded ones beyond are 0, stored ones beyond leave the memory as it is.
template <typename T>
inline Floats load(const T* from, int count) {
  if (count == lanes) return load(from);
  T values[lanes] = {};
  for (int i = 0; i < count; ++i) values[i] = from[i];
  return load(values);
}

template <typename T>
inline void store(T* to, Floats values, int count) {
  if (count == lanes) return store(to, values);
  T stored[lanes];
  store(stored, values);
  for (int i = 0; i < count; ++i) to[i] = stored[i];
}

#endif

}  // namespace convscope
