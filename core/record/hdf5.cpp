#include "core/record/hdf5.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <new>
#include <system_error>

namespace lamp::record::hdf5 {
namespace {

/// Set for good by the first call that failed: then the library is left as it is at the end
/// of the process.
std::atomic<bool> a_call_failed{false};

/// Before main, since no call of the library may come first, also none of others that ask for
/// its version.
[[maybe_unused]] const int prepared = H5dont_atexit() + std::atexit([] {
                                        if (!a_call_failed) H5close();
                                      });

struct Innermost {
  std::string text;
  int error_number = 0;
};

/// Walks from the failure outwards: keeps the innermost description, and the errno that the
/// file driver writes into its own. Memory that is refused has none, but a minor number
/// (which space in a file has too, where the file is in memory).
herr_t visit(unsigned n, const H5E_error2_t* entry, void* data) {
  auto& innermost = *static_cast<Innermost*>(data);
  const std::string_view text = entry->desc == nullptr ? "" : entry->desc;
  if (n == 0) innermost.text = text;
  if (entry->min_num == H5E_NOSPACE || entry->min_num == H5E_CANTALLOC)
    innermost.error_number = ENOMEM;
  constexpr std::string_view key = "errno = ";
  if (const std::size_t at = text.find(key);
      at != std::string_view::npos && innermost.error_number == 0)
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(),
                    innermost.error_number);
  return 0;
}

/// Throws std::bad_alloc where the system would not grant what it takes to open a file (its
/// cache of metadata is a block of megabytes): HDF5 1.10 follows a null pointer when that is
/// refused.
void ensure_room() {
  constexpr std::size_t room = std::size_t{8} << 20;
  void* const block =
      ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) throw std::bad_alloc();  // NOLINT: the macro's cast
  ::munmap(block, room);
}

/// Access properties of a file that is about to be opened.
Handle file_access() {
  ensure_room();
  Handle properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "file access properties");
  check(H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG), "strong close");
  check(H5Pset_file_locking(properties, false, true), "no file locking");
  return properties;
}

Handle group_properties() {
  Handle properties(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "group properties");
  check(H5Pset_obj_track_times(properties, false), "no times");
  return properties;
}

/// A cache of two or three chunks: a merge holds hundreds of datasets open, and HDF5 would
/// grant each 1 MiB.
Handle dataset_access() {
  Handle properties(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose, "dataset access properties");
  check(H5Pset_chunk_cache(properties, 67, std::size_t{1} << 18, 1.0), "chunk cache");
  return properties;
}

Handle create_attribute(hid_t object, const std::string& name, hid_t type, hid_t space) {
  return {H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
          "cannot create an attribute"};
}

Handle open_attribute(hid_t object, const std::string& name) {
  return {H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "an attribute is missing"};
}

/// Pointers for HDF5's variable-length strings, which it takes as char*.
std::vector<const char*> pointers(const std::vector<std::string>& values) {
  std::vector<const char*> result;
  for (const std::string& value : values) result.push_back(value.c_str());
  return result;
}

/// Copies strings that HDF5 allocated, and gives them back.
std::vector<std::string> take(std::vector<char*>& raw, hid_t type, hid_t space) {
  std::vector<std::string> values;
  for (const char* text : raw) values.emplace_back(text == nullptr ? "" : text);
  check(H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data()), "cannot free strings");
  return values;
}

std::size_t points(hid_t space) {
  return static_cast<std::size_t>(check(H5Sget_simple_extent_npoints(space), "a dataspace"));
}

constexpr std::uint64_t most_fill = std::uint64_t{64} << 20;  // bytes of a dataset
constexpr std::size_t most_texts = 100'000;                   // of an attribute

void check_text(hid_t type) {
  if (check(H5Tget_class(type), "a type") != H5T_STRING ||
      check(H5Tis_variable_str(type), "a type") == 0)
    throw Failure("a text is not a variable-length string", 0);
}

/// The value list of an attribute; empty if it is absent.
std::vector<std::string> read_attribute(hid_t object, const std::string& name) {
  const Handle attribute = open_attribute(object, name);
  const Handle stored(H5Aget_type(attribute), H5Tclose, "a type");
  check_text(stored);
  const Handle space(H5Aget_space(attribute), H5Sclose, "a dataspace");
  if (points(space) > most_texts) throw Failure("attribute " + name + " is too long", 0);
  std::vector<char*> raw(points(space));
  const Handle type = text_type();
  check(H5Aread(attribute, type, raw.data()), "cannot read an attribute");
  return take(raw, type, space);
}

Handle write_text_dataset(hid_t file, const std::string& path, hid_t space,
                          const std::vector<const char*>& raw) {
  const Handle type = text_type();
  Handle dataset = create_dataset(file, path, type, space, dataset_properties());
  if (!raw.empty())
    check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()), "cannot write text");
  return dataset;
}

}  // namespace

void fail(const std::string& what) {
  const int error_number = errno;
  a_call_failed = true;
  Innermost innermost;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, visit, &innermost);
  H5Eclear2(H5E_DEFAULT);
  // Where the library is refused memory and goes on, a later call fails, and names something else.
  if (innermost.error_number == ENOMEM || error_number == ENOMEM) throw std::bad_alloc();
  const std::string reason = innermost.error_number != 0
                                 ? std::generic_category().message(innermost.error_number)
                                 : innermost.text;
  throw Failure(reason.empty() ? what : what + ": " + reason, innermost.error_number);
}

void Handle::release() noexcept {
  if (id_ >= 0 && close_(std::exchange(id_, -1)) < 0) a_call_failed = true;
}

void Handle::close() {
  if (id_ < 0) return;
  if (close_(std::exchange(id_, -1)) >= 0) return;
  fail("cannot close");
}

std::unique_lock<std::recursive_mutex> use_library() {
  static std::recursive_mutex mutex;
  std::unique_lock lock(mutex);
  // What the library makes of itself at its first call lasts, also where it was refused memory.
  static const bool is_whole = [] {
    errno = 0;
    return H5open() >= 0 && errno != ENOMEM;
  }();
  if (!is_whole) throw std::bad_alloc();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are read from the stack, not printed
  return lock;
}

Handle create_file(const std::filesystem::path& path) {
  return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, file_access()), H5Fclose,
          "cannot create"};
}

Handle open_file(const std::filesystem::path& path) {
  return {H5Fopen(path.c_str(), H5F_ACC_RDONLY, file_access()), H5Fclose, "cannot open"};
}

Handle open_image(std::span<const std::byte> bytes) {
  const Handle access = file_access();
  check(H5Pset_fapl_core(access, std::size_t{1} << 20, false), "memory driver");
  std::vector<std::byte> copy(bytes.begin(), bytes.end());  // HDF5's parameter is not const
  check(H5Pset_file_image(access, copy.data(), copy.size()), "file image");
  return {H5Fopen("in-memory.h5", H5F_ACC_RDONLY, access), H5Fclose, "cannot open"};
}

Handle create_in_memory(hsize_t user_block) {
  const Handle access = file_access();
  check(H5Pset_fapl_core(access, std::size_t{1} << 20, false), "memory driver");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "file properties");
  check(H5Pset_userblock(creation, user_block), "user block");
  return {H5Fcreate("in-memory.h5", H5F_ACC_TRUNC, creation, access), H5Fclose,
          "cannot create in memory"};
}

std::vector<std::byte> image(hid_t file) {
  check(H5Fflush(file, H5F_SCOPE_GLOBAL), "cannot flush");
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(check(H5Fget_file_image(file, nullptr, 0), "cannot get the image")));
  check(H5Fget_file_image(file, bytes.data(), bytes.size()), "cannot get the image");
  return bytes;
}

Handle open_group(hid_t file, const std::string& path) {
  return {H5Gopen2(file, path.c_str(), H5P_DEFAULT), H5Gclose, "a group is missing"};
}

void create_parents(hid_t file, const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string group = path.substr(0, slash);
    if (check(H5Lexists(file, group.c_str(), H5P_DEFAULT), "cannot look up a group") > 0) continue;
    Handle created(H5Gcreate2(file, group.c_str(), H5P_DEFAULT, group_properties(), H5P_DEFAULT),
                   H5Gclose, "cannot create a group");
    created.close();
  }
}

Handle dataspace(std::span<const hsize_t> dims) {
  if (dims.empty()) return {H5Screate(H5S_SCALAR), H5Sclose, "a dataspace"};
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose,
          "a dataspace"};
}

std::vector<hsize_t> extent(hid_t space) {
  std::vector<hsize_t> dims(
      static_cast<std::size_t>(check(H5Sget_simple_extent_ndims(space), "a dataspace")));
  check(H5Sget_simple_extent_dims(space, dims.data(), nullptr), "a dataspace");
  return dims;
}

std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::uint64_t>::max()
                                                : product;
}

void expect_held(hid_t dataset, std::uint64_t elements, std::uint64_t element_bytes) {
  const std::uint64_t held = saturating_product(most_inflation, H5Dget_storage_size(dataset));
  if (saturating_product(elements, element_bytes) > std::max(held, most_fill))
    throw Failure("a dataset of " + std::to_string(elements) + " elements of " +
                      std::to_string(element_bytes) +
                      " bytes, more than its bytes in the file can hold",
                  0);
}

Handle dataset_properties() {
  Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "dataset properties");
  check(H5Pset_obj_track_times(properties, false), "no times");
  return properties;
}

Handle create_dataset(hid_t file, const std::string& path, hid_t type, hid_t space,
                      hid_t properties) {
  create_parents(file, path);
  return {H5Dcreate2(file, path.c_str(), type, space, H5P_DEFAULT, properties, dataset_access()),
          H5Dclose, "cannot create a dataset"};
}

Handle open_dataset(hid_t file, const std::string& path) {
  return {H5Dopen2(file, path.c_str(), dataset_access()), H5Dclose, "a dataset is missing"};
}

hid_t file_type(const Values& prototype) {
  const std::array types{H5T_IEEE_F64LE, H5T_STD_U64LE, H5T_STD_U32LE, H5T_STD_U8LE,
                         H5T_STD_I64LE};  // in the order of Values
  return types[prototype.index()];
}

hid_t memory_type(const Values& prototype) {
  const std::array types{H5T_NATIVE_DOUBLE, H5T_NATIVE_UINT64, H5T_NATIVE_UINT32, H5T_NATIVE_UINT8,
                         H5T_NATIVE_INT64};
  return types[prototype.index()];
}

Values prototype_of(hid_t type) {
  for (const Values& candidate :
       {Values(std::vector<double>{}), Values(std::vector<std::uint64_t>{}),
        Values(std::vector<std::uint32_t>{}), Values(std::vector<std::uint8_t>{}),
        Values(std::vector<std::int64_t>{})})
    if (check(H5Tequal(type, file_type(candidate)), "a type") > 0) return candidate;
  throw Failure("a dataset of another element type", 0);
}

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "a type");
  check(H5Tset_size(type, H5T_VARIABLE), "a type");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "a type");
  return type;
}

void write_text(hid_t object, const std::string& attribute, const std::string& value) {
  const Handle type = text_type();
  const char* raw = value.c_str();
  check(H5Awrite(create_attribute(object, attribute, type, dataspace({})), type, &raw),
        "cannot write an attribute");
}

std::string read_text(hid_t object, const std::string& attribute) {
  const std::vector<std::string> values = read_attribute(object, attribute);
  if (values.size() != 1) throw Failure("attribute " + attribute + " is not one text", 0);
  return values.front();
}

void write_texts(hid_t object, const std::string& attribute,
                 const std::vector<std::string>& values) {
  if (values.empty()) return;
  const Handle type = text_type();
  const std::array dims{hsize_t{values.size()}};
  check(H5Awrite(create_attribute(object, attribute, type, dataspace(dims)), type,
                 pointers(values).data()),
        "cannot write an attribute");
}

std::vector<std::string> read_texts(hid_t object, const std::string& attribute) {
  if (check(H5Aexists(object, attribute.c_str()), "cannot look up an attribute") == 0) return {};
  return read_attribute(object, attribute);
}

void write_bytes(hid_t object, const std::string& attribute, std::span<const std::uint8_t> values) {
  const std::array dims{hsize_t{values.size()}};
  const Handle created = create_attribute(object, attribute, H5T_STD_U8LE, dataspace(dims));
  check(H5Awrite(created, H5T_NATIVE_UINT8, values.data()), "cannot write an attribute");
}

void write_number(hid_t object, const std::string& attribute, std::int64_t value) {
  check(H5Awrite(create_attribute(object, attribute, H5T_STD_I64LE, dataspace({})),
                 H5T_NATIVE_INT64, &value),
        "cannot write an attribute");
}

std::int64_t read_number(hid_t object, const std::string& attribute) {
  const Handle opened = open_attribute(object, attribute);
  const Handle space(H5Aget_space(opened), H5Sclose, "a dataspace");
  if (points(space) != 1) throw Failure("attribute " + attribute + " is not one number", 0);
  std::int64_t value = 0;
  check(H5Aread(opened, H5T_NATIVE_INT64, &value), "cannot read an attribute");
  return value;
}

Handle write_text_dataset(hid_t file, const std::string& path,
                          const std::vector<std::string>& values) {
  const std::array dims{hsize_t{values.size()}};
  return write_text_dataset(file, path, dataspace(dims), pointers(values));
}

Handle write_text_scalar(hid_t file, const std::string& path, const std::string& value) {
  return write_text_dataset(file, path, dataspace({}), {value.c_str()});
}

std::vector<std::string> read_text_dataset(hid_t file, const std::string& path) {
  const Handle dataset = open_dataset(file, path);
  const Handle stored(H5Dget_type(dataset), H5Tclose, "a type");
  check_text(stored);
  const Handle space(H5Dget_space(dataset), H5Sclose, "a dataspace");
  expect_held(dataset, points(space), sizeof(char*));
  std::vector<char*> raw(points(space));
  if (raw.empty()) return {};
  const Handle type = text_type();
  check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()), "cannot read text");
  return take(raw, type, space);
}

std::vector<std::string> read_selected_texts(hid_t dataset, hid_t in_memory, hid_t in_file) {
  std::vector<char*> raw(points(in_memory));
  const Handle type = text_type();
  check(H5Dread(dataset, type, in_memory, in_file, H5P_DEFAULT, raw.data()), "cannot read text");
  return take(raw, type, in_memory);
}

void describe(hid_t dataset, const std::string& units, const std::string& long_name) {
  write_text(dataset, "units", units);
  write_text(dataset, "long_name", long_name);
}

}  // namespace lamp::record::hdf5
