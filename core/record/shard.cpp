#include "core/record/shard.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <string_view>

#include "core/base/contract.hpp"
#include "core/record/apart.hpp"
#include "core/record/cell_dataset.hpp"
#include "core/record/earlier_schema.hpp"
#include "core/record/hdf5.hpp"
#include "core/record/stored_file.hpp"

namespace lamp::record {
namespace {

Quantity cell_quantity(const std::string& name, const std::string& dim, std::size_t size,
                       const std::string& long_name) {
  Quantity q{
      .path = "/cells/" + name, .dims = {}, .shape = {}, .units = "1", .long_name = long_name};
  q.prototype = std::vector<std::uint8_t>{};
  if (!dim.empty()) q.dims = {dim}, q.shape = {size};
  return q;
}

struct CellColumns {
  explicit CellColumns(std::size_t quantities)
      : id(cell_quantity("id", "byte", sizeof(Digest), "identity of the cell (SHA-256)")),
        status(cell_quantity("status", "", 0, "state of the cell")),
        recorded(cell_quantity(
            "recorded", "quantity", quantities,
            "whether the cell recorded the quantity, in the order of /index/quantities")) {
    status.flag_meanings = {"pending", "done", "failed"};
  }
  Quantity id, status, recorded;
};

void write_labels(hid_t dataset, const Quantity& q) {
  hdf5::write_texts(dataset, "dims", q.dims);
  hdf5::write_texts(dataset, "constant_over", q.constant_over);
}

/// One positive quiet NaN for all: sign and payload differ between processors.
void canonicalise(const Values& prototype, std::span<std::byte> values) {
  if (!std::holds_alternative<std::vector<double>>(prototype)) return;
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t at = 0; at < values.size(); at += sizeof(double)) {
    double x;
    std::memcpy(&x, &values[at], sizeof x);
    if (std::isnan(x)) std::memcpy(&values[at], &nan, sizeof nan);
  }
}

/// Writes a dataset (cells, shape); an absent value (empty span) leaves the fill value.
template <class ValueOfCell>
void write_column(hid_t file, const Quantity& q, std::size_t cells, ValueOfCell value_of) {
  const std::array lead{cells};
  CellDataset dataset = CellDataset::create(file, q, lead);
  write_labels(dataset.id(), q);
  const std::vector<std::byte> fill = fill_bytes(q);
  std::vector<std::byte> buffer;
  for (std::size_t first = 0, end = 0; first < cells; first = end) {
    end = dataset.run_end(first, cells);
    buffer.clear();
    bool any = false;
    for (std::size_t cell = first; cell < end; ++cell) {
      const std::span<const std::byte> value = value_of(cell);
      any = any || !value.empty();
      const std::span<const std::byte> stored =
          value.empty() ? std::span<const std::byte>(fill) : value;
      buffer.insert(buffer.end(), stored.begin(), stored.end());
    }
    canonicalise(q.prototype, buffer);
    if (any) dataset.write(first, end, buffer);
  }
  dataset.close();
}

/// Reads what write_column wrote: accept(cell, bytes) for every cell.
template <class Accept>
void read_column(hid_t file, const Quantity& q, std::size_t cells, Accept accept) {
  const std::array lead{cells};
  const CellDataset dataset = CellDataset::open(file, q, lead);
  std::vector<std::byte> buffer;
  for (std::size_t first = 0, end = 0; first < cells; first = end) {
    end = dataset.run_end(first, cells);
    buffer.resize((end - first) * dataset.cell_bytes());
    dataset.read(first, end, buffer);
    for (std::size_t cell = first; cell < end; ++cell)
      accept(cell, std::span<const std::byte>(buffer).subspan((cell - first) * dataset.cell_bytes(),
                                                              dataset.cell_bytes()));
  }
}

std::vector<std::string> paths(const std::vector<Quantity>& quantities) {
  std::vector<std::string> result;
  for (const Quantity& q : quantities) result.push_back(q.path);
  return result;
}

void write_cells(hid_t file, const Shard& shard) {
  const std::size_t cells = shard.cells.size(), quantities = shard.quantities.size();
  const CellColumns columns(quantities);
  write_column(file, columns.id, cells,
               [&](std::size_t c) { return std::as_bytes(std::span(shard.cells[c].id)); });
  write_column(file, columns.status, cells,
               [&](std::size_t c) { return std::as_bytes(std::span(&shard.cells[c].status, 1)); });
  std::vector<std::uint8_t> recorded(cells * quantities);
  for (std::size_t c = 0; c < cells; ++c)
    for (std::size_t q = 0; q < quantities; ++q)
      recorded[c * quantities + q] = bytes(shard.cells[c].values[q]).empty() ? 0 : 1;
  write_column(file, columns.recorded, cells, [&](std::size_t c) {
    return std::as_bytes(std::span(recorded).subspan(c * quantities, quantities));
  });
}

void write_index(hid_t file, const std::string& path, const std::vector<Quantity>& quantities,
                 const std::string& long_name) {
  hdf5::Handle dataset = hdf5::write_text_dataset(file, path, paths(quantities));
  hdf5::describe(dataset, "1", long_name);
  dataset.close();
}

void write_contents(hid_t file, const Shard& shard) {
  hdf5::write_number(file, "schema_version", shard_schema);
  hdf5::write_text(file, "experiment", to_hex(shard.experiment));
  hdf5::write_text(file, "sequence_id", to_hex(shard.sequence_id));
  hdf5::write_text(file, "content_sha256", to_hex(content_hash(shard)));
  write_index(file, "/index/quantities", shard.quantities, "datasets with a value for every cell");
  write_index(file, "/index/reference", shard.reference_quantities,
              "datasets of the reference run");
  write_cells(file, shard);
  for (std::size_t q = 0; q < shard.quantities.size(); ++q)
    write_column(file, shard.quantities[q], shard.cells.size(),
                 [&](std::size_t c) { return bytes(shard.cells[c].values[q]); });
  for (std::size_t q = 0; q < shard.reference.size(); ++q) {
    const Quantity& quantity = shard.reference_quantities[q];
    CellDataset dataset = CellDataset::create(file, quantity, {});
    write_labels(dataset.id(), quantity);
    Values values = shard.reference[q];
    canonicalise(values, bytes(values));
    dataset.write(0, 1, bytes(values));
    dataset.close();
  }
}

/// All that the dataset at `path` says of its quantity; its extent has `lead` axes before those of
/// one cell.
Quantity read_quantity(hid_t file, const std::string& path, std::size_t lead) {
  const hdf5::Handle dataset = hdf5::open_dataset(file, path);
  Quantity q{.path = path,
             .dims = hdf5::read_texts(dataset, "dims"),
             .shape = {},
             .units = hdf5::read_text(dataset, "units"),
             .long_name = hdf5::read_text(dataset, "long_name")};
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose, "a dataspace");
  const std::vector<hsize_t> extent = hdf5::extent(space);
  for (std::size_t axis = lead; axis < extent.size(); ++axis) q.shape.push_back(extent[axis]);
  const hdf5::Handle type(H5Dget_type(dataset), H5Tclose, "a type");
  q.prototype = hdf5::prototype_of(type);
  for (const std::string& joined : hdf5::read_texts(dataset, "flag_meanings")) {
    std::istringstream words(joined);
    for (std::string word; words >> word;) q.flag_meanings.push_back(word);
  }
  q.constant_over = hdf5::read_texts(dataset, "constant_over");
  if (const std::string wrong = defect(q); !wrong.empty())
    throw hdf5::Failure(wrong, 0);  // before anything of its size is allocated
  return q;
}

/// The 64 hexadecimal digits of an identity.
Digest read_digest(hid_t file, const std::string& attribute) {
  const std::optional<Digest> digest = digest_from_hex(hdf5::read_text(file, attribute));
  if (!digest) throw hdf5::Failure("attribute " + attribute + " is not 64 hexadecimal digits", 0);
  return *digest;
}

void read_cells(hid_t file, Shard& shard) {
  const hdf5::Handle ids = hdf5::open_dataset(file, "/cells/status");
  const hdf5::Handle space(H5Dget_space(ids), H5Sclose, "a dataspace");
  const std::size_t cells =
      static_cast<std::size_t>(hdf5::check(H5Sget_simple_extent_npoints(space), "a dataspace"));
  const CellColumns columns(shard.quantities.size());
  hdf5::expect_held(hdf5::open_dataset(file, columns.id.path), cells, sizeof(Digest));
  hdf5::expect_held(hdf5::open_dataset(file, columns.recorded.path), cells,
                    shard.quantities.size());
  shard.cells.resize(cells);
  read_column(file, columns.id, cells, [&](std::size_t c, auto value) {
    std::memcpy(shard.cells[c].id.data(), value.data(), value.size());
  });
  read_column(file, columns.status, cells, [&](std::size_t c, auto value) {
    shard.cells[c].status = static_cast<CellStatus>(value[0]);
  });
  std::vector<std::vector<bool>> recorded(cells);
  read_column(file, columns.recorded, cells, [&](std::size_t c, auto value) {
    for (const std::byte flag : value) recorded[c].push_back(flag != std::byte{0});
  });
  for (std::size_t q = 0; q < shard.quantities.size(); ++q) {
    const Quantity& quantity = shard.quantities[q];
    for (CellRecord& cell : shard.cells) cell.values.push_back(zeros_like(quantity.prototype, 0));
    const auto count = static_cast<std::uint64_t>(std::count_if(
        recorded.begin(), recorded.end(), [&](const auto& flags) { return flags[q]; }));
    if (count == 0) continue;
    hdf5::expect_held(hdf5::open_dataset(file, quantity.path),
                      hdf5::saturating_product(count, elements(quantity)),
                      element_size(quantity.prototype));
    read_column(file, quantity, cells, [&](std::size_t c, auto value) {
      if (!recorded[c][q]) return;
      Values& values = shard.cells[c].values[q];
      values = zeros_like(quantity.prototype, elements(quantity));
      std::copy(value.begin(), value.end(), bytes(values).begin());
    });
  }
}

/// Contents of a file whose bytes are known to be whole. Failure for contents that no writer of
/// ours makes.
Shard read_contents(hid_t file) {
  const std::int64_t schema = hdf5::read_number(file, "schema_version");
  if (schema < 1 || schema > shard_schema)
    throw hdf5::Failure("attribute schema_version is another", 0);
  Shard shard;
  shard.experiment = read_digest(file, "experiment");
  shard.sequence_id = read_digest(file, "sequence_id");
  for (const std::string& path : hdf5::read_text_dataset(file, "/index/quantities"))
    shard.quantities.push_back(read_quantity(file, path, 1));
  for (const std::string& path : hdf5::read_text_dataset(file, "/index/reference"))
    shard.reference_quantities.push_back(read_quantity(file, path, 0));
  read_cells(file, shard);
  for (const Quantity& quantity : shard.reference_quantities) {
    hdf5::expect_held(hdf5::open_dataset(file, quantity.path), elements(quantity),
                      element_size(quantity.prototype));
    shard.reference.push_back(zeros_like(quantity.prototype, elements(quantity)));
    CellDataset::open(file, quantity, {}).read(0, 1, bytes(shard.reference.back()));
  }
  if (const std::string wrong = defect(shard); !wrong.empty()) throw hdf5::Failure(wrong, 0);
  if (content_hash(shard) != read_digest(file, "content_sha256"))
    throw hdf5::Failure("the content hash is not that of the contents", 0);
  if (schema == 1)
    if (const std::string wrong = bring_from_schema_1(shard); !wrong.empty())
      throw hdf5::Failure(wrong, 0);
  return shard;
}

}  // namespace

Result<std::vector<std::byte>> shard_bytes(const Shard& shard) {
  const std::string wrong = defect(shard);
  expects(wrong.empty(), wrong.c_str());
  const auto lock = hdf5::use_library();
  try {
    hdf5::Handle file = hdf5::create_in_memory(shard_header_size);
    write_contents(file, shard);
    const std::vector<std::byte> image = hdf5::image(file);  // without the user block
    file.close();
    const auto block = shard_header(sha256(image));
    std::vector<std::byte> whole(shard_header_size + image.size());
    std::memcpy(whole.data(), block.data(), shard_header_size);
    std::copy(image.begin(), image.end(), whole.begin() + shard_header_size);
    return whole;
  } catch (const hdf5::Failure& failure) {
    return Error{ExitCode::internal, std::string("cannot build a shard: ") + failure.what()};
  }
}

Result<void> publish_shard(const std::filesystem::path& file, const Shard& shard) {
  const Result<std::vector<std::byte>> whole = shard_bytes(shard);
  if (!whole) return Error{whole.error().code, file.string() + ": " + whole.error().message};
  return publish(file, *whole);
}

Result<Shard> read_shard(const std::filesystem::path& file) {
  const Result<StoredFile> stored = StoredFile::open(file, FileKind::shard);
  if (!stored) return stored.error();
  return read_shard(*stored);
}

Result<Shard> read_shard(const StoredFile& file) { return read_apart(file, read_contents); }

}  // namespace lamp::record
