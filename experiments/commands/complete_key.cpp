// The keys of --set and their values, as a shell completes them: from THE list of keys, with the
// names that a config gives its arithmetics, and the layers, heads and sites of its model.
#include <algorithm>
#include <filesystem>
#include <set>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/fp/number_system.hpp"
#include "core/model/files/gguf_model.hpp"
#include "core/model/networks/network.hpp"
#include "experiments/commands/complete.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/config/read.hpp"

namespace lamp::experiments {
namespace {

/// What a config says of itself, however unfinished it is.
struct KnownNames {
  std::vector<std::string> arithmetics;
  std::optional<ModelConfig> model;

  [[nodiscard]] bool has(Site site) const {
    return !model || find_row(model->network->sites, site) != nullptr;
  }
  [[nodiscard]] bool selects_at(Site site) const {
    if (model) {
      const SiteRow* row = find_row(model->network->sites, site);
      return row != nullptr && row->f;
    }
    const std::vector<std::string> names = selectable_names();
    return std::find(names.begin(), names.end(), info(site).name) != names.end();
  }
};

const Value* find_value(const Value::Table& table, std::string_view key) {
  for (const Entry& entry : table)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

const Value::Table* find_table(const Value::Table& table, std::string_view key) {
  const Value* value = find_value(table, key);
  return value == nullptr ? nullptr : value->get<Value::Table>();
}

/// Of the last config among the words; what cannot be read gives no names.
KnownNames names_of_config(std::span<const std::string> words) {
  KnownNames names;
  const auto config = std::find_if(words.rbegin(), words.rend(),
                                   [](const std::string& word) { return word.ends_with(".toml"); });
  if (config == words.rend()) return names;
  const Result<std::string> text = read_config_file(*config);
  if (!text) return names;
  const Result<Value::Table> root = parse_toml(*text, *config);
  if (!root) return names;
  if (const Value::Table* arithmetics = find_table(*root, "arithmetic"))
    for (const Entry& entry : *arithmetics) names.arithmetics.push_back(entry.key);
  const Value::Table* model = find_table(*root, "model");
  const Value* path = model == nullptr ? nullptr : find_value(*model, "path");
  if (path == nullptr || path->get<std::string>() == nullptr) return names;
  const std::filesystem::path folder = std::filesystem::path(*config).parent_path();
  if (Result<ModelConfig> read = read_config_of_model(folder / *path->get<std::string>()))
    names.model = *read;
  return names;
}

using Offers = std::vector<Offer>;

void add(Offers& list, std::string word, std::string_view meaning = {}) {
  list.push_back({std::move(word), meaning});
}

std::vector<std::string> numbers_to(std::size_t count) {
  std::vector<std::string> numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

/// The sites with a key of their own in a layer, or in a head of it.
std::vector<std::string> sites_in(const KnownNames& names, bool of_head) {
  std::vector<std::string> list;
  for (const SiteInfo& site : sites)
    if (names.has(site.site) && (of_head ? site.per_head : site.per_layer))
      list.emplace_back(site.name);
  return list;
}

/// The keys of a layer: "plan.layer.3=", "plan.layer.3.SITE=", "lamp.layer.3.head.1.SITE.tau="; as
/// far as what is typed goes.
void add_layers(Offers& list, const KnownNames& names, std::string_view section,
                std::string_view typed) {
  const std::string prefix = std::string(section) + ".layer.";
  if (!typed.starts_with(prefix)) return add(list, prefix, "keys of one layer, counted from 0");
  const std::string_view rest = typed.substr(prefix.size());
  const std::size_t dot = rest.find('.');
  if (dot == std::string_view::npos) {
    for (const std::string& layer : numbers_to(names.model ? names.model->n_layer : 1)) {
      if (section == "plan") add(list, prefix + layer + "=", "arithmetic of the whole layer");
      add(list, prefix + layer + ".", "its sites");
    }
    return;
  }
  const std::string layer = prefix + std::string(rest.substr(0, dot + 1));
  const auto add_site = [&](const std::string& before, const std::string& site) {
    if (section != "lamp") return add(list, before + site + "=");
    if (!names.selects_at(*parse_site(site))) return;
    for (const Field& field : lamp_fields())
      if (field.key.starts_with("lamp.layer.*."))
        add(list, before + site + std::string(field.key.substr(field.key.rfind('.'))) + "=",
            field.meaning);
  };
  for (const std::string& site : sites_in(names, false)) add_site(layer, site);
  if (section == "store") return;  // the heads of a layer are stored alike
  const std::string head = layer + "head.";
  if (!typed.starts_with(head)) return add(list, head, "keys of one head, counted from 0");
  for (const std::string& number : numbers_to(names.model ? names.model->n_head : 1))
    for (const std::string& site : sites_in(names, true)) add_site(head + number + ".", site);
}

/// What '*' may stand for in a field's key.
std::vector<std::string> instances_of(const Field& field, const KnownNames& names) {
  if (field.key.find('*') == std::string_view::npos) return {""};
  if (field.key.starts_with("arithmetic.") || field.key.starts_with("cost."))
    return names.arithmetics;
  std::vector<std::string> list;
  for (const SiteInfo& site : sites) {
    const bool selects = field.key.starts_with("lamp.*") && names.selects_at(site.site);
    const bool has = (field.key == "plan.*" || field.key == "store.*") && names.has(site.site);
    if (selects || has) list.emplace_back(site.name);
  }
  return list;
}

bool may_be_axis(std::string_view key) {
  for (const std::string_view section : {"arithmetic.", "lamp.", "plan.", "store."})
    if (key.starts_with(section)) return !key.ends_with(".preset");
  return key == "seed" || key == "tokens.shuffle" || key == "model.path";
}

Offers offered_keys(const KnownNames& names, std::string_view typed) {
  Offers list;
  for (const Field& field : fields())
    if (field.available)
      for (const std::string& name : instances_of(field, names))
        add(list, path_of(field.key, name) + "=", field.meaning);
  for (const std::string_view section : {"plan", "store", "lamp"})
    add_layers(list, names, section, typed);
  return list;
}

Offers offered_values(const Field& field, const KnownNames& names) {
  Offers list;
  for (const Choice& choice : field.choices)
    if (choice.available) add(list, std::string(choice.name));
  if (field.kind == Kind::boolean) list = {{"true"}, {"false"}};
  if (field.kind == Kind::format) list = names_of_formats();
  if (field.kind == Kind::arithmetic) {
    for (const std::string& name : names.arithmetics) add(list, name);
    if (field.key == "reference.arithmetic") add(list, "binary64"), add(list, "mpfr:");
  }
  if (field.key == "lamp.*.rule") add(list, std::string(own_rule_prefix), own_rule_form);
  if (field.key.ends_with(".order") && field.choices.empty()) {
    const std::string forms = order_forms();
    for (std::size_t at = 0, end = 0; at < forms.size(); at = end + 2) {
      end = std::min(forms.find(", ", at), forms.size());
      const std::string form = forms.substr(at, end - at);
      add(list, form.substr(0, std::min(form.find(':'), form.size() - 1) + 1));
    }
  }
  return list;
}

}  // namespace

Offers names_of_formats() {
  Offers list;
  for (const std::string_view name : catalog_names()) add(list, std::string(name));
  for (const std::string_view name : system_names()) add(list, std::string(name));
  for (const Engine& engine : engines()) add(list, std::string(engine.name), "matrix engine");
  return list;
}

Offers complete_key(std::string_view typed, std::span<const std::string> before) {
  const KnownNames names = names_of_config(before);
  constexpr std::string_view grid = "grid.";
  if (const std::size_t equals = typed.find('='); equals != std::string_view::npos) {
    const FieldMatch match = find_field(typed.substr(0, equals));
    if (match.field == nullptr || typed.starts_with(grid)) return {};
    Offers list = offered_values(*match.field, names);
    for (Offer& value : list) value.word.insert(0, typed.substr(0, equals + 1));
    return list;
  }
  if (!typed.starts_with(grid)) {
    Offers list = offered_keys(names, typed);
    add(list, std::string(grid), "an axis: KEY=[values]");
    return list;
  }
  Offers list = offered_keys(names, typed.substr(grid.size()));
  std::erase_if(list, [](const Offer& key) {
    return !may_be_axis(std::string_view(key.word).substr(0, key.word.find('=')));
  });
  for (Offer& key : list) key.word.insert(0, grid);
  return list;
}

}  // namespace lamp::experiments
