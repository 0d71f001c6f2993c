#include "experiments/fetch/http_answer.hpp"

#include <algorithm>

#include "core/base/whole_number.hpp"

namespace lamp::experiments {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

/// The digest in an entity tag of 64 hexadecimal digits, or nothing.
std::string sha256_in(std::string_view tag) {
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"')
    tag = tag.substr(1, tag.size() - 2);
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  return tag.size() == 64 && std::all_of(tag.begin(), tag.end(), is_digit) ? lower_case(tag) : "";
}

}  // namespace

bool is_header_value(std::string_view text) {
  constexpr std::size_t longest = 1000;
  return text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void HeaderReader::line(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with("HTTP/")) return begin(text);
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos)
    field(lower_case(trimmed(text.substr(0, colon))), trimmed(text.substr(colon + 1)));
}

void HeaderReader::begin(std::string_view status_line) {
  last_ = {};
  tag_.clear(), date_.clear();
  const std::size_t blank = std::min(status_line.find(' '), status_line.size());
  const std::string_view rest = trimmed(status_line.substr(blank));
  last_.status = whole_number<int>(rest.substr(0, rest.find(' '))).value_or(0);
  last_.has_end = !status_line.starts_with("HTTP/1");  // a stream that is reset says so
  if (last_.status >= 200) ++answers_;
}

void HeaderReader::field(const std::string& name, std::string_view value) {
  if (name == "content-length") {
    last_.has_end = true;
    if (last_.status != 206) last_.size = whole_number<std::uint64_t>(value);
  } else if (name == "content-range") {  // bytes 10-99/100
    const std::size_t unit = value.find(' '), dash = value.find('-'), slash = value.find('/');
    if (slash == std::string_view::npos) return;
    last_.size = whole_number<std::uint64_t>(value.substr(slash + 1));
    if (last_.status == 206 && unit < dash && dash < slash)
      last_.offset =
          whole_number<std::uint64_t>(value.substr(unit + 1, dash - unit - 1)).value_or(0);
  } else if (name == "transfer-encoding") {
    last_.has_end = last_.has_end || lower_case(value).ends_with("chunked");
  } else if (name == "etag") {
    tag_ = value;
  } else if (name == "last-modified") {
    date_ = value;
  } else if (name == "content-type") {
    last_.type = lower_case(value);
  } else if (name == "content-encoding") {
    last_.encoding = lower_case(value) == "identity" ? "" : lower_case(value);
  } else if (name == "x-linked-etag") {  // Hugging Face: of the file that a redirect leads to
    if (linked_sha256_.empty()) linked_sha256_ = sha256_in(value);
  } else if (name == "x-linked-size") {
    if (!linked_) linked_ = whole_number<std::uint64_t>(value);
  }
}

HttpAnswer HeaderReader::answer() const {
  HttpAnswer answer = last_;
  answer.validator = tag_.starts_with('"') ? tag_ : date_;
  if (!is_header_value(answer.validator)) answer.validator.clear();
  // Where a redirect led, a tag of as many digits may be the hash of something else.
  answer.sha256 = !linked_sha256_.empty() ? linked_sha256_ : (answers_ == 1 ? sha256_in(tag_) : "");
  if (!answer.size) answer.size = linked_;
  return answer;
}

}  // namespace lamp::experiments
