#include "tests/fuzz/harness.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "core/model/files/text.hpp"

namespace lamp::fuzz {
namespace {

class Folder {
 public:
  Folder() { std::filesystem::create_directory(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("lamp-fuzz-" + std::to_string(::getpid()));
};

}  // namespace

std::vector<Harness>& harnesses() {
  static std::vector<Harness> list;
  return list;
}

void law(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "\nfuzz: does not hold: %s\n", what);
  std::abort();
}

void law_of_message(std::string_view message) {
  constexpr std::size_t most = 4000;
  law(!message.empty() && message.size() <= most, "an error says something, and not all it has");
}

void law_of_line(std::string_view message) {
  law_of_message(message);
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t length = shown_length(message.substr(at, 4));
    law(length > 0, "a message is one line of text without control characters");
    at += length;
  }
}

namespace {

struct Death {
  const char *words, *name;
  std::size_t count = 0;
};
std::array<Death, 3> deaths{{{"HDF5 crashes on it", "child_killed_by_a_signal"},
                             {"HDF5 cannot read it", "child_without_an_answer"},
                             {"of processor time", "child_out_of_time"}}};

}  // namespace

void count_death(const Error& error) {
  law_of_message(error.message);
  for (Death& death : deaths)
    if (error.message.find(death.words) != std::string::npos) ++death.count;
}

std::string counts() {
  std::string text;
  for (const Death& death : deaths)
    if (death.count > 0)
      text += std::string("stat::") + death.name + ": " + std::to_string(death.count) + "\n";
  return text;
}

std::filesystem::path scratch() {
  static const Folder folder;
  return folder.path;
}

std::filesystem::path file_with(std::string_view bytes, const std::string& name) {
  std::filesystem::path path = scratch() / name;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) {
    std::fprintf(stderr, "fuzz: cannot write %s\n", path.c_str());
    std::_Exit(74);
  }
  return path;
}

std::vector<std::string_view> parts_of(std::string_view bytes) {
  constexpr std::string_view mark = "====\n";
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t at = bytes.find(mark); at != std::string_view::npos;
       at = bytes.find(mark, at + 1)) {
    if (at != 0 && bytes[at - 1] != '\n') continue;
    parts.push_back(bytes.substr(begin, at - begin));
    begin = at + mark.size();
  }
  parts.push_back(bytes.substr(std::min(begin, bytes.size())));
  return parts;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace lamp::fuzz
