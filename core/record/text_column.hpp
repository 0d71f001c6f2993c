// A dataset of texts, one for each cell. It is written a sequence at a time; where nothing was
// written the text is empty.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/sha256.hpp"
#include "core/record/contents.hpp"
#include "core/record/hdf5.hpp"

namespace lamp::record {

class TextColumn {
 public:
  /// Creates the dataset `quantity.path` of extent `lead`, whose first `sequence_axes` count
  /// sequences and the others a sequence's cells. Pre: quantity.dims is empty.
  TextColumn(hid_t file, Quantity quantity, std::vector<std::size_t> lead,
             std::size_t sequence_axes);

  [[nodiscard]] const Quantity& quantity() const { return quantity_; }
  [[nodiscard]] hid_t id() const { return *dataset_; }
  /// The texts of the cells of a sequence. Pre: UTF-8 without NUL, which would end them.
  void write(std::size_t sequence, const std::vector<std::string>& texts);
  void close() { dataset_->close(), dataset_.reset(); }
  /// Whether the closed and reopened file holds what was written.
  [[nodiscard]] bool same_in(hid_t file) const;

 private:
  /// The box of a sequence in the file, and a memory space of its cells.
  [[nodiscard]] std::pair<hdf5::Handle, hdf5::Handle> select(std::size_t sequence) const;

  Quantity quantity_;
  std::vector<hsize_t> extent_;
  std::size_t sequence_axes_;
  std::optional<hdf5::Handle> dataset_;
  std::vector<std::pair<std::size_t, Digest>> written_;  // sequence, and what it was given
};

}  // namespace lamp::record
