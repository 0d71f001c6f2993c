// Rows of the list of config keys: [arithmetic.NAME], whose keys of a multiply-accumulate come a
// second time for its `block`.
#include <array>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

using Name = std::string_view;

ArithmeticConfig& arithmetic(Config& config, Name name) { return config.arithmetic_or_new(name); }
const ArithmeticConfig& arithmetic(const Config& config, Name name) {
  return *config.arithmetic(name);
}

constexpr std::array<NamedValue<Rounding>, 3> operand_rounding_names{
    {{"RNE", Rounding::rne}, {"RNA", Rounding::rna}, {"RTZ", Rounding::rtz}}};

constexpr std::array presets{Choice{"lamp-paper"}};
constexpr std::array block_orders{Choice{"sequential"}};

constexpr std::string_view format_range =
    "a name such as \"ps7\" or \"binary32\", or a table {p = 8, emin = -126, emax = 127, ..}";

/// Where the keys of a multiply-accumulate are: those of the arithmetic itself, or those of its
/// block.
struct Itself {
  static constexpr std::array<std::string_view, 9> keys{
      "arithmetic.*.preset",   "arithmetic.*.mu",          "arithmetic.*.format",
      "arithmetic.*.operands", "arithmetic.*.product",     "arithmetic.*.via",
      "arithmetic.*.rounding", "arithmetic.*.random_bits", "arithmetic.*.operand_rounding"};
  static constexpr std::string_view format_standard = "required unless mu or engine";
  static MacConfig& mac(Config& config, Name name) { return arithmetic(config, name); }
  static const MacConfig* mac(const Config& config, Name name) { return &arithmetic(config, name); }
};

struct Block {
  static constexpr std::array<std::string_view, 9> keys{
      "arithmetic.*.block.preset",          "arithmetic.*.block.mu",
      "arithmetic.*.block.format",          "arithmetic.*.block.operands",
      "arithmetic.*.block.product",         "arithmetic.*.block.via",
      "arithmetic.*.block.rounding",        "arithmetic.*.block.random_bits",
      "arithmetic.*.block.operand_rounding"};
  static constexpr std::string_view format_standard = "required unless mu";
  static MacConfig& mac(Config& config, Name name) {
    std::optional<MacConfig>& block = arithmetic(config, name).block;
    return block ? *block : block.emplace();
  }
  static const MacConfig* mac(const Config& config, Name name) {
    const std::optional<MacConfig>& block = arithmetic(config, name).block;
    return block ? &*block : nullptr;
  }
};

/// What `write` says of the multiply-accumulate, where there is one.
template <class Part, class Write>
Text write_part(const Config& config, Name name, Write&& write) {
  const MacConfig* mac = Part::mac(config, name);
  return mac == nullptr ? Text() : write(*mac);
}

template <class Part>
constexpr std::array mac_fields{
    Field{
        .key = Part::keys[0],
        .kind = Kind::choice,
        .standard = "absent",
        .meaning =
            "defaults of the other keys; lamp-paper: product exact, via binary32, RNE, sequential",
        .choices = presets,
        .read = [](Config& c, Name n, const Value& v,
                   const Field& f) { return read_name(v, f, Part::mac(c, n).preset); },
        .write =
            [](const Config& c, Name n, Form) {
              return write_part<Part>(c, n,
                                      [](const MacConfig& mac) { return nonempty(mac.preset); });
            }},
    Field{.key = Part::keys[1],
          .kind = Kind::integer,
          .standard = "absent",
          .meaning = "format ps<mu>: binary32 with mu significand bits",
          .scope = Scope::cell,
          .min = 1,
          .max = 23,
          .alternative = Part::keys[2],
          .read = [](Config& c, Name n, const Value& v,
                     const Field& f) { return read_integer(v, f, Part::mac(c, n).mu); },
          .write =
              [](const Config& c, Name n, Form form) {
                return write_part<Part>(c, n, [&](const MacConfig& mac) {
                  return form == Form::toml && mac.mu ? Text(std::to_string(*mac.mu)) : Text();
                });
              },
          .clear = [](Config& c, Name n) { Part::mac(c, n).mu.reset(); }},
    Field{.key = Part::keys[2],
          .kind = Kind::format,
          .standard = Part::format_standard,
          .meaning = "where the accumulator lives",
          .scope = Scope::cell,
          .range = format_range,
          .alternative = Part::keys[1],
          .read =
              [](Config& c, Name n, const Value& v, const Field&) {
                FloatFormat format;
                Outcome problem = read_format(v, format);
                Part::mac(c, n).format = format;
                return problem;
              },
          .write =
              [](const Config& c, Name n, Form form) {
                return write_part<Part>(c, n, [&](const MacConfig& mac) {
                  if (form == Form::identity && mac.mu)
                    return Text(format_identity(mac.accumulator()));
                  return mac.format ? Text(format_in(form, *mac.format)) : Text();
                });
              },
          .clear = [](Config& c, Name n) { Part::mac(c, n).format.reset(); }},
    Field{.key = Part::keys[3],
          .kind = Kind::format,
          .standard = "\"as-is\"",
          .meaning = "format that a_k and b_k are rounded to, by operand_rounding",
          .scope = Scope::cell,
          .range = "\"as-is\", a format, or a number system such as \"mxfp4\"",
          .read =
              [](Config& c, Name n, const Value& v, const Field&) {
                return read_system_or_none(v, "as-is", Part::mac(c, n).operands);
              },
          .write =
              [](const Config& c, Name n, Form form) {
                return write_part<Part>(c, n, [&](const MacConfig& mac) {
                  return system_or_none(form, mac.operands, "as-is");
                });
              }},
    Field{.key = Part::keys[8],
          .kind = Kind::choice,
          .standard = "\"RNE\"",
          .meaning = "rounding of a_k and b_k to operands of a float format",
          .scope = Scope::cell,
          .choices = choices_of<operand_rounding_names>,
          .read =
              [](Config& c, Name n, const Value& v, const Field& f) {
                return read_choice(v, f, operand_rounding_names, Part::mac(c, n).operand_rounding);
              },
          .write =
              [](const Config& c, Name n, Form form) {
                return write_part<Part>(c, n, [form](const MacConfig& mac) {
                  const bool as_ever = mac.operand_rounding == Rounding::rne;
                  return mac.operand_rounding && !(as_ever && form == Form::identity)
                             ? choice_text(operand_rounding_names, *mac.operand_rounding)
                             : Text();
                });
              }},
    Field{.key = Part::keys[4],
          .kind = Kind::format,
          .standard = "\"exact\"",
          .meaning = "exact: fused; else the format of each product",
          .scope = Scope::cell,
          .range = "\"exact\" or a format",
          .read =
              [](Config& c, Name n, const Value& v, const Field&) {
                return read_format_or_none(v, "exact", Part::mac(c, n).product);
              },
          .write =
              [](const Config& c, Name n, Form form) {
                return write_part<Part>(c, n, [&](const MacConfig& mac) {
                  return format_or_none(form, mac.product, "exact");
                });
              }},
    Field{.key = Part::keys[5],
          .kind = Kind::format,
          .standard = "\"none\"",
          .meaning = "format that every sum is rounded to first, RNE",
          .scope = Scope::cell,
          .range = "\"none\" or a format",
          .read = [](Config& c, Name n, const Value& v,
                     const Field&) { return read_format_or_none(v, "none", Part::mac(c, n).via); },
          .write =
              [](const Config& c, Name n, Form form) {
                return write_part<Part>(c, n, [&](const MacConfig& mac) {
                  return format_or_none(form, mac.via, "none");
                });
              }},
    Field{.key = Part::keys[6],
          .kind = Kind::choice,
          .standard = "\"RNE\"",
          .meaning = "rounding to the format; SR, SRE are stochastic",
          .scope = Scope::cell,
          .choices = choices_of<rounding_names>,
          .read =
              [](Config& c, Name n, const Value& v, const Field& f) {
                return read_choice(v, f, rounding_names, Part::mac(c, n).rounding);
              },
          .write =
              [](const Config& c, Name n, Form) {
                return write_part<Part>(c, n, [](const MacConfig& mac) {
                  return mac.rounding ? choice_text(rounding_names, *mac.rounding) : Text();
                });
              }},
    Field{.key = Part::keys[7],
          .kind = Kind::integer,
          .standard = "32",
          .meaning = "random bits of SR",
          .scope = Scope::cell,
          .min = 1,
          .max = 32,
          .read = [](Config& c, Name n, const Value& v,
                     const Field& f) { return read_integer(v, f, Part::mac(c, n).random_bits); },
          .write =
              [](const Config& c, Name n, Form) {
                return write_part<Part>(c, n, [](const MacConfig& mac) {
                  return mac.random_bits ? Text(std::to_string(*mac.random_bits)) : Text();
                });
              }},
};

/// The keys of the table one by one, each by its own row.
Outcome read_block(Config& config, Name name, const Value& value, const Field&) {
  const Value::Table* table = value.get<Value::Table>();
  if (table == nullptr) return wrong(value);
  static_cast<void>(Block::mac(config, name));
  for (const Entry& entry : *table) {
    const std::string path = "arithmetic." + std::string(name) + ".block." + entry.key;
    const FieldMatch match = find_field(path);
    if (match.field != nullptr) {
      if (Outcome problem = read_field(config, match, entry.value)) return problem;
      continue;
    }
    Problem problem = unknown_key(path, config);
    problem.where = entry.where;
    return problem;
  }
  return std::nullopt;
}

const std::string& legal_orders() {
  static const std::string forms = order_forms();
  return forms;
}

std::span<const Choice> engine_choices() {
  static const std::vector<Choice> choices = [] {
    std::vector<Choice> list;
    for (const Engine& engine : engines()) list.push_back({engine.name});
    return list;
  }();
  return choices;
}

/// As identities have always said them.
constexpr std::array<NamedValue<EngineProtocol>, 3> protocol_ids{
    {{"0", EngineProtocol::fused},
     {"1", EngineProtocol::separate},
     {"2", EngineProtocol::interleaved}}};
static_assert(names_all(protocol_ids));

/// What the engine does with these operands and this format, so that two names of one thing are
/// one; the name where it cannot do it.
std::string engine_identity(const ArithmeticConfig& a) {
  const NumberSystem operands = a.operands.system.value_or(default_engine_operands);
  if (operands.float_format() == nullptr) return toml_string(a.engine);
  const Result<Arithmetic> known = engine_arithmetic(
      a.engine, *operands.float_format(), a.has_format() ? a.accumulator() : default_engine_format);
  if (!known) return toml_string(a.engine);
  const EngineStep& step = *engine_step(known->order);
  return "{products = " + std::to_string(step.products) +
         ", fraction_bits = " + std::to_string(step.fraction_bits) +
         ", output = " + format_identity(step.output) +
         ", rounding = " + std::string(rounding_name(step.rounding)) +
         ", protocol = " + std::string(name_in(protocol_ids, step.protocol)) + "}";
}

std::vector<Field> all_fields() {
  std::vector<Field> all(mac_fields<Itself>.begin(), mac_fields<Itself>.end());
  all.push_back({.key = "arithmetic.*.order",
                 .kind = Kind::text,
                 .standard = "\"sequential\"",
                 .meaning = "order of summation",
                 .scope = Scope::cell,
                 .range = legal_orders(),
                 .read = [](Config& c, Name n, const Value& v,
                            const Field&) { return read_order(v, arithmetic(c, n).order); },
                 .write =
                     [](const Config& c, Name n, Form) {
                       const ArithmeticConfig& a = arithmetic(c, n);
                       return a.order ? Text(toml_string(order_text(*a.order))) : Text();
                     }});
  all.push_back(
      {.key = "arithmetic.*.part",
       .kind = Kind::format,
       .standard = "\"none\"",
       .meaning = "format that the sum of each part of an order split:S is rounded to, "
                  "RNE, before it is added",
       .scope = Scope::cell,
       .range = "\"none\" or a format",
       .read = [](Config& c, Name n, const Value& v,
                  const Field&) { return read_format_or_none(v, "none", arithmetic(c, n).part); },
       .write =
           [](const Config& c, Name n, Form form) {
             const FormatOrNone& part = arithmetic(c, n).part;
             const bool as_ever = form == Form::identity && !part.format;
             return as_ever ? Text() : format_or_none(form, part, "none");
           }});
  all.push_back(
      {.key = "arithmetic.*.block",
       .kind = Kind::other,
       .standard = "absent",
       .meaning =
           "arithmetic inside the blocks of the order blocked:B; absent: the same as outside",
       .range = "a table of the keys block.*",
       .read = read_block});
  all.insert(all.end(), mac_fields<Block>.begin(), mac_fields<Block>.end());
  all.push_back({.key = "arithmetic.*.block.order",
                 .kind = Kind::choice,
                 .standard = "\"sequential\"",
                 .meaning = "order inside a block: no other yet",
                 .choices = block_orders,
                 .read = [](Config&, Name, const Value& v, const Field& f) {
                   std::string order;
                   return read_name(v, f, order);
                 }});
  all.push_back({.key = "arithmetic.*.engine",
                 .kind = Kind::choice,
                 .standard = "absent",
                 .meaning =
                     "matrix engine of a GPU (lamp formats NAME): operands binary16 and "
                     "format binary32 where absent; no other keys but operand_rounding, part "
                     "and an order split:S",
                 .scope = Scope::cell,
                 .choices = engine_choices(),
                 .read = [](Config& c, Name n, const Value& v,
                            const Field& f) { return read_name(v, f, arithmetic(c, n).engine); },
                 .write =
                     [](const Config& c, Name n, Form form) {
                       const ArithmeticConfig& a = arithmetic(c, n);
                       if (a.engine.empty()) return Text();
                       return Text(form == Form::toml ? toml_string(a.engine) : engine_identity(a));
                     }});
  return all;
}

}  // namespace

std::span<const Field> arithmetic_fields() {
  static const std::vector<Field> list = all_fields();
  return list;
}

}  // namespace lamp::experiments
