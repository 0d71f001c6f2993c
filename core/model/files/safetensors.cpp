#include "core/model/files/safetensors.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "core/base/contract.hpp"
#include "core/base/system_error.hpp"
#include "core/model/files/half.hpp"
#include "core/base/input_file.hpp"
#include "core/model/files/safetensors_header.hpp"

namespace lamp {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors data is little endian and is used as it lies");

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t longest_header = 100'000'000;
constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
constexpr std::string_view lfs_pointer = "version https://git-lfs.github.com/spec/";

TensorType tensor_type(std::string_view dtype) {
  return dtype == "F32"    ? TensorType::f32
         : dtype == "F16"  ? TensorType::f16
         : dtype == "BF16" ? TensorType::bf16
         : dtype == "F64"  ? TensorType::f64
                           : TensorType::other;
}

std::size_t element_bytes(TensorType type) {
  expects(type != TensorType::other && type != TensorType::blocks,
          "conversion to binary32: dtype F64, F32, F16 or BF16");
  return type == TensorType::f64 ? 8 : type == TensorType::f32 ? 4 : 2;
}

/// `bytes` holds out.size() elements, at any alignment.
void convert(TensorType type, std::span<const std::byte> bytes, std::span<float> out) {
  expects(bytes.size() == out.size() * element_bytes(type),
          "conversion to binary32: as many elements as there are bytes for");
  if (type == TensorType::f32) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return;
  }
  if (type == TensorType::f64) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      double x = 0.0;
      std::memcpy(&x, &bytes[8 * i], sizeof x);
      out[i] = static_cast<float>(x);
    }
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t code = 0;
    std::memcpy(&code, &bytes[2 * i], sizeof code);
    out[i] = type == TensorType::f16 ? from_binary16(code) : from_bfloat16(code);
  }
}

/// Length of the JSON header: the file's first 8 bytes, checked against its size.
Result<std::uint64_t> header_length(const InputFile& input) {
  const auto bad = [&](const std::string& what) {
    return Error{ExitCode::bad_data, input.path().string() + ": " + what};
  };
  std::array<std::byte, lfs_pointer.size()> start{};
  const std::size_t count =
      std::min<std::size_t>(start.size(), static_cast<std::size_t>(input.size()));
  if (const Result<void> done = input.read_at(0, std::span(start).first(count)); !done)
    return done.error();
  if (std::memcmp(start.data(), lfs_pointer.data(), lfs_pointer.size()) == 0)
    return bad(
        "is a Git LFS pointer, not the tensors; run `git lfs pull` in its folder to fetch them");
  constexpr std::array<std::string_view, 2> pickles{{"PK\x03\x04", "\x80\x02"}};
  for (const std::string_view magic : pickles)
    if (count >= magic.size() && std::memcmp(start.data(), magic.data(), magic.size()) == 0)
      return bad(
          "begins as a pickle of PyTorch does, whose reading runs code: renamed, not converted; "
          "legal: safetensors, which safetensors.torch.save_file writes");
  if (count < length_bytes)
    return bad("has " + std::to_string(count) +
               " bytes; legal: 8 bytes of header length, the header, the tensors");
  std::uint64_t length = 0;
  std::memcpy(&length, start.data(), length_bytes);
  const std::uint64_t most = std::min(longest_header, input.size() - length_bytes);
  if (length < 2 || length > most) {
    return bad("byte offset 0: header length is " + std::to_string(length) + "; legal: 2 to " +
               std::to_string(most) + (most == longest_header ? "" : ", what the file has left"));
  }
  return length;
}

}  // namespace

struct Safetensors::Mapping {
  InputFile file;
  std::span<const std::byte> bytes{};
  explicit Mapping(InputFile opened) : file(std::move(opened)) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (!bytes.empty())
      ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());  // munmap takes void*
  }
};

std::size_t Tensor::size() const {
  std::size_t product = 1;
  for (const std::size_t extent : shape) product *= extent;
  return product;
}

Result<Safetensors> Safetensors::open(const std::filesystem::path& path) {
  Result<InputFile> input = InputFile::open(path);
  if (!input) return input.error();
  const Result<std::uint64_t> length = header_length(*input);
  if (!length) return length.error();
  std::string header(static_cast<std::size_t>(*length), '\0');
  if (const Result<void> done =
          input->read_at(length_bytes, std::as_writable_bytes(std::span(header)));
      !done)
    return done.error();
  const std::uint64_t data_begins = length_bytes + *length;
  Result<TensorEntries> entries =
      parse_safetensors_header(header, input->size() - data_begins, path.string());
  if (!entries) return entries.error();

  Safetensors result;
  result.mapping_ = std::make_shared<Mapping>(*std::move(input));
  Mapping& mapping = *result.mapping_;
  const auto size = static_cast<std::size_t>(mapping.file.size());
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, mapping.file.descriptor(), 0);
  if (address == MAP_FAILED) {  // NOLINT: the macro's cast
    return system_error(path, "cannot map", errno, Role::input);
  }
  mapping.bytes = {static_cast<const std::byte*>(address), size};
  for (auto& [name, entry] : *entries) {
    const auto bytes = mapping.bytes.subspan(static_cast<std::size_t>(data_begins + entry.begin),
                                             static_cast<std::size_t>(entry.end - entry.begin));
    result.tensors_.emplace(name, Tensor{tensor_type(entry.dtype), std::move(entry.dtype),
                                         std::move(entry.shape), bytes});
  }
  return result;
}

std::span<const std::byte> Safetensors::file_bytes() const { return mapping_->bytes; }

Result<void> Safetensors::read(const Tensor& tensor, std::span<float> out) const {
  expects(out.size() == tensor.size(), "Safetensors::read: out.size() == tensor.size()");
  const std::size_t width = element_bytes(tensor.type);
  auto offset = static_cast<std::uint64_t>(tensor.bytes.data() - mapping_->bytes.data());
  if (tensor.type == TensorType::f32)
    return mapping_->file.read_at(offset, std::as_writable_bytes(out));
  std::vector<std::byte> chunk(std::min(chunk_bytes, tensor.bytes.size()));
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), chunk_bytes / width);
    const std::span<std::byte> bytes = std::span(chunk).first(count * width);
    if (Result<void> done = mapping_->file.read_at(offset, bytes); !done) return done;
    convert(tensor.type, bytes, out.first(count));
    out = out.subspan(count);
    offset += bytes.size();
  }
  return {};
}

Result<void> Safetensors::hash(Sha256& hash) const {
  std::vector<std::byte> chunk(std::min(chunk_bytes, mapping_->bytes.size()));
  for (std::uint64_t offset = 0; offset < mapping_->file.size();) {
    const auto left = static_cast<std::size_t>(mapping_->file.size() - offset);
    const std::span<std::byte> bytes = std::span(chunk).first(std::min(left, chunk.size()));
    if (Result<void> done = mapping_->file.read_at(offset, bytes); !done) return done;
    hash.update(std::span<const std::byte>(bytes));
    offset += bytes.size();
  }
  return {};
}

Result<void> Safetensors::unchanged() const { return mapping_->file.unchanged(); }

std::vector<float> to_binary32(const Tensor& tensor) {
  std::vector<float> out(tensor.size());
  convert(tensor.type, tensor.bytes, out);
  return out;
}

}  // namespace lamp
