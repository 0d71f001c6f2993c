// What a server says of a file before its bytes come: the headers of its answers, read without
// trust in any of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lamp::experiments {

/// The last answer, after all redirects; sizes in bytes.
struct HttpAnswer {
  int status = 0;                       // 0: none came
  std::uint64_t offset = 0;             // of the body's first byte within the file
  std::optional<std::uint64_t> size{};  // of the whole file
  bool has_end = false;  // that the body is cut can be told: a length, chunks, or HTTP/2 and later
  std::string validator{};  // for If-Range: a strong ETag, or the date; empty: none
  std::string sha256{};  // of the file, 64 lower-case digits, as the server asked says it; or empty
  std::string type{};    // of the content, lower case
  std::string encoding{};  // lower case; empty: the bytes are the file's
};

/// Whether a text can be (part of) a header: printable ASCII, not long.
bool is_header_value(std::string_view text);

/// Reads header lines as they come, those of redirects first.
class HeaderReader {
 public:
  /// One line, with or without its end.
  void line(std::string_view text);
  [[nodiscard]] HttpAnswer answer() const;

 private:
  void begin(std::string_view status_line);
  void field(const std::string& name, std::string_view value);

  HttpAnswer last_;
  std::string tag_, date_;               // of the last answer
  std::string linked_sha256_;            // of the first answer that has one
  std::optional<std::uint64_t> linked_;  // its size
  int answers_ = 0;
};

}  // namespace lamp::experiments
