// The operator of csrc/batch.h as PyTorch calls it.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>

#include "batch.h"

namespace convscope {
namespace {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;

constexpr int64_t values_a_thread = 1 << 16;  // fewer are made sooner than another thread is woken

// Dense, on the CPU, of this type and shape.
Tensor checked(const Tensor& tensor, at::ScalarType type, at::IntArrayRef sizes, const char* name) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == type && tensor.sizes() == sizes, name, " must be ",
              type, " of shape ", sizes, " on the CPU, not ", tensor.scalar_type(), " of shape ", tensor.sizes(), ".");
  return tensor.contiguous();
}

Tensor batch_of_tensors(const Tensor& pixels, const Tensor& rows_given, const Tensor& table_given,
                        const Tensor& fill_given, const MaybeTensor& mirrored_given, const MaybeTensor& offsets_given,
                        const MaybeTensor& centres_given, int64_t side) {
  // Pixels are taken as they are, for a dense copy would be one of the whole set.
  TORCH_CHECK(pixels.device().is_cpu() && pixels.scalar_type() == at::kByte && pixels.dim() == 4 &&
                  pixels.is_contiguous(),
              "pixels must be dense uint8 of shape (M, C, H, W) on the CPU, not ", pixels.scalar_type(), " of shape ",
              pixels.sizes(), ".");
  TORCH_CHECK(table_given.dim() == 2 && rows_given.dim() == 1, "table must be of shape (channels, 256) and rows (B,), ",
              "not ", table_given.sizes(), " and ", rows_given.sizes(), ".");
  const int64_t images = rows_given.size(0), channels = table_given.size(0);
  TORCH_CHECK_VALUE(pixels.size(1) == 1 || pixels.size(1) == channels, "images of ", pixels.size(1),
                    " channels do not become ", channels, " channels by a table.");
  TORCH_CHECK_VALUE(side >= 0, "the side of a square is ", side, ", but cannot be negative.");
  const Tensor rows = checked(rows_given, at::kLong, {images}, "rows");
  const Tensor table = checked(table_given, at::kFloat, {channels, 256}, "table");
  const Tensor fill = checked(fill_given, at::kFloat, {channels}, "fill");
  const int64_t* row = rows.const_data_ptr<int64_t>();
  TORCH_CHECK_INDEX(std::all_of(row, row + images, [&](int64_t r) { return 0 <= r && r < pixels.size(0); }),
                    "an index is out of range: there are ", pixels.size(0), " images.");
  Tensor mirrored, offsets, centres;
  Changes changes{nullptr, nullptr, nullptr, side};
  if (mirrored_given) {
    mirrored = checked(*mirrored_given, at::kBool, {images}, "mirrored");
    changes.mirrored = mirrored.const_data_ptr<bool>();
  }
  if (offsets_given) {
    offsets = checked(*offsets_given, at::kLong, {images, 2}, "offsets");
    changes.offsets = offsets.const_data_ptr<int64_t>();
  }
  if (centres_given) {
    centres = checked(*centres_given, at::kLong, {images, 2}, "centres");
    changes.centres = centres.const_data_ptr<int64_t>();
  }
  const int64_t height = pixels.size(2), width = pixels.size(3);
  // With one channel both orders are the same, and the plain one has the strides that PyTorch gives such images.
  const auto format = channels == 1 ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
  Tensor out = at::empty({images, channels, height, width}, at::TensorOptions(at::kFloat).memory_format(format));
  const auto threads = std::clamp<int64_t>(out.numel() / values_a_thread, 1, at::get_num_threads());
  batch({pixels.const_data_ptr<uint8_t>(), pixels.size(1), height, width}, row, images,
        {channels, table.const_data_ptr<float>(), fill.const_data_ptr<float>()}, changes, out.mutable_data_ptr<float>(),
        static_cast<int>(threads));
  return out;
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY_FRAGMENT(convscope, library) {
  library.def(
      "batch(Tensor pixels, Tensor rows, Tensor table, Tensor fill, Tensor? mirrored, Tensor? offsets, "
      "Tensor? centres, int side) -> Tensor");
}

TORCH_LIBRARY_IMPL(convscope, CPU, library) { library.impl("batch", &convscope::batch_of_tensors); }
