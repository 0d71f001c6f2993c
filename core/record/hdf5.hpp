// RAII over the HDF5 1.10 C API. Internal to this folder: the only header that includes HDF5, and
// no public one includes it.
//
// Failures are thrown as hdf5::Failure and become a Result at the folder's public functions. A
// close that failed is never tried again: HDF5 1.10 then holds objects it can neither write nor
// forget, and after any failure the library is not shut down at exit, which would try, and may
// crash. So a process may end normally after an error; files written later are whole, but what
// failed stays in memory.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"

namespace lamp::record::hdf5 {

/// What went wrong, in HDF5's innermost words, or the system's when a system call failed.
class Failure : public std::runtime_error {
 public:
  Failure(const std::string& what, int error_number)
      : std::runtime_error(what), error_number_(error_number) {}
  /// The failed system call's errno, 0 if none.
  [[nodiscard]] int error_number() const { return error_number_; }

 private:
  int error_number_;
};

/// Throws Failure made from HDF5's error stack; std::bad_alloc where it was refused memory.
[[noreturn]] void fail(const std::string& what);

/// The result of an HDF5 call, or Failure if negative.
template <class T>
T check(T status, const char* what) {
  if (status < 0) fail(what);
  return status;
}

/// Debian's serial HDF5 is not thread-safe: every public function of this folder holds this while
/// it uses the library.
std::unique_lock<std::recursive_mutex> use_library();

/// An HDF5 identifier and the function that closes it.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close closer, const char* what) : id_(check(id, what)), close_(closer) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    return std::swap(id_, other.id_), std::swap(close_, other.close_), *this;
  }
  ~Handle() { release(); }
  operator hid_t() const { return id_; }  // NOLINT: made to be passed to HDF5
  /// Closes and checks: for files and datasets, whose last bytes are written here.
  void close();

 private:
  void release() noexcept;
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// Files. No locks (they fail on some network file systems; TemporaryFile and the run's lock
/// serve), strong close.
Handle create_file(const std::filesystem::path& path);
Handle open_file(const std::filesystem::path& path);
/// The bytes of a file, as if it were opened.
Handle open_image(std::span<const std::byte> bytes);
/// In memory only, with `user_block` bytes to be prepended by the caller.
Handle create_in_memory(hsize_t user_block);
std::vector<std::byte> image(hid_t file);

Handle open_group(hid_t file, const std::string& path);
/// Creates the groups above `path` that are not there yet.
void create_parents(hid_t file, const std::string& path);

Handle dataspace(std::span<const hsize_t> dims);
/// Extent of a dataset or attribute space.
std::vector<hsize_t> extent(hid_t space);
/// DEFLATE makes at most 1032 bytes of one.
inline constexpr std::uint64_t most_inflation = 1100;
/// a b, or 2^64 - 1 where that is less.
std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b);
/// Throws Failure where `elements` of `element_bytes` are more than the dataset's bytes in the file
/// can hold: most_inflation times these, and 64 MiB of fill values. Before memory is taken for what
/// a file says it has.
void expect_held(hid_t dataset, std::uint64_t elements, std::uint64_t element_bytes);
/// Creation properties without times.
Handle dataset_properties();
Handle create_dataset(hid_t file, const std::string& path, hid_t type, hid_t space,
                      hid_t properties);
Handle open_dataset(hid_t file, const std::string& path);

/// Little-endian file type and native memory type of an element: constants of the library, not to
/// be closed.
hid_t file_type(const Values& prototype);
hid_t memory_type(const Values& prototype);
/// The prototype whose file type is `type`; Failure for any other.
Values prototype_of(hid_t type);

/// Variable-length UTF-8.
Handle text_type();
void write_text(hid_t object, const std::string& attribute, const std::string& value);
std::string read_text(hid_t object, const std::string& attribute);
/// A one-dimensional attribute; not written when the list is empty, and read as empty when absent.
void write_texts(hid_t object, const std::string& attribute,
                 const std::vector<std::string>& values);
std::vector<std::string> read_texts(hid_t object, const std::string& attribute);
void write_bytes(hid_t object, const std::string& attribute, std::span<const std::uint8_t> values);
void write_number(hid_t object, const std::string& attribute, std::int64_t value);
std::int64_t read_number(hid_t object, const std::string& attribute);

/// Datasets of text: a list, or one scalar.
Handle write_text_dataset(hid_t file, const std::string& path,
                          const std::vector<std::string>& values);
Handle write_text_scalar(hid_t file, const std::string& path, const std::string& value);
std::vector<std::string> read_text_dataset(hid_t file, const std::string& path);
/// Those that `in_file` selects; `in_memory` is the dataspace of as many. Of a file of our own.
std::vector<std::string> read_selected_texts(hid_t dataset, hid_t in_memory, hid_t in_file);

/// units and long_name, which every dataset carries.
void describe(hid_t dataset, const std::string& units, const std::string& long_name);

}  // namespace lamp::record::hdf5
