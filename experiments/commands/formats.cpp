#include "experiments/commands/formats.hpp"
#include "core/model/files/strict_json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/arith/engine.hpp"
#include "core/fp/format_table.hpp"
#include "core/fp/number_system.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

/// The shortest decimal that reads back as x.
std::string decimal(double x) {
  std::array<char, 40> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), x).ptr};
}

std::string hex_code(std::uint64_t code, int bits) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%0*llx", (bits + 3) / 4,
                static_cast<unsigned long long>(code));
  return text.data();
}

Json as_json(const FormatTable& t) {
  const FloatFormat& f = t.format;
  Json out{{"name", t.name},
           {"p", f.p},
           {"emin", f.emin},
           {"emax", f.emax},
           {"subnormals", f.subnormals},
           {"infinities", f.infinities},
           {"nan", f.nan},
           {"signed_zero", f.signed_zero},
           {"unsigned", f.is_unsigned},
           {"top_codes_lost", f.top_codes_lost},
           {"overflow", name_in(overflow_names, f.overflow)},
           {"zero", f.zero},
           {"u", to_hex_float(t.u)},
           {"xmins", t.xmins ? Json(to_hex_float(*t.xmins)) : Json()},
           {"xmin", to_hex_float(t.xmin)},
           {"xmax", to_hex_float(t.xmax)},
           {"bits", t.bits},
           {"codes",
            {{"finite", t.counts.finite()},
             {"zero", t.counts.zeros},
             {"subnormal", t.counts.subnormals},
             {"normal", t.counts.normals},
             {"infinity", t.counts.infinities},
             {"nan", t.counts.nans},
             {"unused", t.counts.unused}}}};
  if (t.values.empty()) return out;
  Json values = Json::array();
  for (const CodedValue& v : t.values)
    values.push_back(
        {{"code", hex_code(v.code, t.bits)},
         {"kind", name_in(code_kind_names, v.kind)},
         {"value", v.kind == CodeKind::unused ? Json() : Json(to_hex_float(v.value))}});
  out["values"] = std::move(values);
  return out;
}

/// How a format differs from those of IEEE 754: what it has and they lack, or the reverse.
std::string particulars(const FloatFormat& f) {
  std::string text;
  if (!f.subnormals) text += ", no subnormals";
  if (!f.infinities) text += ", no infinities";
  if (!f.nan) text += ", no NaN";
  if (f.is_unsigned) text += ", no sign";
  if (!f.is_unsigned && !f.signed_zero) text += ", no -0";
  if (!f.zero) text += ", no zero";
  if (f.top_codes_lost != 0) text += ", top codes lost: " + std::to_string(f.top_codes_lost);
  if (f.overflow == Overflow::largest) text += ", overflow gives xmax";
  if (f.overflow == Overflow::nan) text += ", overflow gives NaN";
  return text;
}

std::string details(const FormatTable& t) {
  const FloatFormat& f = t.format;
  const CodeCounts& n = t.counts;
  const auto number = [](const char* name, double x) {
    const std::string hex = to_hex_float(x);
    return "  " + std::string(name) + std::string(8 - std::string_view(name).size(), ' ') + hex +
           std::string(hex.size() < 26 ? 26 - hex.size() : 1, ' ') + decimal(x) + "\n";
  };
  std::string text = t.name + ": p " + std::to_string(f.p) + ", emin " + std::to_string(f.emin) +
                     ", emax " + std::to_string(f.emax) + particulars(f) + "\n" + number("u", t.u);
  if (t.xmins) text += number("xmins", *t.xmins);
  text += number("xmin", t.xmin) + number("xmax", t.xmax);
  text += "  codes   " + std::to_string(t.bits) + " bits: " + std::to_string(n.finite()) +
          " finite (" + std::to_string(n.zeros) + " zero, " + std::to_string(n.subnormals) +
          " subnormal, " + std::to_string(n.normals) + " normal), " + std::to_string(n.infinities) +
          " infinite, " + std::to_string(n.nans) + " NaN, " + std::to_string(n.unused) + " unused";
  for (const CodedValue& v : t.values) {
    text += "\n    " + hex_code(v.code, t.bits) + "  ";
    if (v.kind == CodeKind::unused) {
      text += "unused";
      continue;
    }
    const std::string hex = to_hex_float(v.value);
    text += hex;
    if (std::isfinite(v.value))
      text += std::string(hex.size() < 16 ? 16 - hex.size() : 1, ' ') + decimal(v.value);
  }
  return text;
}

std::string words(const std::vector<std::string_view>& list) {
  std::string text;
  for (const std::string_view word : list) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

/// One line a format, columns aligned.
std::string overview(const std::vector<FormatTable>& tables) {
  std::vector<std::vector<std::string>> rows{
      {"name", "bits", "p", "emin", "emax", "u", "xmins", "xmin", "xmax"}};
  for (const FormatTable& t : tables)
    rows.push_back({t.name, std::to_string(t.bits), std::to_string(t.format.p),
                    std::to_string(t.format.emin), std::to_string(t.format.emax), to_hex_float(t.u),
                    t.xmins ? to_hex_float(*t.xmins) : "-", to_hex_float(t.xmin),
                    to_hex_float(t.xmax)});
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      std::size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[column].size());
      text += row[column];
      if (column + 1 < row.size()) text += std::string(width + 2 - row[column].size(), ' ');
    }
    text += '\n';
  }
  return text +
         "and ps<mu> (mu 1..23): binary32 with p = mu + 1; e<w>m<t> and ue<w>m<t> (w 2..11, t "
         "1..52): IEEE-like, p = t + 1,\n"
         "emax = 2^(w-1) - 1, emin = 1 - emax; or an object {p = .., emin = .., emax = ..} in a "
         "config and in lamp calc\n"
         "number systems of operands, whose values share a scale: " +
         words(system_names()) + "\nmatrix engines, which may be named here too: " + engine_names();
}

/// The F with which the mode reproduces its vectors.
std::string admitted(const EngineMode& mode) {
  const std::string least = std::to_string(mode.least_fraction_bits);
  return mode.most_fraction_bits == mode.least_fraction_bits ? "vectors: F = " + least
                                                             : "vectors: F >= " + least;
}

/// What an engine has, and how well it is known.
std::string details(const Engine& engine) {
  std::string text = std::string(engine.name) + ": a matrix engine";
  if (!engine.same_as.empty()) text += ", the same as " + std::string(engine.same_as);
  for (const EngineMode& mode : engine.modes)
    text += "\n  " + format_name(mode.operands) + " to " + format_name(mode.format) + ": " +
            engine_step_text(mode.step) + " (" + admitted(mode) + ")";
  return text + "\n  measured: " + std::string(engine.pinned) +
         "\n  not measured: " + std::string(engine.open) +
         "\n  least exponents: " + std::string(engine.clamps);
}

Json as_json(const Engine& engine) {
  Json modes = Json::array();
  for (const EngineMode& mode : engine.modes)
    modes.push_back(
        {{"operands", format_name(mode.operands)},
         {"format", format_name(mode.format)},
         {"products", mode.step.products},
         {"fraction_bits", mode.step.fraction_bits},
         {"least_exponent", mode.step.least_exponent ? Json(*mode.step.least_exponent) : Json()},
         {"step", engine_step_text(mode.step)},
         {"least_fraction_bits", mode.least_fraction_bits},
         {"most_fraction_bits",
          mode.most_fraction_bits ? Json(*mode.most_fraction_bits) : Json()}});
  return {{"name", engine.name},
          {"same_as", engine.same_as.empty() ? Json() : Json(engine.same_as)},
          {"modes", std::move(modes)},
          {"measured", engine.pinned},
          {"not_measured", engine.open},
          {"least_exponents_from", engine.clamps}};
}

/// A number system other than a float format, by its own description.
struct SystemFacts {
  std::string name, kind;
  Properties facts;
};

SystemFacts facts_of(const NumberSystem& system) {
  Properties facts = system.visit([]<class S>(const S& s) {
    if constexpr (RowSystem<S>) return s.facts();
    return Properties{};
  });
  return {.name = name_of(system), .kind = kind_of(system), .facts = std::move(facts)};
}

struct FactText {
  std::string operator()(bool x) const { return x ? "true" : "false"; }
  std::string operator()(std::int64_t x) const { return std::to_string(x); }
  std::string operator()(double x) const { return to_hex_float(x) + "  " + decimal(x); }
  std::string operator()(const std::string& x) const { return x; }
  std::string operator()(const FloatFormat& x) const { return format_name(x); }
  std::string operator()(const std::vector<double>& x) const {
    std::string text;
    for (const double number : x) text += (text.empty() ? "" : ", ") + decimal(number);
    return text;
  }
};

struct FactJson {
  Json operator()(double x) const { return to_hex_float(x); }
  Json operator()(const FloatFormat& x) const { return format_name(x); }
  Json operator()(const std::vector<double>& x) const {
    Json list = Json::array();
    for (const double number : x) list.push_back(to_hex_float(number));
    return list;
  }
  template <class T>
  Json operator()(const T& x) const {
    return x;
  }
};

std::string details(const SystemFacts& system) {
  std::size_t width = 0;
  for (const Property& fact : system.facts) width = std::max(width, fact.key.size());
  std::string text = system.name + ": a " + system.kind;
  for (const Property& fact : system.facts)
    text += "\n  " + fact.key + std::string(width + 2 - fact.key.size(), ' ') +
            std::visit(FactText{}, fact.value);
  return text;
}

Json as_json(const SystemFacts& system) {
  Json out{{"name", system.name}, {"kind", system.kind}};
  for (const Property& fact : system.facts) out[fact.key] = std::visit(FactJson{}, fact.value);
  return out;
}

/// Formats, engines and other number systems in the order of their names; without names the catalog
/// and all of them.
Json as_json(std::vector<FormatTable>& tables, const std::vector<const Engine*>& named,
             const std::vector<SystemFacts>& systems, bool catalog) {
  Json formats = Json::array(), list = Json::array(), others = Json::array();
  for (FormatTable& table : tables) {
    if (catalog) table.values.clear();
    formats.push_back(as_json(table));
  }
  for (const Engine* engine : named) list.push_back(as_json(*engine));
  for (const SystemFacts& system : systems) others.push_back(as_json(system));
  Json out{{"formats", std::move(formats)}, {"engines", std::move(list)}};
  if (!others.empty()) out["systems"] = std::move(others);
  return out;
}

}  // namespace

Result<std::string> formats_text(const FormatsOptions& options) {
  std::vector<std::string> names = options.names;
  if (names.empty())
    for (const std::string_view name : catalog_names()) names.emplace_back(name);
  std::vector<FormatTable> tables;
  std::vector<const Engine*> named;
  std::vector<SystemFacts> systems;
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += '\n';
    if (const Engine* engine = find_engine(name)) {
      text += details(*named.emplace_back(engine));
      continue;
    }
    const Result<NumberSystem> system = parse_number_system(name);
    if (!system) {
      return Error{system.error().code, system.error().message + "; engines: " + engine_names() +
                                            did_you_mean(nearest_format(name))};
    }
    if (const FloatFormat* format = system->float_format())
      text += details(tables.emplace_back(format_table(*format)));
    else
      text += details(systems.emplace_back(facts_of(*system)));
  }
  const bool catalog = options.names.empty();
  if (!options.json) return catalog ? overview(tables) : text;
  if (catalog)
    for (const Engine& engine : engines()) named.push_back(&engine);
  if (catalog)
    for (const std::string_view name : system_names())
      systems.push_back(facts_of(*parse_number_system(name)));
  return json_text(as_json(tables, named, systems, catalog));
}

int formats_command(const FormatsOptions& options) {
  const Result<std::string> text = formats_text(options);
  if (!text) return report("formats", text.error());
  std::cout << *text << '\n';
  return 0;
}

}  // namespace lamp::experiments
