// The keys of [store].
#include <algorithm>
#include <array>

#include "core/model/storage.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

using Name = std::string_view;

constexpr std::string_view as_computed = "as-computed";
constexpr std::string_view legal_systems =
    "\"as-computed\", a format, or a number system such as \"mxfp4\"";

template <auto member>
Outcome read_system(Config& c, Name, const Value& value, const Field&) {
  return read_system_or_none(value, as_computed, c.store.*member);
}

/// As computed is what was before the key was: it is in no identity.
template <auto member>
Text write_system(const Config& c, Name, Form form) {
  const SystemOrNone& x = c.store.*member;
  return form == Form::identity && !x.system ? Text() : system_or_none(form, x, as_computed);
}

Outcome read_site(Config& c, Name name, const Value& value, const Field&) {
  SitePath path;
  if (Outcome problem = parse_site_path(name, path)) {
    constexpr std::array<std::string_view, 4> others{"default", "weights", "cache.keys",
                                                     "cache.values"};
    std::vector<std::string> known = site_names();
    known.insert(known.end(), others.begin(), others.end());
    problem->suggestion = nearest(name, known);
    return problem;
  }
  if (path.head)
    return Problem{.key = {},
                   .message = "the heads of a layer are stored alike",
                   .legal = "SITE or layer.N.SITE, counted from 0"};
  SystemOrNone system;
  if (Outcome problem = read_system_or_none(value, as_computed, system)) return problem;
  for (StoreEntry& entry : c.store.sites)
    if (entry.path == path) return entry.system = system, std::nullopt;  // an axis
  c.store.sites.push_back({path, system});
  return std::nullopt;
}

/// In the identity where something less specific says otherwise.
Text write_site(const Config& c, Name name, Form form) {
  const auto is_less_specific = [](const StoreEntry& less, const StoreEntry& entry) {
    return entry.path.layer && !less.path.layer && less.path.site == entry.path.site;
  };
  for (const StoreEntry& entry : c.store.sites) {
    if (site_path_name(entry.path) != name) continue;
    const bool said =
        entry.system.system || c.store.everywhere.system ||
        std::any_of(c.store.sites.begin(), c.store.sites.end(),
                    [&](const StoreEntry& other) { return is_less_specific(other, entry); });
    return form == Form::identity && !said ? Text()
                                           : system_or_none(form, entry.system, as_computed);
  }
  return std::nullopt;
}

constexpr std::array store_rows{
    Field{.key = "store.default",
          .kind = Kind::format,
          .standard = "\"as-computed\"",
          .meaning = "number system that the output of every site is kept in: rounded RNE once, "
                     "after its arithmetic; the reference has none",
          .scope = Scope::cell,
          .range = legal_systems,
          .read = read_system<&StoreConfig::everywhere>,
          .write = write_system<&StoreConfig::everywhere>},
    Field{.key = "store.weights",
          .kind = Kind::format,
          .standard = "\"as-computed\"",
          .meaning = "number system of the weights: matrices along their inputs, biases and gains "
                     "as rows of their own",
          .scope = Scope::cell,
          .range = legal_systems,
          .read = read_system<&StoreConfig::weights>,
          .write = write_system<&StoreConfig::weights>},
    Field{.key = "store.cache.keys",
          .kind = Kind::format,
          .standard = "\"as-computed\"",
          .meaning = "number system of the keys that scores reads, each head's by itself; their "
                     "site's own comes first",
          .scope = Scope::cell,
          .range = legal_systems,
          .read = read_system<&StoreConfig::keys>,
          .write = write_system<&StoreConfig::keys>},
    Field{.key = "store.cache.values",
          .kind = Kind::format,
          .standard = "\"as-computed\"",
          .meaning = "the same of values",
          .scope = Scope::cell,
          .range = legal_systems,
          .read = read_system<&StoreConfig::values>,
          .write = write_system<&StoreConfig::values>},
    Field{.key = "store.*",
          .kind = Kind::format,
          .standard = "absent",
          .meaning = "number system of the output of a SITE or of layer.N.SITE, counted from 0; "
                     "the most specific wins",
          .scope = Scope::cell,
          .range = legal_systems,
          .read = read_site,
          .write = write_site},
};

std::optional<Problem> check_system(const std::string& key, const SystemOrNone& x) {
  if (!x.system) return std::nullopt;
  const FloatFormat* format = x.system->float_format();
  if (format == nullptr || fits_binary64(*format)) return std::nullopt;
  return Problem{.key = key,
                 .message = "a format wider than binary64",
                 .legal =
                     "formats whose numbers are binary64 numbers: p <= 53, emax <= 1023, emin "
                     "- p + 1 >= -1074"};
}

}  // namespace

std::span<const Field> store_fields() { return store_rows; }

Storage StoreConfig::storage() const {
  Storage all{.everywhere = everywhere.system,
              .weights = weights.system,
              .keys = keys.system,
              .values = values.system};
  for (const StoreEntry& entry : sites)
    all.sites.insert_or_assign({entry.path.site, entry.path.layer}, entry.system.system);
  return all;
}

std::optional<Problem> check_store(const StoreConfig& store) {
  const std::array<std::pair<std::string, const SystemOrNone*>, 4> named{
      {{"store.default", &store.everywhere},
       {"store.weights", &store.weights},
       {"store.cache.keys", &store.keys},
       {"store.cache.values", &store.values}}};
  for (const auto& [key, system] : named)
    if (std::optional<Problem> problem = check_system(key, *system)) return problem;
  for (const StoreEntry& entry : store.sites)
    if (std::optional<Problem> problem =
            check_system("store." + site_path_name(entry.path), entry.system))
      return problem;
  for (const auto& [key, system] : {named[2], named[3]})
    if (system->system && reads_tensor(*system->system))
      return Problem{.key = key,
                     .message = system_word(*system->system) +
                                " looks at a whole tensor, and the cache has keys to come",
                     .legal =
                         "number systems that read their own row alone, such as tensor_scale "
                         "= 1"};
  if (store.weights.system && !keeps_binary32(*store.weights.system))
    return Problem{.key = "store.weights",
                   .message = system_word(*store.weights.system) +
                              " gives weights that are no binary32 numbers",
                   .legal =
                       "formats with p up to 24 within binary32 or that contain it; of block "
                       "formats a tensor_scale that is a power of two"};
  return std::nullopt;
}

}  // namespace lamp::experiments
