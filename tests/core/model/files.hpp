// Files for tests: a folder that goes away, small safetensors files built byte by byte, and what an
// error should say.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace lamp::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lamp-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder: " + name);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Writes (or replaces) a file of the folder. Removed first: ext4 writes a truncated file to the
  /// disk when it is closed.
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::filesystem::remove(path_ / name);
    std::ofstream out(path_ / name, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) throw std::runtime_error("cannot write " + name);
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return text.str();
}

inline std::filesystem::path source(std::string_view below) {
  return std::filesystem::path(LAMP_SOURCE_DIR) / below;
}

/// 8 bytes of length, the header, the data.
inline std::string safetensors_file(std::uint64_t length, std::string_view header,
                                    std::string_view data) {
  std::string bytes;
  for (int k = 0; k < 8; ++k) bytes += static_cast<char>(length >> (8 * k) & 0xFF);
  return bytes.append(header).append(data);
}
inline std::string safetensors_file(std::string_view header, std::string_view data = {}) {
  return safetensors_file(header.size(), header, data);
}

struct TestTensor {
  std::string name, dtype, shape;  // shape as JSON, without brackets: "2, 3"
  std::string bytes;
};

inline std::string safetensors_file(const std::vector<TestTensor>& tensors) {
  std::string header = "{", data;
  for (const TestTensor& t : tensors) {
    const std::string offsets =
        std::to_string(data.size()) + "," + std::to_string(data.size() + t.bytes.size());
    header += (header.size() > 1 ? "," : "") + ("\"" + t.name) + "\":{\"dtype\":\"" + t.dtype +
              "\",\"shape\":[" + t.shape + "],\"data_offsets\":[" + offsets + "]}";
    data += t.bytes;
  }
  return safetensors_file(header + "}", data);
}

/// True when `error` has this exit code, is one line, and says every one of `words`; on false,
/// prints what it was.
inline bool says(const Error& error, ExitCode code, std::initializer_list<std::string_view> words) {
  bool good = error.code == code && error.message.find('\n') == std::string::npos &&
              error.message.size() < 2000;
  for (const std::string_view word : words)
    good = good && error.message.find(word) != std::string::npos;
  if (!good) UNSCOPED_INFO("exit code " << static_cast<int>(error.code) << ": " << error.message);
  return good;
}

}  // namespace lamp::test
