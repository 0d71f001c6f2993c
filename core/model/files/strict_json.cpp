#include "core/model/files/strict_json.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::size_t deepest = 32;

/// Builds the document from the parser's events; returning false stops the parser.
class Builder : public nlohmann::json_sax<json> {
 public:
  bool null() override { return put(json()); }
  bool boolean(bool value) override { return put(json(value)); }
  bool number_integer(number_integer_t value) override { return put(json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return put(json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return put(json(value)); }
  bool string(string_t& value) override { return put(json(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool start_object(std::size_t) override { return open(json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    if (open_.back()->contains(value))
      return fail(in_quotes(value) + " is given twice as a key; legal: once");
    key_ = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& error) override {
    position_ = position;
    return fail(json_complaint(error));
  }

  json document;
  std::string complaint;
  std::optional<std::size_t> position_{};  // bytes read, where the parser tells

 private:
  json* place(json&& value) {
    if (open_.empty()) return &(document = std::move(value));
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::move(value));
    return &((*open_.back())[key_] = std::move(value));
  }
  bool put(json&& value) { return place(std::move(value)), true; }
  bool open(json&& value) {
    if (open_.size() == deepest)
      return fail("nesting deeper than " + std::to_string(deepest) + " levels");
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() { return open_.pop_back(), true; }
  bool fail(std::string what) { return complaint = std::move(what), false; }

  std::vector<json*> open_;  // arrays and objects not yet closed; only the innermost grows, so the
                             // pointers stay valid
  std::string key_;
};

}  // namespace

Result<json> parse_strict_json(std::string_view text, std::string_view name) {
  Builder builder;
  if (json::sax_parse(text, &builder)) return std::move(builder.document);
  std::string where(name);
  if (builder.position_) {
    const std::string_view before =
        text.substr(0, *builder.position_ == 0 ? 0 : *builder.position_ - 1);
    const std::size_t line =
        1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
    const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    where.append(":").append(std::to_string(line)).append(":").append(std::to_string(column));
  }
  return Error{ExitCode::bad_data, where + ": " + builder.complaint};
}

std::string shown(const json& value) {
  return value.is_string()       ? in_quotes(value.get_ref<const std::string&>())
         : value.is_structured() ? std::string(value.is_array() ? "an array" : "an object")
                                 : json_text(value);
}

std::string json_complaint(const std::exception& error) {
  std::string what = error.what();
  if (const std::size_t column = what.find(", column "); column != std::string::npos) {
    if (const std::size_t colon = what.find(": ", column); colon != std::string::npos)
      what.erase(0, colon + 2);
  } else if (const std::size_t bracket = what.find("] "); bracket != std::string::npos) {
    what.erase(0, bracket + 2);
  }
  constexpr std::size_t longest = 200;
  if (what.size() > longest) {
    what.resize(longest - 3);
    what += "...";
  }
  return std::string("not JSON: ").append(what);
}

std::string json_without_controls(std::string_view json) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = [&](std::size_t i) {
    return i < json.size() ? static_cast<unsigned char>(json[i]) : 0U;
  };
  std::string text;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const bool c1 = byte(at) == 0xC2 && byte(at + 1) >= 0x80 && byte(at + 1) < 0xA0;
    if (!c1 && byte(at) != 0x7F) {
      text += json[at];
      continue;
    }
    at += c1 ? 1 : 0;
    text.append("\\u00").append({digits[byte(at) >> 4], digits[byte(at) & 15]});
  }
  return text;
}

}  // namespace lamp
