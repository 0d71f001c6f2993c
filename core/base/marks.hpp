// Marks of components, one byte each, 0 or 1: most are 0, and are passed over eight at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace lamp {

/// Whether any is 1.
inline bool any_marked(std::span<const std::uint8_t> marks) {
  return !marks.empty() && std::memchr(marks.data(), 1, marks.size()) != nullptr;
}

/// visit(j) of each j that is marked, ascending.
template <class Visit>
void for_each_marked(std::span<const std::uint8_t> marks, const Visit& visit) {
  constexpr std::size_t together = sizeof(std::uint64_t);
  std::size_t j = 0;
  for (; j + together <= marks.size(); j += together) {
    std::uint64_t some = 0;
    std::memcpy(&some, marks.data() + j, together);
    if (some == 0) continue;
    for (std::size_t k = j; k < j + together; ++k)
      if (marks[k] != 0) visit(k);
  }
  for (; j < marks.size(); ++j)
    if (marks[j] != 0) visit(j);
}

}  // namespace lamp
