#include "core/model/files/text.hpp"

#include <cstdint>
#include <span>

#include "core/base/input_file.hpp"

namespace lamp {
namespace {

/// Length of the well-formed UTF-8 sequence at the front of `text`, 0 where there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const std::uint8_t lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return continues(1) ? 2 : 0;
  if (lead < 0xF0) {
    const bool overlong = lead == 0xE0 && second < 0xA0, surrogate = lead == 0xED && second >= 0xA0;
    return continues(1) && !overlong && !surrogate && continues(2) ? 3 : 0;
  }
  const bool overlong =
      lead == 0xF0 && second<0x90, beyond = lead> 0xF4 || (lead == 0xF4 && second >= 0x90);
  return continues(1) && !overlong && !beyond && continues(2) && continues(3) ? 4 : 0;
}

}  // namespace

std::size_t shown_length(std::string_view text) {
  const std::size_t length = sequence_length(text);
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const bool control = length == 1 ? byte(0) < 0x20 || byte(0) == 0x7F
                                   : length == 2 && byte(0) == 0xC2 && byte(1) < 0xA0;
  return control ? 0 : length;
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text.substr(at, 4));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 96;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    if (text.size() > longest && at >= longest / 2 && at < text.size() - longest / 2) {
      out += "...";
      at = text.size() - longest / 2;
    }
    const std::size_t length = shown_length(text.substr(at, 4));
    const auto byte = static_cast<std::uint8_t>(text[at]);
    if (length == 0) {
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
      at += 1;
    } else {
      if (byte == '"' || byte == '\\') out += '\\';
      out += text.substr(at, length);
      at += length;
    }
  }
  return out += '"';
}

Result<std::string> read_text_file(const std::filesystem::path& file, std::uint64_t max_bytes) {
  const Result<InputFile> input = InputFile::open(file);
  if (!input) return input.error();
  const auto bad = [&](const std::string& what) {
    return Error{ExitCode::bad_data, file.string() + ": " + what};
  };
  if (input->size() > max_bytes) {
    return bad("has " + std::to_string(input->size()) + " bytes; at most " +
               std::to_string(max_bytes) + " are read");
  }
  std::string text(static_cast<std::size_t>(input->size()), '\0');
  if (const Result<void> done = input->read_at(0, std::as_writable_bytes(std::span(text))); !done)
    return done.error();
  if (text.starts_with("\xEF\xBB\xBF"))
    return bad("begins with a byte order mark at byte 0; save it as UTF-8 without one");
  if (const auto at = first_invalid_utf8(text))
    return bad("is not UTF-8 at byte offset " + std::to_string(*at));
  return text;
}

}  // namespace lamp
