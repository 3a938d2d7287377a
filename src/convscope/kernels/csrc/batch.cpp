#include "batch.h"

#include <algorithm>
#include <type_traits>

#include "parallel.h"

namespace convscope {
namespace {

// [first, last) of a line of `length` pixels; within the line whatever is asked for.
Share within(int64_t first, int64_t last, int64_t length) {
  return {std::clamp<int64_t>(first, 0, length), std::clamp<int64_t>(last, 0, length)};
}

// What is done to one image.
struct Change {
  bool mirrored = false;
  int64_t down = 0, right = 0;
  Share rows = {0, 0}, columns = {0, 0};  // of the square, where it lies in the image
};

Change change_of(const ImageSet& set, const Changes& changes, int64_t image) {
  Change change;
  if (changes.mirrored) change.mirrored = changes.mirrored[image];
  if (changes.offsets) {
    change.down = changes.offsets[2 * image];
    change.right = changes.offsets[2 * image + 1];
  }
  if (changes.centres) {
    const int64_t top = changes.centres[2 * image] - changes.side / 2;
    const int64_t left = changes.centres[2 * image + 1] - changes.side / 2;
    change.rows = within(top, top + changes.side, set.height);
    change.columns = within(left, left + changes.side, set.width);
  }
  return change;
}

template <int64_t number>
using Constant = std::integral_constant<int64_t, number>;

// A table instead of arithmetic: one load a value, and the very bits that the arithmetic gave whoever filled it.
// `channels` may be a Constant, for which the compiler unrolls; `step` is 1, or -1 to read backwards.
template <typename Channels>
void look_up(const uint8_t* from, int64_t step, int64_t plane, int64_t count, Channels channels, const float* table,
             float* to) {
  for (int64_t x = 0; x < count; ++x)
    for (int64_t c = 0; c < channels; ++c) to[x * channels + c] = table[256 * c + from[x * step + c * plane]];
}

void fill(const Values& values, int64_t count, float* to) {
  for (int64_t x = 0; x < count; ++x) std::copy_n(values.fill, values.channels, to + x * values.channels);
}

template <typename Channels>
void make_image(const uint8_t* from, const ImageSet& set, Channels channels, const Values& values,
                const Change& change, float* to) {
  const int64_t width = set.width, pixels = set.height * width, plane = set.channels == 1 ? 0 : pixels;
  const Share seen = within(change.right, width + change.right, width);  // the columns that show something of the image
  const int64_t step = change.mirrored ? -1 : 1, count = seen.last - seen.first;
  const int64_t left = change.mirrored ? width - 1 - (seen.first - change.right) : seen.first - change.right;
  for (int64_t y = 0; y < set.height; ++y, to += width * channels) {
    const int64_t row = y - change.down;
    if (row < 0 || row >= set.height || count == 0) {
      fill(values, width, to);
    } else {
      fill(values, seen.first, to);
      look_up(from + row * width + left, step, plane, count, channels, values.table, to + seen.first * channels);
      fill(values, width - seen.last, to + seen.last * channels);
    }
    if (change.rows.first <= y && y < change.rows.last)  // a product, for the sign of the zeros
      for (int64_t i = change.columns.first * channels; i < change.columns.last * channels; ++i) to[i] *= 0;
  }
}

}  // namespace

void batch(const ImageSet& set, const int64_t* rows, int64_t images, const Values& values, const Changes& changes,
           float* out, int threads) {
  const int64_t pixels = set.height * set.width, bytes = set.channels * pixels;
  parallel(threads, [&](int index) {
    const Share own = share(images, threads, index);
    for (int64_t image = own.first; image < own.last; ++image) {
      // The images of a shuffled set lie anywhere in the memory, so the next one is sent for in good time.
      if (image + 1 < own.last)
        for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(set.pixels + rows[image + 1] * bytes + byte);
      const uint8_t* from = set.pixels + rows[image] * bytes;
      float* to = out + image * pixels * values.channels;
      const Change change = change_of(set, changes, image);
      switch (values.channels) {
        case 1: make_image(from, set, Constant<1>{}, values, change, to); break;
        case 3: make_image(from, set, Constant<3>{}, values, change, to); break;
        default: make_image(from, set, values.channels, values, change, to);
      }
    }
  });
}

}  // namespace convscope
