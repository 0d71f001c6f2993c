#include "core/record/shard.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <string_view>

#include "core/base/contract.hpp"
#include "core/record/cell_dataset.hpp"
#include "core/record/hdf5.hpp"

namespace lamp::record {
namespace {

constexpr int shard_version = 1;
constexpr std::size_t header_size = 512;  // the smallest user block HDF5 has
constexpr std::string_view magic = "lamp shard, schema ";

/// The user block: what the file is, and the digest of what follows; padded with zeros.
std::array<char, header_size> header(const Digest& digest) {
  std::array<char, header_size> block{};
  const std::string text = std::string(magic) + std::to_string(shard_version) +
                           "\nAn HDF5 file from byte 512 on; SHA-256 of those bytes:\n" +
                           to_hex(digest) + "\n";
  std::copy(text.begin(), text.end(), block.begin());
  return block;
}

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
  hdf5::write_number(file, "schema_version", shard_version);
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
  const std::string text = hdf5::read_text(file, attribute);
  const auto digit = [&](char c) -> unsigned {
    constexpr std::string_view digits = "0123456789abcdef";
    const std::size_t at = digits.find(c);
    if (at == std::string_view::npos)
      throw hdf5::Failure("attribute " + attribute + " is not hexadecimal", 0);
    return static_cast<unsigned>(at);
  };
  Digest digest{};
  if (text.size() != 2 * digest.size())
    throw hdf5::Failure("attribute " + attribute + " is not 64 digits", 0);
  for (std::size_t i = 0; i < digest.size(); ++i)
    digest[i] = static_cast<std::uint8_t>(16 * digit(text[2 * i]) + digit(text[2 * i + 1]));
  return digest;
}

void read_cells(hid_t file, Shard& shard) {
  const hdf5::Handle ids = hdf5::open_dataset(file, "/cells/status");
  const hdf5::Handle space(H5Dget_space(ids), H5Sclose, "a dataspace");
  const std::size_t cells =
      static_cast<std::size_t>(hdf5::check(H5Sget_simple_extent_npoints(space), "a dataspace"));
  const CellColumns columns(shard.quantities.size());
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
  for (std::size_t q = 0; q < shard.quantities.size(); ++q)
    read_column(file, shard.quantities[q], cells, [&](std::size_t c, auto value) {
      Values values = zeros_like(shard.quantities[q].prototype,
                                 recorded[c][q] ? elements(shard.quantities[q]) : 0);
      std::copy_n(value.begin(), bytes(values).size(), bytes(values).begin());
      shard.cells[c].values.push_back(std::move(values));
    });
}

/// Contents of a file whose bytes are known to be whole. Failure for contents that no writer of
/// ours makes.
Shard read_contents(hid_t file) {
  if (hdf5::read_number(file, "schema_version") != shard_version)
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
    shard.reference.push_back(zeros_like(quantity.prototype, elements(quantity)));
    CellDataset::open(file, quantity, {}).read(0, 1, bytes(shard.reference.back()));
  }
  if (const std::string wrong = defect(shard); !wrong.empty()) throw hdf5::Failure(wrong, 0);
  if (content_hash(shard) != read_digest(file, "content_sha256"))
    throw hdf5::Failure("the content hash is not that of the contents", 0);
  return shard;
}

constexpr std::string_view advice = "; delete it and run again: its sequence is computed anew";

/// Checks the user block and the digest of the rest, without HDF5.
Result<void> check_bytes(const std::filesystem::path& file, int descriptor) {
  const auto bad = [&](const std::string& what) {
    return Error{ExitCode::bad_data, file.string() + ": " + what + std::string(advice)};
  };
  std::array<char, header_size> found{};
  std::vector<std::byte> buffer(std::size_t{1} << 18);
  Sha256 hash;
  for (std::size_t size = 0;;) {
    const bool in_header = size < header_size;
    const ssize_t n = in_header ? ::read(descriptor, found.data() + size, header_size - size)
                                : ::read(descriptor, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{ExitCode::io, system_error(file, "cannot read", errno).message};
    if (n == 0 && in_header)
      return bad("not a whole shard of lamp (" + std::to_string(size) +
                 " bytes; a shard begins with 512 of text)");
    if (n == 0) break;
    if (!in_header) hash.update(std::span(buffer).first(static_cast<std::size_t>(n)));
    size += static_cast<std::size_t>(n);
  }
  const std::array<char, header_size> expected = header(hash.finish());
  if (found == expected) return {};
  const std::string_view text(found.data(), found.size());
  if (!text.starts_with(magic)) return bad("not a shard of lamp");
  const std::string_view version =
      text.substr(magic.size(), std::min<std::size_t>(text.find('\n'), 40) - magic.size());
  if (version != std::to_string(shard_version) &&
      version.find_first_not_of("0123456789") == std::string_view::npos)
    return bad("a shard of schema version " + std::string(version) + "; this lamp reads version " +
               std::to_string(shard_version));
  return bad("truncated or corrupted: the SHA-256 of its bytes is not the stored one");
}

/// A regular file, opened for reading.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& file)
      : descriptor_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool regular() const {
    struct stat status {};
    return ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  }

 private:
  int descriptor_;
};

}  // namespace

Result<std::vector<std::byte>> shard_bytes(const Shard& shard) {
  const std::string wrong = defect(shard);
  expects(wrong.empty(), wrong.c_str());
  const auto lock = hdf5::use_library();
  try {
    hdf5::Handle file = hdf5::create_in_memory(header_size);
    write_contents(file, shard);
    const std::vector<std::byte> image = hdf5::image(file);  // without the user block
    file.close();
    const auto block = header(sha256(image));
    std::vector<std::byte> whole(header_size + image.size());
    std::memcpy(whole.data(), block.data(), header_size);
    std::copy(image.begin(), image.end(), whole.begin() + header_size);
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
  const InputFile input(file);
  if (input.descriptor() < 0) {
    Error error = system_error(file, "cannot open", errno);
    if (error.code == ExitCode::cannot_create) error.code = ExitCode::missing_input;
    return error;
  }
  if (!input.regular()) return Error{ExitCode::bad_data, file.string() + ": not a regular file"};
  if (Result<void> whole = check_bytes(file, input.descriptor()); !whole) return whole.error();
  const auto lock = hdf5::use_library();
  try {
    const hdf5::Handle opened = hdf5::open_file(file);
    return read_contents(opened);
  } catch (const hdf5::Failure& failure) {
    if (failure.error_number() != 0)
      return system_error(file, "cannot read", failure.error_number());
    return Error{ExitCode::bad_data, file.string() + ": not readable as a shard: " +
                                         failure.what() + std::string(advice)};
  }
}

}  // namespace lamp::record
