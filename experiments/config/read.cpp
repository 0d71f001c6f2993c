#include "experiments/config/read.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/base/descriptor.hpp"
#include "core/base/system_error.hpp"
#include "experiments/config/config.hpp"

namespace lamp::experiments {
namespace {

/// Whether a key is a number: a layer, which may have a value (plan."layer.3") and keys within.
bool is_index(std::string_view key) {
  return !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
}

/// The entry of this key; of a layer the value or the table, as asked for.
Entry* find(Value::Table& table, const std::string& key, bool is_table) {
  for (Entry& entry : table)
    if (entry.key == key &&
        (!is_index(key) || (entry.value.get<Value::Table>() != nullptr) == is_table))
      return &entry;
  return nullptr;
}

constexpr std::size_t most_levels = 16;

Error place_error(const std::string& name, std::size_t line, std::size_t column,
                  const std::string& message) {
  return {ExitCode::bad_data,
          name + ':' + std::to_string(line) + ':' + std::to_string(column) + ": " + message};
}

/// Length of the UTF-8 sequence at the start of `text`, 0 where there is none (RFC 3629: no
/// surrogates, nothing overlong).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF)
    return tail(1) && tail(2) && !(first == 0xE0 && second < 0xA0) &&
                   !(first == 0xED && second >= 0xA0)
               ? 3
               : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return tail(1) && tail(2) && tail(3) && !(first == 0xF0 && second < 0x90) &&
                   !(first == 0xF4 && second >= 0x90)
               ? 4
               : 0;
  return 0;
}

/// Walks a text outside its strings and comments and counts what a recursive parser would nest.
class DepthCheck {
 public:
  DepthCheck(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Result<void> run() {
    while (at_ < text_.size()) {
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return fail("invalid UTF-8; save the file as UTF-8");
      const char c = text_[at_];
      if (c == '\0') return fail("a zero byte; a config is text");
      if (!quote_.empty())
        inside_string(c);
      else if (comment_)
        comment_ = c != '\n';
      else if (Result<void> outside = outside_string(c); !outside)
        return outside;
      step(length);
    }
    return {};
  }

 private:
  void inside_string(char c) {
    if (c == '\\' && quote_[0] == '"' && at_ + 1 < text_.size() &&
        static_cast<unsigned char>(text_[at_ + 1]) < 0x80 && text_[at_ + 1] != '\0') {
      step(1);
    } else if (text_.substr(at_).starts_with(quote_) || (c == '\n' && quote_.size() == 1)) {
      step(quote_.size() - 1);
      quote_.clear();
    }
  }

  Result<void> outside_string(char c) {
    if (c == '"' || c == '\'') {
      const std::string triple(3, c);
      quote_ = text_.substr(at_).starts_with(triple) ? triple : std::string(1, c);
      step(quote_.size() - 1);
    } else if (c == '#') {
      comment_ = true;
    } else if (c == '.') {
      if (++dots_ >= most_levels) return fail("a key of more than 16 parts");
    } else if (c == '=' || c == ',' || c == '\n') {
      dots_ = 0;
    } else if (c == '[' || c == '{') {
      dots_ = 0;
      if (++level_ > most_levels) return fail("brackets nested more than 16 deep");
    } else if (c == ']' || c == '}') {
      dots_ = 0;
      level_ -= level_ > 0 ? 1 : 0;
    }
    return {};
  }

  void step(std::size_t bytes) {
    for (; bytes > 0; --bytes, ++at_) {
      const bool newline = text_[at_] == '\n';
      line_ += newline ? 1 : 0;
      column_ = newline
                    ? 1
                    : column_ + ((static_cast<unsigned char>(text_[at_]) & 0xC0U) == 0x80U ? 0 : 1);
    }
  }

  [[nodiscard]] Error fail(const std::string& message) const {
    return place_error(name_, line_, column_, message);
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0, line_ = 1, column_ = 1, dots_ = 0, level_ = 0;
  std::string quote_;
  bool comment_ = false;
};

Where where_of(const toml::source_region& region) {
  return {.source = 0, .line = region.begin.line, .column = region.begin.column};
}

struct Conversion {
  const std::string& name;
  std::optional<Error> error{};

  Value value(const toml::node& node) {
    Value out;
    out.where = where_of(node.source());
    if (const auto* x = node.as_boolean()) {
      out.data = x->get();
    } else if (const auto* integer = node.as_integer()) {
      out.data = integer->get();
    } else if (const auto* number = node.as_floating_point()) {
      out.data = number->get();
    } else if (const auto* text = node.as_string()) {
      out.data = text->get();
    } else if (const toml::array* array = node.as_array()) {
      Value::List list;
      for (const toml::node& item : *array) list.push_back(value(item));
      out.data = std::move(list);
    } else if (const toml::table* inner = node.as_table()) {
      out.data = table(*inner);
    }
    return out;
  }

  Value::Table table(const toml::table& in) {
    std::vector<std::pair<const toml::key*, const toml::node*>>
        order;  // toml++ sorts by name; the file's order matters
    for (auto&& [key, node] : in) order.emplace_back(&key, &node);
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return where_of(a.first->source()) < where_of(b.first->source());
    });
    Value::Table out;
    for (const auto& [key, node] : order) {
      const std::vector<std::string> parts = split_path(key->str());
      if (parts.size() > most_levels)
        fail(where_of(key->source()), "a key of more than 16 parts");
      else
        insert(out, parts, value(*node), where_of(key->source()));
    }
    return out;
  }

  /// Tables that are given in parts are merged; anything else given twice is an error, but a layer
  /// with a value and with keys of its own.
  void insert(Value::Table& into, std::span<const std::string> parts, Value value,
              const Where& where) {
    const bool is_table = parts.size() > 1 || value.get<Value::Table>() != nullptr;
    Entry* found = find(into, parts[0], is_table);
    if (parts.size() > 1) {
      Value::Table* inner = nullptr;
      if (found == nullptr)
        inner = &std::get<Value::Table>(
            into.emplace_back(Entry{parts[0], Value{Value::Table{}, where}, where}).value.data);
      else
        inner = std::get_if<Value::Table>(&found->value.data);
      if (inner == nullptr) return fail(where, twice(parts[0]));
      return insert(*inner, parts.subspan(1), std::move(value), where);
    }
    if (found == nullptr) {
      into.push_back({parts[0], std::move(value), where});
      return;
    }
    Value::Table* old = std::get_if<Value::Table>(&found->value.data);
    Value::Table* more = std::get_if<Value::Table>(&value.data);
    if (old == nullptr || more == nullptr) return fail(where, twice(parts[0]));
    for (Entry& entry : *more) {
      const std::array<std::string, 1> key{entry.key};
      insert(*old, key, std::move(entry.value), entry.where);
    }
  }

  static std::string twice(const std::string& key) {
    return "key " + toml_string(key) + " is given twice";
  }

  void fail(const Where& where, const std::string& message) {
    if (!error) error = place_error(name, where.line, where.column, message);
  }
};

}  // namespace

Result<std::string> read_config_file(const std::filesystem::path& file) {
  const std::string name = one_line(file.string());
  const auto failed = [&](ExitCode code, const std::string& message) {
    return Error{code, name + ": " + message};
  };
  const auto system_failed = [&](const char* what) {
    return failed(exit_code(errno, Role::input), what + system_words(errno));
  };
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.is_open()) {
    if (errno == ENOENT || errno == ENOTDIR)
      return failed(ExitCode::missing_input, "no such config file");
    if (errno == EACCES || errno == EPERM)
      return failed(ExitCode::permission, "no permission to read the config file");
    return system_failed("cannot open the config file: ");
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return system_failed("cannot read the config file: ");
  if (S_ISDIR(status.st_mode))
    return failed(ExitCode::bad_data, "is a folder; name the config file in it");
  if (!S_ISREG(status.st_mode))
    return failed(ExitCode::bad_data, "is not a regular file; a config is a regular file");
  std::string bytes(most_config_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failed("cannot read the config file: ");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > most_config_bytes)
    return failed(ExitCode::bad_data, "more than 1 MiB; legal: a config of at most 1048576 bytes");
  bytes.resize(size);
  return bytes;
}

Result<Value::Table> parse_toml(std::string_view text, const std::string& name) {
  if (text.size() > most_config_bytes)
    return Error{ExitCode::bad_data, name + ": more than 1 MiB; legal: at most 1048576 bytes"};
  if (text.starts_with("\xEF\xBB\xBF"))
    return place_error(name, 1, 1, "a byte order mark; save the file as UTF-8 without one");
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return place_error(name, 1, 1, "UTF-16; save the file as UTF-8");
  if (Result<void> depth = DepthCheck(text, name).run(); !depth) return depth.error();
  try {
    const toml::table parsed = toml::parse(text, name);
    Conversion conversion{name};
    Value::Table table = conversion.table(parsed);
    if (conversion.error) return *conversion.error;
    return table;
  } catch (const toml::parse_error& error) {
    const Where where = where_of(error.source());
    return place_error(name, where.line, where.column, one_line(error.description()));
  }
}

Result<Override> parse_override(const std::string& text) {
  const auto failed = [](const std::string& key, const std::string& message) {
    return Error{ExitCode::bad_data, "--set " + one_line(key) + ": " + message};
  };
  std::size_t equals = 0;
  for (char quote = '\0'; equals < text.size() && (quote != '\0' || text[equals] != '=');
       ++equals) {
    if (quote != '\0' ? text[equals] == quote : text[equals] == '"' || text[equals] == '\'')
      quote = quote != '\0' ? '\0' : text[equals];
  }
  if (equals == text.size())
    return failed(text, "no '='; legal: KEY=VALUE, e.g. tokens.sequences=2");
  const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
  Result<Value::Table> parsed_key = parse_toml(key + " = 0", "KEY");
  if (!parsed_key || parsed_key->size() != 1 || key.find('\n') != std::string::npos)
    return failed(
        key,
        "is no key; legal: a dotted key such as tokens.sequences or 'grid.\"arithmetic.low.mu\"'");
  Override out;
  for (const Value::Table* table = &*parsed_key; table != nullptr;) {
    out.path += (out.path.empty() ? "" : ".") + table->front().key;
    table = table->front().value.get<Value::Table>();
  }
  Result<Value::Table> parsed = parse_toml("value = " + value, "VALUE");
  if (parsed && parsed->size() == 1 && parsed->front().key == "value") {
    out.value = std::move(parsed->front().value);
  } else {
    for (std::size_t at = 0; at < value.size();) {
      const std::size_t length = utf8_length(std::string_view(value).substr(at));
      if (length == 0) return failed(key, "invalid UTF-8");
      at += length;
    }
    out.value.data = value;
  }
  return out;
}

void put(Value::Table& root, std::string_view path, Value value) {
  const std::vector<std::string> parts = split_path(path);
  const Where where = value.where;
  Value::Table* table = &root;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    Entry* entry = find(*table, parts[i], true);
    if (entry == nullptr)
      entry = &table->emplace_back(Entry{parts[i], Value{Value::Table{}, where}, where});
    if (entry->value.get<Value::Table>() == nullptr) entry->value = Value{Value::Table{}, where};
    table = &std::get<Value::Table>(entry->value.data);
  }
  if (Entry* entry = find(*table, parts.back(), value.get<Value::Table>() != nullptr))
    entry->value = std::move(value);
  else
    table->push_back({parts.back(), std::move(value), where});
}

void remove_from_file(Value::Table& root, std::string_view path) {
  const std::vector<std::string> parts = split_path(path);
  Value::Table* table = &root;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    Entry* entry = find(*table, parts[i], true);
    table = entry == nullptr ? nullptr : std::get_if<Value::Table>(&entry->value.data);
    if (table == nullptr) return;
  }
  std::erase_if(*table, [&](const Entry& entry) {
    return entry.key == parts.back() && entry.value.where.source == 0;
  });
}

}  // namespace lamp::experiments
