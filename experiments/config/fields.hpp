// THE list of config keys. It drives parsing, --set, `lamp config`, the resolved config, provenance
// and identities: a key is added here and nowhere else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/names.hpp"
#include "experiments/config/config.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

enum class Kind : std::uint8_t {
  integer,
  number,
  text,
  boolean,
  choice,
  format,
  arithmetic,
  list,
  other
};

/// Whose identity a key is part of. A key that changes values is `cell` or, where it changes which
/// tokens or quantities there are, `experiment`.
enum class Scope : std::uint8_t { none, experiment, cell };

/// `toml`: as the config writes it. `identity`: what it means, the same for two spellings of one
/// meaning.
enum class Form : std::uint8_t { toml, identity };

struct Choice {
  std::string_view name;
  bool available = true;
};
/// The names of a table; `later` are values that this version does not have yet.
template <const auto& table, auto... later>
constexpr std::array choices_of = [] {
  std::array<Choice, table.size()> choices;
  for (std::size_t i = 0; i < table.size(); ++i)
    choices[i] = {table[i].name, ((table[i].value != later) && ...)};
  return choices;
}();

struct Field {
  std::string_view key;  // '*' stands for a name: "arithmetic.*.mu", "plan.*"
  Kind kind = Kind::text;
  std::string_view standard;  // the default as TOML; "required"; "absent"
  std::string_view meaning;
  Scope scope = Scope::none;
  double min = 0, max = 0;  // integer, number
  std::span<const Choice> choices{};
  std::string_view range{};  // legal values where kind, min, max and choices do not say them; of
                             // a choice those besides
  bool available = true;     // else any value is refused as not available yet
  std::string_view alternative{};  // the key it excludes; an axis or a --set replaces it
  std::optional<Problem> (*read)(Config&, std::string_view name, const Value&,
                                 const Field&) = nullptr;
  std::optional<std::string> (*write)(const Config&, std::string_view name,
                                      Form) = nullptr;      // absent: not set
  void (*clear)(Config&, std::string_view name) = nullptr;  // where there is an alternative
};

std::span<const Field> fields();

/// A field and the name that its '*' stands for.
struct FieldMatch {
  const Field* field = nullptr;
  std::string name;

  /// The key that this one excludes; empty where there is none, or no field.
  [[nodiscard]] std::string alternative() const;
};
FieldMatch find_field(std::string_view path);

/// The field's key with its '*' replaced.
std::string path_of(std::string_view key, std::string_view name);

/// Legal values in words.
std::string legal_values(const Field& field);
std::string_view kind_name(Kind kind);

/// Checks the name that '*' stands for: one that an arithmetic can have, or a selectable site. The
/// problem's key is left to the caller.
std::optional<Problem> check_field_name(const FieldMatch& match);
/// Reads a value into the config; a problem names key and legal values.
std::optional<Problem> read_field(Config& config, const FieldMatch& match, const Value& value);
/// The problem of a key that is not in the list, with the nearest one that is.
Problem unknown_key(std::string_view path, const Config& config);

/// Calls visit(field, path, name) for every key that the config can hold a value of: names, sites,
/// axes in their order.
void for_each_field(const Config& config,
                    const std::function<void(const Field&, const std::string& path,
                                             const std::string& name)>& visit);

/// "layer.3", and its inverse; nothing for any other text.
std::string layer_name(Layer layer);
std::optional<Layer> parse_layer(std::string_view name);

/// The site that a key under [lamp] selects at; nothing where it names none. Pre: match.field is
/// one of lamp_fields().
std::optional<Site> selecting_site(const FieldMatch& match);

/// "scores", "layer.3.scores", "layer.3.head.1.scores".
std::string site_path_name(const SitePath& path);
/// The inverse; the problem's key is left to the caller.
std::optional<Problem> parse_site_path(std::string_view name, SitePath& path);

}  // namespace lamp::experiments
