#include "experiments/config/kinds.hpp"

#include <algorithm>

#include "core/arith/orders/order_text.hpp"
#include "core/model/networks/network.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {

namespace {

constexpr std::string_view legal_follows = "; legal: ";

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + separator.size();
  }
  return parts;
}

}  // namespace

Outcome wrong(const Value& value) {
  return Problem{
      .key = {}, .message = describe(value) + " is not legal here", .where = value.where};
}

Outcome read_number(const Value& value, const Field& field, std::optional<double>& target) {
  double x = 0;
  if (const std::int64_t* integer = value.get<std::int64_t>())
    x = static_cast<double>(*integer);
  else if (const double* number = value.get<double>())
    x = *number;
  else
    return wrong(value);
  if (!(x >= field.min && x <= field.max)) return out_of_range(value, toml_number(x));
  target = x + 0.0;  // -0 means 0
  return std::nullopt;
}

Outcome read_boolean(const Value& value, bool& target) {
  const bool* x = value.get<bool>();
  if (x == nullptr) return wrong(value);
  target = *x;
  return std::nullopt;
}

Outcome read_text(const Value& value, std::string& target) {
  const std::string* x = value.get<std::string>();
  if (x == nullptr || x->empty()) return wrong(value);
  target = *x;
  return std::nullopt;
}

Outcome out_of_range(const Value& value, const std::string& shown) {
  return Problem{.key = {}, .message = shown + " is out of range", .where = value.where};
}

std::vector<std::string> site_names() {
  std::vector<std::string> names;
  for (const SiteInfo& site : sites) names.emplace_back(site.name);
  return names;
}

std::vector<std::string> selectable_names() {
  std::vector<std::string> names;
  for (const SiteInfo& site : sites) {
    const auto selectable = [&](const Network* network) {
      const SiteRow* row = find_row(network->sites, site.site);
      return row != nullptr && row->f;
    };
    if (std::any_of(networks().begin(), networks().end(), selectable))
      names.emplace_back(site.name);
  }
  return names;
}

std::vector<std::string> available_names(std::span<const Choice> choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices)
    if (choice.available) names.emplace_back(choice.name);
  return names;
}

Outcome not_available(const Value& value, const std::string& what) {
  return Problem{
      .key = {}, .message = what + " is not available yet in this version", .where = value.where};
}

Outcome read_name(const Value& value, const Field& field, std::string& target) {
  const std::string* x = value.get<std::string>();
  if (x == nullptr) return wrong(value);
  for (const Choice& choice : field.choices)
    if (choice.name == *x) {
      if (!choice.available) return not_available(value, toml_string(*x));
      target = *x;
      return std::nullopt;
    }
  Outcome problem = wrong(value);
  problem->suggestion = nearest(*x, available_names(field.choices));
  return problem;
}

/// "numpy-sum:8192" for "numpy_sum:8192", "numpy-sum:B" for "numpysum"; nothing where the name is
/// right, or near none of them.
std::string nearest_order(const std::string& text) {
  const std::vector<std::string> forms = split(order_forms(), ", ");
  std::vector<std::string> names;
  for (const std::string& form : forms) names.push_back(form.substr(0, form.find(':')));
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string head = text.substr(0, colon);
  if (std::find(names.begin(), names.end(), head) != names.end()) return {};
  const auto at = static_cast<std::size_t>(
      std::find(names.begin(), names.end(), nearest(head, names)) - names.begin());
  if (at == names.size()) return {};
  const bool takes_parameters = forms[at] != names[at];
  return takes_parameters && colon < text.size() ? names[at] + text.substr(colon) : forms[at];
}

Outcome read_order(const Value& value, std::optional<Order>& target) {
  std::string text;
  if (Outcome problem = read_text(value, text)) return problem;
  Result<Order> order = parse_order(text);
  if (order) return target = *std::move(order), std::nullopt;
  const std::string message = order.error().message;
  const std::size_t legal = message.find(legal_follows);
  Problem problem{.key = {}, .message = message.substr(0, legal), .where = value.where};
  if (legal != std::string::npos) problem.legal = message.substr(legal + legal_follows.size());
  problem.suggestion = nearest_order(text);
  return problem;
}

Outcome read_format_or_none(const Value& value, std::string_view none, FormatOrNone& target) {
  if (const std::string* x = value.get<std::string>(); x != nullptr && *x == none) {
    target = {.given = true};
    return std::nullopt;
  }
  FloatFormat format;
  if (Outcome problem = read_format(value, format)) return problem;
  target = {.given = true, .format = format};
  return std::nullopt;
}

Outcome read_system_or_none(const Value& value, std::string_view none, SystemOrNone& target) {
  target = {.given = true};
  if (const std::string* x = value.get<std::string>(); x != nullptr && *x == none)
    return std::nullopt;
  return read_number_system(value, target.system);
}

Outcome read_coordinates(const Value& value, const Field* key, std::vector<Coordinate>& target) {
  const Value::List* list = value.get<Value::List>();
  if (list == nullptr || list->empty()) return wrong(value);
  for (const Value& item : *list) {
    Coordinate coordinate;
    if (const std::int64_t* integer = item.get<std::int64_t>()) {
      const bool number = key != nullptr && key->kind == Kind::number;
      coordinate = number ? Coordinate(static_cast<double>(*integer)) : Coordinate(*integer);
    } else if (const double* x = item.get<double>()) {
      coordinate = *x + 0.0;
    } else if (const std::string* text = item.get<std::string>()) {
      coordinate = *text;
    } else if (const bool* flag = item.get<bool>();
               flag != nullptr && key != nullptr && key->kind == Kind::boolean) {
      coordinate = *flag;
    } else if (key != nullptr && key->kind == Kind::format && item.get<Value::Table>() != nullptr) {
      std::optional<NumberSystem> system;
      if (Outcome problem = read_number_system(item, system)) return problem;
      coordinate = system_word(*system);
    } else {
      return wrong(item);
    }
    if (std::find(target.begin(), target.end(), coordinate) != target.end())
      return Problem{.key = {}, .message = describe(item) + " is given twice", .where = item.where};
    target.push_back(std::move(coordinate));
  }
  return std::nullopt;
}

Outcome read_axes(const Value& value, ValuesOfAxis each, std::vector<GridAxis>& target,
                  const std::string& prefix) {
  const Value::Table* table = value.get<Value::Table>();
  if (table == nullptr) return wrong(value);
  for (const Entry& entry : *table) {
    const std::string key = prefix + entry.key;
    if (entry.value.get<Value::Table>() != nullptr) {
      if (Outcome problem = read_axes(entry.value, each, target, key + '.')) return problem;
      continue;
    }
    Value values = entry.value;
    if (each == ValuesOfAxis::one) values.data = Value::List{entry.value};
    GridAxis axis{.key = key, .values = {}};
    if (Outcome problem = read_coordinates(values, find_field(key).field, axis.values))
      return problem;
    target.push_back(std::move(axis));
  }
  return std::nullopt;
}

Outcome read_sites(const Value& value, std::vector<Site>& target) {
  const Value::List* list = value.get<Value::List>();
  if (list == nullptr) return wrong(value);
  const std::vector<std::string> names = site_names();
  for (const Value& item : *list) {
    const std::string* name = item.get<std::string>();
    if (name == nullptr) return wrong(item);
    const std::optional<Site> site = parse_site(*name);
    if (!site && value_in(stop_metric_names, *name))
      return Problem{
          .key = {},
          .message = toml_string(*name) + " is no site but a metric, which every run records",
          .where = item.where};
    if (!site)
      return Problem{.key = {},
                     .message = "unknown site " + toml_string(*name),
                     .suggestion = nearest(*name, names),
                     .where = item.where};
    if (std::find(target.begin(), target.end(), *site) != target.end())
      return Problem{.key = {},
                     .message = "site " + toml_string(*name) + " is given twice",
                     .where = item.where};
    target.push_back(*site);
  }
  return std::nullopt;
}

std::string boolean_text(bool x) { return x ? "true" : "false"; }

Text nonempty(const std::string& x) { return x.empty() ? Text() : Text(toml_string(x)); }

std::string format_in(Form form, const FloatFormat& format) {
  return form == Form::toml ? format_text(format) : format_identity(format);
}

Text format_or_none(Form form, const FormatOrNone& x, std::string_view none) {
  if (!x.given) return std::nullopt;
  return x.format ? format_in(form, *x.format) : toml_string(none);
}

Text system_or_none(Form form, const SystemOrNone& x, std::string_view none) {
  if (!x.given) return std::nullopt;
  if (!x.system) return toml_string(none);
  return form == Form::toml ? system_text(*x.system) : system_identity(*x.system);
}

namespace {

std::string coordinate_text(const Coordinate& coordinate) {
  struct {
    std::string operator()(std::int64_t x) const { return std::to_string(x); }
    std::string operator()(double x) const { return toml_number(x); }
    std::string operator()(const std::string& x) const { return toml_string(x); }
    std::string operator()(bool x) const { return boolean_text(x); }
  } constexpr text;
  return std::visit(text, coordinate);
}

}  // namespace

std::string coordinate_list(const std::vector<Coordinate>& list) {
  std::vector<std::string> values;
  for (const Coordinate& value : list) values.push_back(coordinate_text(value));
  return '[' + join(values) + ']';
}

std::string axes_text(const std::vector<GridAxis>& axes, ValuesOfAxis each) {
  std::vector<std::string> items;
  for (const GridAxis& axis : axes)
    items.push_back(toml_string(axis.key) + " = " +
                    (each == ValuesOfAxis::one ? coordinate_text(axis.values.front())
                                               : coordinate_list(axis.values)));
  return '{' + join(items) + '}';
}

Text site_list(const std::vector<Site>& list) {
  std::vector<std::string> names;
  for (const Site site : list) names.push_back(toml_string(info(site).name));
  return '[' + join(names) + ']';
}

}  // namespace lamp::experiments
