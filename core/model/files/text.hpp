// Text that comes from outside: where it stops being UTF-8, and how a piece of it is shown in a
// one-line message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace lamp {

/// Byte offset of the first byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7: no
/// overlong forms, no surrogates, nothing above U+10FFFF), or nothing.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// Bytes of the character at the front of `text`; 0 where a line must not show it: a control
/// character (C0, DEL, C1), or no well-formed UTF-8.
std::size_t shown_length(std::string_view text);

/// `text` in double quotes on one line: control characters and invalid bytes as \xNN, the middle of
/// a long one left out.
std::string in_quotes(std::string_view text);

/// The whole of a UTF-8 text file of at most `max_bytes` bytes, checked before anything is
/// allocated. A byte order mark, or a byte that is not UTF-8, is bad_data.
Result<std::string> read_text_file(const std::filesystem::path& file, std::uint64_t max_bytes);

}  // namespace lamp
