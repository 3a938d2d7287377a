#include "response_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel.h"
#include "vector.h"

namespace convscope {

namespace {

// What a thread works with: the channels of a pixel, in float32.
class Pixel {
 public:
  Pixel(int64_t channels, const ResponseNorm& norm)
      : channels_(channels), norm_(norm), values_(channels), gradients_(channels), sums_(channels),
        padded_(channels + norm.size - 1) {}

  template <typename T>
  void forward(const T* x, T* out) {
    read(x, values_);
    near_squares();
    for (int64_t c = 0; c < channels_; ++c) values_[c] *= power(base(c));
    write(values_, out);
  }

  // With s the base of the power: gx = g s^(-3/4) - 3/2 share x * (sum nearby of g x s^(-7/4)).
  template <typename T>
  void backward(const T* g, const T* x, T* gx) {
    read(x, values_);
    read(g, gradients_);
    near_squares();
    float* const middle = padded_.data() + norm_.size / 2;
    for (int64_t c = 0; c < channels_; ++c) {
      const float s = base(c), scaled = gradients_[c] * power(s);
      middle[c] = scaled * values_[c] / s;
      gradients_[c] = scaled;
    }
    sum_nearby();
    for (int64_t c = 0; c < channels_; ++c) gradients_[c] -= 1.5f * norm_.share * values_[c] * sums_[c];
    write(gradients_, gx);
  }

 private:
  static float power(float s) {  // s^(-3/4)
    const float root = 1 / std::sqrt(s);
    return root * std::sqrt(root);
  }

  float base(int64_t c) const { return norm_.floor + norm_.share * sums_[c]; }

  void near_squares() {
    float* const middle = padded_.data() + norm_.size / 2;
    for (int64_t c = 0; c < channels_; ++c) middle[c] = values_[c] * values_[c];
    sum_nearby();
  }

  // sums[c] = padded[c] + ... + padded[c + size - 1]; the ends of `padded` are zeros.
  void sum_nearby() {
    const float* const from = padded_.data();
    for (int64_t c = 0; c < channels_; ++c) sums_[c] = from[c];
    for (int64_t step = 1; step < norm_.size; ++step)
      for (int64_t c = 0; c < channels_; ++c) sums_[c] += from[c + step];
  }

  template <typename T>
  void read(const T* from, std::vector<float>& to) {
    for (int64_t c = 0; c < channels_; c += lanes) {
      const int count = static_cast<int>(std::min<int64_t>(lanes, channels_ - c));
      store(to.data() + c, load(from + c, count), count);
    }
  }

  template <typename T>
  void write(const std::vector<float>& from, T* to) {
    for (int64_t c = 0; c < channels_; c += lanes) {
      const int count = static_cast<int>(std::min<int64_t>(lanes, channels_ - c));
      store(to + c, load(from.data() + c, count), count);
    }
  }

  const int64_t channels_;
  const ResponseNorm norm_;
  std::vector<float> values_, gradients_, sums_, padded_;
};

// work(scratch, place of the first value) for every pixel, shared among the threads.
template <typename Work>
void for_each_pixel(int64_t pixels, int64_t channels, const ResponseNorm& norm, int threads, Work&& work) {
  constexpr int64_t together = 64;
  for_each((pixels + together - 1) / together, threads, [&](int64_t part) {
    Pixel scratch(channels, norm);
    const int64_t last = std::min(pixels, (part + 1) * together);
    for (int64_t pixel = part * together; pixel < last; ++pixel) work(scratch, pixel * channels);
  });
}

}  // namespace

template <typename T>
void response_norm(const T* x, int64_t pixels, int64_t channels, const ResponseNorm& norm, T* out, int threads) {
  for_each_pixel(pixels, channels, norm, threads,
                 [&](Pixel& scratch, int64_t place) { scratch.forward(x + place, out + place); });
}

template <typename T>
void response_norm_backward(const T* g, const T* x, int64_t pixels, int64_t channels, const ResponseNorm& norm, T* gx,
                            int threads) {
  for_each_pixel(pixels, channels, norm, threads,
                 [&](Pixel& scratch, int64_t place) { scratch.backward(g + place, x + place, gx + place); });
}

#define CONVSCOPE_INSTANTIATE(T)                                                               \
  template void response_norm(const T*, int64_t, int64_t, const ResponseNorm&, T*, int);       \
  template void response_norm_backward(const T*, const T*, int64_t, int64_t, const ResponseNorm&, T*, int);
CONVSCOPE_INSTANTIATE(float)
CONVSCOPE_INSTANTIATE(BFloat16)

}  // namespace convscope
