#include "core/model/files/gguf.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <type_traits>
#include <utility>

#include "core/base/contract.hpp"
#include "core/base/system_error.hpp"
#include "core/base/input_file.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
constexpr std::uint64_t longest_string = 1U << 24, longest_list = 1U << 24;
constexpr std::uint64_t default_alignment = 32, largest_alignment = 1U << 16;
constexpr std::uint32_t most_extents = 4;

/// Types of metadata, by their codes; bytes of one value (of a string or list: at least).
enum class Kind : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  list,
  u64,
  i64,
  f64
};
constexpr std::array<std::uint64_t, 13> kind_bytes{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

/// Takes values from the front of the file. After the first error everything is zero or empty.
class HeaderReader {
 public:
  explicit HeaderReader(const InputFile& file) : file_(file) {}

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return file_.size() - at_; }

  void complain(const std::string& what) {
    if (!error_) error_ = Error{ExitCode::bad_data, file_.path().string() + ": " + what};
  }
  [[nodiscard]] std::string here() const { return "byte offset " + std::to_string(at_) + ": "; }

  template <class T>
  T take() {
    T value{};
    take_bytes(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }

  std::string string() {
    const auto length = take<std::uint64_t>();
    if (length > std::min(left(), longest_string)) {
      complain(here() + "a string of " + std::to_string(length) + " bytes; legal: at most " +
               std::to_string(std::min(left(), longest_string)));
      return {};
    }
    std::string text(static_cast<std::size_t>(length), '\0');
    take_bytes(std::as_writable_bytes(std::span(text)));
    if (const auto wrong = first_invalid_utf8(text))
      complain("byte offset " + std::to_string(at_ - length + *wrong) + ": a string is not UTF-8");
    return text;
  }

  Kind kind() {
    const auto code = take<std::uint32_t>();
    if (code < kind_bytes.size()) return Kind{code};
    complain(here() + "a value of type " + std::to_string(code) + "; legal: 0 to " +
             std::to_string(kind_bytes.size() - 1));
    return Kind::u8;
  }

  GgufValue value() {
    const Kind of = kind();
    if (of == Kind::string) return string();
    if (of == Kind::list) return list();
    GgufValue found;
    number(of, [&](auto x) { found = x; });
    return found;
  }

 private:
  void take_bytes(std::span<std::byte> out) {
    if (error_) return;
    if (out.size() > left())
      return complain("ends at byte " + std::to_string(file_.size()) +
                      ", within its header; legal: a whole file");
    while (!out.empty()) {
      const std::uint64_t in_buffer = at_ - buffer_begins_;
      if (in_buffer >= buffer_.size()) {
        if (!fill()) return;
        continue;
      }
      const std::size_t count =
          std::min(out.size(), buffer_.size() - static_cast<std::size_t>(in_buffer));
      std::memcpy(out.data(), &buffer_[static_cast<std::size_t>(in_buffer)], count);
      out = out.subspan(count);
      at_ += count;
    }
  }

  bool fill() {
    buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, left())));
    buffer_begins_ = at_;
    const Result<void> done = file_.read_at(at_, buffer_);
    if (!done) error_ = done.error();
    return done.ok();
  }

  /// use(x) of a number, widened.
  template <class Use>
  void number(Kind of, const Use& use) {
    switch (of) {
      case Kind::u8:
        return use(std::uint64_t{take<std::uint8_t>()});
      case Kind::i8:
        return use(std::int64_t{take<std::int8_t>()});
      case Kind::u16:
        return use(std::uint64_t{take<std::uint16_t>()});
      case Kind::i16:
        return use(std::int64_t{take<std::int16_t>()});
      case Kind::u32:
        return use(std::uint64_t{take<std::uint32_t>()});
      case Kind::i32:
        return use(std::int64_t{take<std::int32_t>()});
      case Kind::u64:
        return use(take<std::uint64_t>());
      case Kind::i64:
        return use(take<std::int64_t>());
      case Kind::f32:
        return use(static_cast<double>(take<float>()));
      case Kind::f64:
        return use(take<double>());
      case Kind::boolean:
        return use(take<std::uint8_t>() != 0);
      case Kind::string:
      case Kind::list:
        break;
    }
    contract_violated("GGUF: the type of a number");
  }

  GgufValue list() {
    const Kind of = kind();
    const auto count = take<std::uint64_t>();
    if (of == Kind::list) complain(here() + "a list of lists; legal: lists of numbers or strings");
    const std::uint64_t most =
        std::min(longest_list, left() / kind_bytes[static_cast<std::size_t>(of)]);
    if (count > most)
      complain(here() + "a list of " + std::to_string(count) + " elements; legal: at most " +
               std::to_string(most));
    if (error_) return {};
    if (of == Kind::string) {
      std::vector<std::string> strings;
      for (std::uint64_t i = 0; i < count && !error_; ++i) strings.push_back(string());
      return strings;
    }
    if (of == Kind::f32 || of == Kind::f64) {
      std::vector<double> numbers;
      for (std::uint64_t i = 0; i < count && !error_; ++i)
        number(of, [&](auto x) { numbers.push_back(static_cast<double>(x)); });
      return numbers;
    }
    std::vector<std::int64_t> numbers;
    for (std::uint64_t i = 0; i < count && !error_; ++i)
      number(of, [&](auto x) { numbers.push_back(static_cast<std::int64_t>(x)); });
    return numbers;
  }

  const InputFile& file_;
  std::uint64_t at_ = 0, buffer_begins_ = 0;
  std::vector<std::byte> buffer_;
  std::optional<Error> error_;
};

/// As many tensors or entries as the file has room for, `bytes` being the least that one takes.
std::uint64_t take_count(HeaderReader& reader, const char* of, std::uint64_t bytes) {
  const auto count = reader.take<std::uint64_t>();
  const std::uint64_t most = reader.left() / bytes;
  if (count > most)
    reader.complain(reader.here() + std::to_string(count) + " " + of + "; legal: at most " +
                    std::to_string(most) + ", what the file has room for");
  return count;
}

std::string name_of(std::string_view tensor) { return "tensor " + in_quotes(tensor); }

/// The description of one tensor; `begin` is its offset in the data.
GgufTensor take_tensor(HeaderReader& reader, const std::string& name, std::uint64_t file_size) {
  GgufTensor tensor;
  const auto extents = reader.take<std::uint32_t>();
  if (extents < 1 || extents > most_extents) {
    reader.complain(name_of(name) + " has " + std::to_string(extents) + " extents; legal: 1 to " +
                    std::to_string(most_extents));
    return tensor;
  }
  for (std::uint32_t k = 0; k < extents; ++k) {
    const auto extent = reader.take<std::uint64_t>();
    // No type has more than two elements a byte.
    const std::uint64_t most = 2 * file_size / std::max<std::size_t>(tensor.size(), 1);
    if (extent < 1 || extent > most) {
      reader.complain(name_of(name) + " has an extent of " + std::to_string(extent) +
                      "; legal: 1 to " + std::to_string(most) + ", what the file has room for");
      return tensor;
    }
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::size_t>(extent));
  }
  const auto code = reader.take<std::uint32_t>();
  tensor.type = find_block_type(code);
  tensor.begin = reader.take<std::uint64_t>();
  if (reader.error()) return tensor;
  if (tensor.type == nullptr) {
    std::string legal;
    for (const BlockType& type : block_types()) (legal += legal.empty() ? "" : ", ") += type.name;
    reader.complain(name_of(name) + " has type " + block_type_name(code) + "; legal: " + legal);
  } else if (tensor.shape.back() % tensor.type->elements != 0) {
    reader.complain(name_of(name) + " has rows of " + std::to_string(tensor.shape.back()) +
                    "; legal in " + std::string(tensor.type->name) + ": multiples of " +
                    std::to_string(tensor.type->elements));
  }
  return tensor;
}

std::uint64_t alignment_of(const std::map<std::string, GgufValue, std::less<>>& metadata,
                           HeaderReader& reader) {
  const auto given = metadata.find("general.alignment");
  if (given == metadata.end()) return default_alignment;
  const auto* number = std::get_if<std::uint64_t>(&given->second);
  const std::uint64_t alignment = number != nullptr ? *number : 0;
  if (alignment < 8 || alignment > largest_alignment || (alignment & (alignment - 1)) != 0)
    reader.complain("general.alignment is no power of 2 from 8 to " +
                    std::to_string(largest_alignment));
  return alignment;
}

/// Moves the tensors' offsets from the data, which begin at byte `begin` and have `room` bytes, to
/// the file; they must fit there, beside each other.
Result<void> place_tensors(std::map<std::string, GgufTensor, std::less<>>& tensors,
                           std::uint64_t begin, std::uint64_t room, std::uint64_t alignment,
                           const std::filesystem::path& file) {
  const auto bad = [&](const std::string& what) {
    return Error{ExitCode::bad_data, file.string() + ": " + what};
  };
  std::vector<std::pair<const std::string, GgufTensor>*> in_order;
  for (auto& entry : tensors) {
    auto& [name, tensor] = entry;
    if (tensor.begin % alignment != 0 || tensor.begin > room ||
        tensor.bytes() > room - tensor.begin)
      return bad(name_of(name) + " of " + std::to_string(tensor.bytes()) + " bytes at " +
                 std::to_string(tensor.begin) + " of the data; legal: multiples of " +
                 std::to_string(alignment) + ", within the " + std::to_string(room) +
                 " bytes that the file has");
    tensor.begin += begin;
    in_order.push_back(&entry);
  }
  std::sort(in_order.begin(), in_order.end(),
            [](const auto* a, const auto* b) { return a->second.begin < b->second.begin; });
  for (std::size_t i = 1; i < in_order.size(); ++i)
    if (in_order[i - 1]->second.begin + in_order[i - 1]->second.bytes() > in_order[i]->second.begin)
      return bad(name_of(in_order[i]->first) + " begins within " + name_of(in_order[i - 1]->first) +
                 "; legal: tensors beside each other");
  return {};
}

}  // namespace

struct Gguf::File {
  InputFile input;
};

std::size_t GgufTensor::size() const {
  std::size_t product = 1;
  for (const std::size_t extent : shape) product *= extent;
  return product;
}

Result<Gguf> Gguf::open(const std::filesystem::path& file) {
  Result<InputFile> input = InputFile::open(file);
  if (!input) return input.error();
  Gguf result;
  result.file_ = std::make_shared<const File>(File{*std::move(input)});
  const std::uint64_t size = result.file_->input.size();
  HeaderReader reader(result.file_->input);
  if (reader.take<std::array<char, 4>>() != std::array{'G', 'G', 'U', 'F'})
    reader.complain("does not begin with GGUF; legal: a GGUF file");
  if (const auto version = reader.take<std::uint32_t>(); version != 2 && version != 3)
    reader.complain("is of version " + std::to_string(version) +
                    (version >> 24 != 0 ? ", as a big-endian file shows it" : "") +
                    "; legal: 2, 3, little endian");
  const std::uint64_t tensors = take_count(reader, "tensors", 8 + 4 + 8 + 4 + 8),
                      entries = take_count(reader, "entries of metadata", 8 + 4 + 1);
  for (std::uint64_t i = 0; i < entries && !reader.error(); ++i) {
    std::string key = reader.string();
    GgufValue value = reader.value();
    const auto [place, fresh] = result.metadata_.emplace(std::move(key), std::move(value));
    if (!fresh) reader.complain("the key " + in_quotes(place->first) + " is given twice");
  }
  for (std::uint64_t i = 0; i < tensors && !reader.error(); ++i) {
    const std::string name = reader.string();
    if (!result.tensors_.emplace(name, take_tensor(reader, name, size)).second)
      reader.complain(name_of(name) + " is there twice");
  }
  const std::uint64_t alignment = alignment_of(result.metadata_, reader);
  if (reader.error()) return *reader.error();
  const std::uint64_t begin = (reader.at() + alignment - 1) / alignment * alignment;
  if (Result<void> done =
          place_tensors(result.tensors_, begin, begin <= size ? size - begin : 0, alignment, file);
      !done)
    return done.error();
  return result;
}

std::string Gguf::path() const { return file_->input.path().string(); }

Result<void> Gguf::read(const GgufTensor& tensor, std::size_t first, std::span<float> out) const {
  const BlockType& type = *tensor.type;
  expects(first % type.elements == 0 && out.size() % type.elements == 0 &&
              first + out.size() <= tensor.size(),
          "Gguf::read: whole blocks of the tensor");
  std::uint64_t offset = tensor.begin + first / type.elements * type.bytes;
  std::vector<std::byte> chunk;
  while (!out.empty()) {
    const std::size_t blocks = std::min(out.size() / type.elements, chunk_bytes / type.bytes);
    chunk.resize(blocks * type.bytes);
    if (Result<void> done = file_->input.read_at(offset, chunk); !done) return done;
    type.decode(chunk, out.first(blocks * type.elements));
    out = out.subspan(blocks * type.elements);
    offset += chunk.size();
  }
  return {};
}

Result<void> Gguf::hash(Sha256& hash) const {
  const InputFile& input = file_->input;
  std::vector<std::byte> chunk;
  for (std::uint64_t offset = 0; offset < input.size(); offset += chunk.size()) {
    chunk.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, input.size() - offset)));
    if (Result<void> done = input.read_at(offset, chunk); !done) return done;
    hash.update(std::span<const std::byte>(chunk));
  }
  return {};
}

Result<void> Gguf::unchanged() const { return file_->input.unchanged(); }

Result<std::optional<std::filesystem::path>> find_gguf(const std::filesystem::path& path) {
  std::error_code failure;
  const auto is_gguf = [](const std::filesystem::path& file) {
    return file.extension() == ".gguf";
  };
  if (!std::filesystem::is_directory(path, failure))
    return is_gguf(path) ? std::optional(path) : std::nullopt;
  for (const char* file : {"model.safetensors", "model.safetensors.index.json"})
    if (may_be_there(path / file)) return std::optional<std::filesystem::path>();
  Result<std::vector<std::filesystem::path>> found = entries_of(path);
  if (!found) return found.error();
  std::erase_if(*found, [&](const std::filesystem::path& file) { return !is_gguf(file); });
  if (found->size() > 1)
    return Error{ExitCode::bad_data, path.string() + ": holds " + std::to_string(found->size()) +
                                         " files .gguf; legal: one, or the path of one, such as " +
                                         found->front().string()};
  return found->empty() ? std::nullopt : std::optional(found->front());
}

}  // namespace lamp
