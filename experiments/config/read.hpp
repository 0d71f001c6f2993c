// From a file and --set to one tree of values: everything that can be wrong before a key has a
// meaning.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

/// The bytes of a config file: a regular file of at most 1 MiB (nothing else is opened for long: a
/// FIFO does not block).
Result<std::string> read_config_file(const std::filesystem::path& file);

/// A TOML text as a tree; keys with dots, quoted or not, become nested tables. Errors begin
/// "NAME:LINE:COL: ". Valid UTF-8, no byte order mark, at most 16 levels of brackets and 16 parts
/// of a key are checked before the parser sees the text.
Result<Value::Table> parse_toml(std::string_view text, const std::string& name);

/// KEY=VALUE of --set: the dotted path of the key, and the value, read as TOML or else taken as a
/// string.
struct Override {
  std::string path;
  Value value;
};
Result<Override> parse_override(const std::string& text);

/// Puts a value at a path, making tables on the way and replacing what was there; a key that was
/// there keeps its place.
void put(Value::Table& root, std::string_view path, Value value);
/// Removes what is at a path if it came from the file.
void remove_from_file(Value::Table& root, std::string_view path);

}  // namespace lamp::experiments
