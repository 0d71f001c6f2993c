// A dataset of cells: leading axes that count cells, then the values of one cell. Written and read
// by runs of consecutive cells, so that a result larger than memory streams through a buffer of one
// run.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/record/contents.hpp"
#include "core/record/hdf5.hpp"

namespace lamp::record {

class CellDataset {
 public:
  /// Creates the dataset of `quantity` under its path with extent (lead, shape): filled with
  /// fill_bytes where never written, chunked by cell (a cell's values are split above 1 MiB, and
  /// small cells share a chunk up to 64 KiB), compressed and checksummed, described (units,
  /// long_name, flags; of signed integers valid_min, which -1 is below). Without leading axes the
  /// dataset is one cell.
  static CellDataset create(hid_t file, const Quantity& quantity,
                            std::span<const std::size_t> lead);
  /// Opens what create made; Failure if extent or type differ.
  static CellDataset open(hid_t file, const Quantity& quantity, std::span<const std::size_t> lead);

  [[nodiscard]] hid_t id() const { return dataset_; }
  [[nodiscard]] std::size_t cell_bytes() const { return cell_bytes_; }
  /// The end of the chunk that holds cell `first` (row-major over the leading axes), at most
  /// `limit`. Pre: limit is the number of cells; or limit and first are multiples of the product of
  /// the last few axes.
  [[nodiscard]] std::size_t run_end(std::size_t first, std::size_t limit) const;
  /// Cells [first, end), a run; `values` holds (end - first) * cell_bytes().
  void write(std::size_t first, std::size_t end, std::span<const std::byte> values);
  void read(std::size_t first, std::size_t end, std::span<std::byte> values) const;
  void close() { dataset_.close(); }

 private:
  CellDataset(const Quantity& quantity, std::span<const std::size_t> lead);
  /// The box of a run in the file, and a memory space of the same shape: HDF5 copies equal shapes
  /// by blocks, others by elements.
  struct Selection {
    hdf5::Handle file, memory;
  };
  [[nodiscard]] Selection select(std::size_t first, std::size_t end) const;

  hdf5::Handle dataset_;
  Values prototype_;
  std::size_t lead_;             // number of leading axes
  std::vector<hsize_t> extent_;  // (lead, shape)
  std::vector<hsize_t> chunk_;   // same rank
  std::size_t cell_bytes_ = 0;
};

/// A cell's values where they are not computed: all NaN, -1 for signed integers, 0 for unsigned.
std::vector<std::byte> fill_bytes(const Quantity& quantity);

}  // namespace lamp::record
