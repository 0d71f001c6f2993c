#include "core/record/cell_dataset.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "core/base/contract.hpp"

namespace lamp::record {
namespace {

constexpr hsize_t cell_chunk_limit = hsize_t{1}
                                     << 20;  // bytes: more than this of one cell is split
constexpr hsize_t shared_chunk_limit = hsize_t{1} << 16;  // bytes: cells share a chunk up to this
constexpr unsigned deflate_level =
    1;  // significands hardly compress: higher levels cost time for nothing

hsize_t product(std::span<const hsize_t> dims) {
  return std::accumulate(dims.begin(), dims.end(), hsize_t{1}, std::multiplies<>{});
}

/// Chunk extents: a cell's values, split along its first axes above the limit; then as many whole
/// last axes of cells, and a part of the one before, as fit.
std::vector<hsize_t> chunk_extents(const std::vector<hsize_t>& extent, std::size_t lead,
                                   hsize_t element) {
  std::vector<hsize_t> chunk(extent);
  const std::span<hsize_t> inner = std::span(chunk).subspan(lead);
  for (std::size_t axis = 0; axis < inner.size() && product(inner) * element > cell_chunk_limit;
       ++axis) {
    const hsize_t one = product(inner.subspan(axis + 1)) * element;
    inner[axis] = std::max<hsize_t>(1, cell_chunk_limit / one);
  }
  hsize_t room = shared_chunk_limit / (product(inner) * element);
  for (std::size_t axis = lead; axis-- > 0;) {
    chunk[axis] = std::clamp<hsize_t>(room, 1, extent[axis]);
    room = chunk[axis] == extent[axis] ? room / extent[axis] : 1;
  }
  return chunk;
}

bool holds_signed(const Quantity& quantity) {
  return std::holds_alternative<std::vector<std::int64_t>>(quantity.prototype);
}

/// `count` elements that nobody computed.
Values filled(const Values& prototype, std::size_t count) {
  Values values = zeros_like(prototype, count);
  if (auto* numbers = std::get_if<std::vector<double>>(&values))
    std::fill(numbers->begin(), numbers->end(), std::numeric_limits<double>::quiet_NaN());
  if (auto* numbers = std::get_if<std::vector<std::int64_t>>(&values))
    std::fill(numbers->begin(), numbers->end(), std::int64_t{-1});
  return values;
}

hdf5::Handle creation_properties(const Quantity& quantity, const std::vector<hsize_t>& extent,
                                 const std::vector<hsize_t>& chunk) {
  using hdf5::check;
  hdf5::Handle properties = hdf5::dataset_properties();
  const bool is_real = std::holds_alternative<std::vector<double>>(quantity.prototype);
  if (is_real || holds_signed(quantity)) {
    const Values fill = filled(quantity.prototype, 1);
    check(H5Pset_fill_value(properties, hdf5::memory_type(fill), bytes(fill).data()), "fill value");
  }
  if (extent.empty() || product(extent) == 0) return properties;  // HDF5 has no chunks for these
  check(H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data()), "chunks");
  check(H5Pset_shuffle(properties), "shuffle");
  check(H5Pset_deflate(properties, deflate_level), "deflate");
  check(H5Pset_fletcher32(properties), "fletcher32");
  return properties;
}

}  // namespace

CellDataset::CellDataset(const Quantity& quantity, std::span<const std::size_t> lead)
    : prototype_(quantity.prototype), lead_(lead.size()), extent_(lead.begin(), lead.end()) {
  extent_.insert(extent_.end(), quantity.shape.begin(), quantity.shape.end());
  if (extent_.size() > H5S_MAX_RANK)
    throw hdf5::Failure(quantity.path + " has more than 32 dimensions", 0);
  cell_bytes_ = elements(quantity) * element_size(prototype_);
  chunk_ =
      product(extent_) == 0 ? extent_ : chunk_extents(extent_, lead_, element_size(prototype_));
}

CellDataset CellDataset::create(hid_t file, const Quantity& quantity,
                                std::span<const std::size_t> lead) {
  CellDataset result(quantity, lead);
  const hdf5::Handle properties = creation_properties(quantity, result.extent_, result.chunk_);
  result.dataset_ = hdf5::create_dataset(file, quantity.path, hdf5::file_type(quantity.prototype),
                                         hdf5::dataspace(result.extent_), properties);
  hdf5::describe(result.dataset_, quantity.units, quantity.long_name);
  if (holds_signed(quantity)) hdf5::write_number(result.dataset_, "valid_min", 0);
  if (!quantity.flag_meanings.empty()) {
    std::vector<std::uint8_t> flags(quantity.flag_meanings.size());
    std::iota(flags.begin(), flags.end(), std::uint8_t{0});
    hdf5::write_bytes(result.dataset_, "flag_values", flags);
    std::string meanings;
    for (const std::string& word : quantity.flag_meanings)
      meanings += (meanings.empty() ? "" : " ") + word;
    hdf5::write_text(result.dataset_, "flag_meanings", meanings);
  }
  return result;
}

CellDataset CellDataset::open(hid_t file, const Quantity& quantity,
                              std::span<const std::size_t> lead) {
  CellDataset result(quantity, lead);
  result.dataset_ = hdf5::open_dataset(file, quantity.path);
  const hdf5::Handle space(H5Dget_space(result.dataset_), H5Sclose, "a dataspace");
  const hdf5::Handle type(H5Dget_type(result.dataset_), H5Tclose, "a type");
  if (hdf5::extent(space) != result.extent_ ||
      hdf5::prototype_of(type).index() != quantity.prototype.index())
    throw hdf5::Failure(quantity.path + " has another shape or type", 0);
  return result;
}

std::size_t CellDataset::run_end(std::size_t first, std::size_t limit) const {
  if (lead_ == 0) return limit;
  // The axis along which a chunk is partial; the axes after it are whole.
  std::size_t axis = lead_ - 1;
  while (axis > 0 && chunk_[axis] == extent_[axis]) --axis;
  const std::size_t after = product(std::span(extent_).subspan(axis + 1, lead_ - axis - 1));
  const std::size_t row = first / after, index = row % extent_[axis];
  const std::size_t chunk_end =
      std::min<std::size_t>((index / chunk_[axis] + 1) * chunk_[axis], extent_[axis]);
  return std::min((row - index + chunk_end) * after, limit);
}

CellDataset::Selection CellDataset::select(std::size_t first, std::size_t end) const {
  std::vector<hsize_t> start(extent_.size(), 0), count(extent_);
  std::size_t position = first, cells = end - first;
  for (std::size_t axis = lead_; axis-- > 0;) {
    start[axis] = position % extent_[axis];
    position /= extent_[axis];
    count[axis] = std::min<hsize_t>(cells, extent_[axis]);
    expects(cells % count[axis] == 0 && start[axis] + count[axis] <= extent_[axis],
            "CellDataset: a run of cells is a box");
    cells /= count[axis];
  }
  Selection selection{hdf5::dataspace(extent_), hdf5::dataspace(count)};
  if (!extent_.empty())
    hdf5::check(H5Sselect_hyperslab(selection.file, H5S_SELECT_SET, start.data(), nullptr,
                                    count.data(), nullptr),
                "cannot select cells");
  return selection;
}

void CellDataset::write(std::size_t first, std::size_t end, std::span<const std::byte> values) {
  expects(values.size() == (end - first) * cell_bytes_, "CellDataset: as many values as cells");
  if (values.empty()) return;
  const Selection selection = select(first, end);
  hdf5::check(H5Dwrite(dataset_, hdf5::memory_type(prototype_), selection.memory, selection.file,
                       H5P_DEFAULT, values.data()),
              "cannot write");
}

void CellDataset::read(std::size_t first, std::size_t end, std::span<std::byte> values) const {
  expects(values.size() == (end - first) * cell_bytes_, "CellDataset: as many values as cells");
  if (values.empty()) return;
  const Selection selection = select(first, end);
  hdf5::check(H5Dread(dataset_, hdf5::memory_type(prototype_), selection.memory, selection.file,
                      H5P_DEFAULT, values.data()),
              "cannot read");
}

std::vector<std::byte> fill_bytes(const Quantity& quantity) {
  const Values values = filled(quantity.prototype, elements(quantity));
  const auto view = bytes(values);
  return {view.begin(), view.end()};
}

}  // namespace lamp::record
