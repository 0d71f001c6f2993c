#include "core/record/text_column.hpp"

#include <algorithm>

#include "core/base/contract.hpp"

namespace lamp::record {
namespace {

Digest digest_of(const std::vector<std::string>& texts) {
  Sha256 hash;
  for (const std::string& text : texts) hash.update(std::to_string(text.size()) + ':' + text);
  return hash.finish();
}

}  // namespace

TextColumn::TextColumn(hid_t file, Quantity quantity, std::vector<std::size_t> lead,
                       std::size_t sequence_axes)
    : quantity_(std::move(quantity)),
      extent_(lead.begin(), lead.end()),
      sequence_axes_(sequence_axes) {
  expects(quantity_.dims.empty(), "TextColumn: one text for each cell");
  dataset_ = hdf5::create_dataset(file, quantity_.path, hdf5::text_type(), hdf5::dataspace(extent_),
                                  hdf5::dataset_properties());
  hdf5::describe(*dataset_, quantity_.units, quantity_.long_name);
}

std::pair<hdf5::Handle, hdf5::Handle> TextColumn::select(std::size_t sequence) const {
  std::vector<hsize_t> start(extent_.size(), 0), count(extent_);
  for (std::size_t axis = sequence_axes_; axis-- > 0; sequence /= extent_[axis]) {
    start[axis] = sequence % extent_[axis];
    count[axis] = 1;
  }
  hdf5::Handle in_file = hdf5::dataspace(extent_);
  hdf5::check(
      H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
      "cannot select cells");
  return {std::move(in_file), hdf5::dataspace(count)};
}

void TextColumn::write(std::size_t sequence, const std::vector<std::string>& texts) {
  const auto [in_file, in_memory] = select(sequence);
  std::vector<const char*> raw;
  for (const std::string& text : texts) raw.push_back(text.c_str());
  expects(static_cast<hssize_t>(raw.size()) == H5Sget_simple_extent_npoints(in_memory),
          "TextColumn: as many texts as cells");
  hdf5::check(H5Dwrite(*dataset_, hdf5::text_type(), in_memory, in_file, H5P_DEFAULT, raw.data()),
              "cannot write text");
  written_.emplace_back(sequence, digest_of(texts));
}

bool TextColumn::same_in(hid_t file) const {
  const hdf5::Handle found = hdf5::open_dataset(file, quantity_.path);
  const hdf5::Handle space(H5Dget_space(found), H5Sclose, "a dataspace");
  if (hdf5::extent(space) != extent_ || hdf5::read_text(found, "units") != quantity_.units ||
      hdf5::read_text(found, "long_name") != quantity_.long_name)
    return false;
  return std::all_of(written_.begin(), written_.end(), [&](const auto& written) {
    const auto [in_file, in_memory] = select(written.first);
    return digest_of(hdf5::read_selected_texts(found, in_memory, in_file)) == written.second;
  });
}

}  // namespace lamp::record
