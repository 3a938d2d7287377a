// Local response normalisation (Krizhevsky, Sutskever, Hinton, 2012, §3.3) with its usual exponent of 3/4.
#pragma once

#include <cstdint>

namespace convscope {

struct ResponseNorm {
  int64_t size;  // how many channels a sum goes over, odd
  float share;   // of the sum of squares: the layer's alpha / size
  float floor;   // what is added to it: the layer's k
};

// out = x / (floor + share * sum of squares nearby)^(3/4), both of shape (pixels, channels).
template <typename T>
void response_norm(const T* x, int64_t pixels, int64_t channels, const ResponseNorm& norm, T* out, int threads);

// The gradient by x from g, that by out.
template <typename T>
void response_norm_backward(const T* g, const T* x, int64_t pixels, int64_t channels, const ResponseNorm& norm, T* gx,
                            int threads);

}  // namespace convscope
