// A batch of images out of a set of bytes: gathered, mirrored, moved, blotted out and normalised in one pass.
#pragma once

#include <cstdint>

namespace convscope {

struct ImageSet {
  const uint8_t* pixels;  // (M, channels, height, width)
  int64_t channels, height, width;
};

struct Values {  // what a pixel becomes
  int64_t channels;    // of the batch: as many as in the set, or any number where the set has one
  const float* table;  // (channels, 256): of each byte
  const float* fill;   // (channels,): of what comes in over the border
};

struct Changes {  // of each image of the batch, in this order; null where there are none
  const bool* mirrored;    // (B,): left and right
  const int64_t* offsets;  // (B, 2): pixels down and to the right
  const int64_t* centres;  // (B, 2): row and column of the middle of a square, or just after it when the side is even,
                           // whose values are multiplied by 0
  int64_t side;            // of the square
};

// out (B, H, W, channels): image b is made of image rows[b] of the set, which must be in [0, M).
void batch(const ImageSet& set, const int64_t* rows, int64_t images, const Values& values, const Changes& changes,
           float* out, int threads);

}  // namespace convscope
