#include "core/model/files/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::size_t json_starts = 8;  // bytes before the JSON text

struct DataType {
  std::string_view name;
  std::uint64_t bits;
};
constexpr std::array<DataType, 20> data_types{
    {{"BOOL", 8},    {"U8", 8},      {"I8", 8},      {"I16", 16},    {"U16", 16},
     {"I32", 32},    {"U32", 32},    {"I64", 64},    {"U64", 64},    {"F4", 4},
     {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},
     {"F16", 16},    {"BF16", 16},   {"F32", 32},    {"F64", 64},    {"C64", 64}}};

std::string data_type_names() {
  std::string names;
  for (const DataType& type : data_types) ((names += names.empty() ? "" : ", ") += type.name);
  return names;
}

/// The header's grammar as a machine over the parser's events, so that nothing but the entries is
/// ever stored: { name: {"dtype": string, "shape": [integers], "data_offsets": [integer, integer]},
/// "__metadata__": {string: string} }.
class TensorTableReader : public nlohmann::json_sax<json> {
 public:
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override { return unexpected(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return unexpected(text); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape)
      return current_.shape.push_back(static_cast<std::size_t>(value)), true;
    if (place_ == Place::data_offsets && offsets_ < 2)
      return (offsets_++ == 0 ? current_.begin : current_.end) = value, true;
    return unexpected(std::to_string(value));
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) return true;
    if (place_ != Place::dtype) return unexpected("a string");
    current_.dtype = std::move(value);
    return place_ = Place::entry, true;
  }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::start:
        return place_ = Place::names, true;
      case Place::name:
        return place_ = name_ == metadata_name ? Place::metadata : Place::entry, true;
      case Place::names:
      case Place::metadata:
      case Place::entry:
      case Place::dtype:
      case Place::shape_value:
      case Place::shape:
      case Place::data_offsets_value:
      case Place::data_offsets:
      case Place::end:
        return unexpected("an object");
    }
    contract_violated("safetensors: a known place of the header");
  }

  bool end_object() override {
    if (place_ == Place::entry) {
      for (const std::string_view field : fields)
        if (!seen_.contains(field)) return fail(named() + " has no " + in_quotes(field));
      entries.emplace(std::move(name_), std::exchange(current_, {}));
    }
    place_ = place_ == Place::names ? Place::end : Place::names;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::shape_value) return place_ = Place::shape, true;
    if (place_ == Place::data_offsets_value)
      return offsets_ = 0, place_ = Place::data_offsets, true;
    return unexpected("an array");
  }

  bool end_array() override {
    if (place_ == Place::data_offsets && offsets_ != 2)
      return fail(named() + ": data_offsets has one number or none; legal: [begin, end]");
    return place_ = Place::entry, true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::names) {
      name_ = std::move(value);
      seen_.clear();
      if (entries.contains(name_) ||
          (name_ == metadata_name && std::exchange(metadata_seen_, true)))
        return fail(in_quotes(name_) + " is given twice as a key; legal: once");
      return place_ = Place::name, true;
    }
    if (!seen_.insert(value).second)
      return fail(named() + ": " + in_quotes(value) + " is given twice as a key; legal: once");
    if (place_ == Place::metadata) return true;
    if (value == fields[0]) return place_ = Place::dtype, true;
    if (value == fields[1]) return place_ = Place::shape_value, true;
    if (value == fields[2]) return place_ = Place::data_offsets_value, true;
    return fail(named() + " has the key " + in_quotes(value) +
                "; legal: dtype, shape, data_offsets");
  }

  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& error) override {
    const std::size_t offset = json_starts + (position == 0 ? 0 : position - 1);
    return fail("byte offset " + std::to_string(offset) + ": header is " + json_complaint(error));
  }

  TensorEntries entries;
  std::string complaint;

 private:
  enum class Place {
    start,
    names,
    name,
    metadata,
    entry,
    dtype,
    shape_value,
    shape,
    data_offsets_value,
    data_offsets,
    end
  };
  static constexpr std::string_view metadata_name = "__metadata__";
  static constexpr std::array<std::string_view, 3> fields{"dtype", "shape", "data_offsets"};

  [[nodiscard]] std::string named() const { return "tensor " + in_quotes(name_); }
  bool fail(std::string what) { return complaint = std::move(what), false; }
  bool unexpected(const std::string& found) {
    switch (place_) {
      case Place::metadata:
        return fail("__metadata__ holds " + found + "; legal: strings");
      case Place::name:
        return fail(named() + " is " + found + "; legal: an object");
      case Place::dtype:
        return fail(named() + ": dtype is " + found + "; legal: " + data_type_names());
      case Place::shape_value:
      case Place::shape:
        return fail(named() + ": shape has " + found +
                    "; legal: an array of integers from 0 to 2^64 - 1");
      case Place::data_offsets_value:
      case Place::data_offsets:
        return fail(named() + ": data_offsets has " + found +
                    "; legal: [begin, end], integers from 0 to 2^64 - 1");
      case Place::start:
      case Place::names:
      case Place::entry:
      case Place::end:
        return fail("header holds " + found + "; legal: an object");
    }
    contract_violated("safetensors: a known place of the header");
  }

  Place place_ = Place::start;
  std::string name_;
  TensorEntry current_;
  std::set<std::string, std::less<>> seen_;  // keys of the object being read
  std::size_t offsets_ = 0;
  bool metadata_seen_ = false;
};

/// Bytes that shape and dtype ask for, or a complaint.
Result<std::uint64_t> size_in_bytes(const TensorEntry& entry) {
  const auto bad = [](const std::string& what) { return Error{ExitCode::bad_data, what}; };
  const auto* const type = std::find_if(data_types.begin(), data_types.end(),
                                        [&](const DataType& t) { return t.name == entry.dtype; });
  if (type == data_types.end())
    return bad("unknown dtype " + in_quotes(entry.dtype) + "; legal: " + data_type_names());
  std::uint64_t elements =
      std::find(entry.shape.begin(), entry.shape.end(), 0U) == entry.shape.end() ? 1 : 0;
  for (const std::uint64_t extent : entry.shape)
    if (__builtin_mul_overflow(elements, extent, &elements))
      return bad("product of its shape overflows 64 bits");
  std::uint64_t bits = 0;
  if (__builtin_mul_overflow(elements, type->bits, &bits))
    return bad("its size in bits overflows 64 bits");
  if (bits % 8 != 0)
    return bad("its " + std::to_string(bits) + " bits are not a whole number of bytes");
  return bits / 8;
}

/// An entry by itself: its range lies in the data and is as long as shape and dtype say.
Result<void> check_entry(const TensorEntry& entry, std::uint64_t data_bytes) {
  const auto bad = [&](const std::string& what) {
    const std::string range =
        "data_offsets [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "] ";
    return Error{ExitCode::bad_data, range + what};
  };
  if (entry.begin > entry.end) return bad("begin after they end; legal: begin <= end");
  if (entry.end > data_bytes)
    return bad("reach past the end of the file; legal: 0 to " + std::to_string(data_bytes));
  const Result<std::uint64_t> size = size_in_bytes(entry);
  if (!size) return size.error();
  if (*size == entry.end - entry.begin) return {};
  return bad("span " + std::to_string(entry.end - entry.begin) + " bytes, but shape and dtype " +
             entry.dtype + " need " + std::to_string(*size));
}

/// Two neighbours in order of place: the second begins at `covered`, where the first ended.
Result<void> check_neighbour(const std::string& name, std::uint64_t begin, std::uint64_t covered) {
  if (begin == covered) return {};
  const std::string place = "tensor " + in_quotes(name) + " begins at byte " +
                            std::to_string(begin) + " of the data, but ";
  if (begin < covered)
    return Error{ExitCode::bad_data, place + "the tensor before it ends at " +
                                         std::to_string(covered) + ": they overlap"};
  return Error{ExitCode::bad_data,
               place + "bytes from " + std::to_string(covered) + " on belong to no tensor: a hole"};
}

/// Every entry by itself, then all in order of place: each must begin where the one before it
/// ended, the last end with the file.
Result<void> check_ranges(const TensorEntries& entries, std::uint64_t data_bytes) {
  std::vector<TensorEntries::const_pointer> by_place;
  for (const auto& item : entries) {
    if (const Result<void> good = check_entry(item.second, data_bytes); !good)
      return Error{ExitCode::bad_data,
                   "tensor " + in_quotes(item.first) + ": " + good.error().message};
    by_place.push_back(&item);
  }
  std::sort(by_place.begin(), by_place.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t covered = 0;
  for (const auto* const item : by_place) {
    if (Result<void> good = check_neighbour(item->first, item->second.begin, covered); !good)
      return good;
    covered = item->second.end;
  }
  if (covered == data_bytes) return {};
  return Error{ExitCode::bad_data,
               std::to_string(data_bytes - covered) +
                   " trailing bytes after the last tensor, which ends at byte " +
                   std::to_string(covered) + " of the data; legal: none"};
}

}  // namespace

Result<TensorEntries> parse_safetensors_header(std::string_view header, std::uint64_t data_bytes,
                                               const std::string& file) {
  const auto bad = [&](const std::string& what) {
    return Error{ExitCode::bad_data, file + ": " + what};
  };
  if (!header.starts_with('{'))
    return bad("byte offset 8: header begins with " + in_quotes(header.substr(0, 1)) +
               "; legal: \"{\"");
  if (const auto at = first_invalid_utf8(header)) {
    return bad("byte offset " + std::to_string(json_starts + *at) + ": header is not UTF-8");
  }
  TensorTableReader reader;
  if (!json::sax_parse(header, &reader)) return bad(reader.complaint);
  if (const Result<void> fits = check_ranges(reader.entries, data_bytes); !fits)
    return bad(fits.error().message);
  return std::move(reader.entries);
}

}  // namespace lamp
