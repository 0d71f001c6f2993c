#include "core/arith/orders/order_text.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/arith/orders/tree.hpp"
#include "core/base/names.hpp"

namespace lamp {
namespace {

/// What follows the name.
enum class Parameters : std::uint8_t {
  none,
  count,
  count_and_bits,
  count_and_multiple,
  expression
};

constexpr std::size_t max_count = 1'000'000'000;
constexpr std::size_t max_lanes = std::size_t{1} << 20;
constexpr int max_fraction_bits =
    10'000;  // products of binary64 numbers span 4300 bits: nothing is truncated from there on

struct OrderName {
  std::string_view name;
  OrderKind kind;
  Parameters parameters = Parameters::none;
  std::string_view form = {};     // as help writes the parameters
  std::string_view meaning = {};  // of the parameters, for who left them out or got them wrong
};

constexpr std::string_view tree_meaning = "each term 0, 1, .. once, and as many as the sum has";

constexpr std::array names{
    OrderName{"sequential", OrderKind::sequential},
    OrderName{"reverse", OrderKind::reverse},
    OrderName{"blocked", OrderKind::blocked, Parameters::count, ":B", "the terms of a block"},
    OrderName{"pairwise", OrderKind::pairwise, Parameters::count, ":B",
              "the most terms that are added one after the other"},
    OrderName{"lanes", OrderKind::lanes, Parameters::count, ":L", "the number of lanes"},
    OrderName{"split", OrderKind::split, Parameters::count, ":S", "the number of parts"},
    OrderName{"panels", OrderKind::panels, Parameters::count_and_multiple, ":Q,U",
              "the terms of a part, and what the length of a shorter one is a multiple of"},
    OrderName{"lane-tree", OrderKind::lane_tree, Parameters::expression, ":((0 1) (2 3))",
              "each lane 0, 1, .. once"},
    OrderName{"numpy-sum", OrderKind::numpy_sum, Parameters::count, ":B",
              "the terms of numpy's buffer: 8192 up to numpy 2.2; 1000000000, which is none, from "
              "2.3 on"},
    OrderName{"multiterm", OrderKind::multiterm, Parameters::count_and_bits, ":N,F",
              "the terms of a step, and the fraction bits kept"},
    OrderName{"kahan", OrderKind::kahan},
    OrderName{"neumaier", OrderKind::neumaier},
    OrderName{"exact", OrderKind::exact},
    OrderName{"tree", OrderKind::tree, Parameters::expression, ":((0 1) (2 3))", tree_meaning},
    OrderName{"fused-tree", OrderKind::fused_tree, Parameters::expression, ":((0 1) (2 3))",
              tree_meaning}};
static_assert(names.size() + 1 == enumerators<OrderKind>());  // an engine's order has no text

const OrderName& name_of(OrderKind kind) {
  for (const OrderName& name : names)
    if (name.kind == kind) return name;
  contract_violated("order_text: the order is one of the catalog");
}

template <class Integer>
std::optional<Integer> whole_number(std::string_view text) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.front() == '-')
    return std::nullopt;
  return value;
}

std::string numbers_allowed(const OrderName& name) {
  switch (name.parameters) {
    case Parameters::none:
      return std::string(name.name) + " alone";
    case Parameters::count:
      if (name.kind == OrderKind::lanes)
        return "lanes:L with L a power of two, 1 to " + std::to_string(max_lanes);
      return std::string(name.name) + std::string(name.form) + " with an integer from 1 to " +
             std::to_string(max_count);
    case Parameters::count_and_bits:
      return "multiterm:N,F with N from 1 to " + std::to_string(max_count) + ", F from 0 to " +
             std::to_string(max_fraction_bits);
    case Parameters::count_and_multiple:
      return "panels:Q,U with Q and U from 1 to " + std::to_string(max_count);
    case Parameters::expression:
      return std::string(name.name) + std::string(name.form);
  }
  contract_violated("order_text: parameters of a known kind");
}

std::string legal_range(const OrderName& name) {
  return numbers_allowed(name) +
         (name.meaning.empty() ? "" : " (" + std::string(name.meaning) + ")");
}

std::optional<std::size_t> read_count(const OrderName& name, std::string_view text) {
  const std::optional<std::size_t> count = whole_number<std::size_t>(text);
  if (!count || *count < 1 || *count > max_count) return std::nullopt;
  if (name.kind == OrderKind::lanes && (!std::has_single_bit(*count) || *count > max_lanes))
    return std::nullopt;
  return count;
}

std::optional<Order> read_numbers(const OrderName& name, std::string_view parameters) {
  const std::size_t comma = parameters.find(',');
  const std::string_view first = parameters.substr(0, comma);
  if ((comma == std::string_view::npos) != (name.parameters == Parameters::count))
    return std::nullopt;
  const std::optional<std::size_t> count = read_count(name, first);
  if (!count) return std::nullopt;
  Order order{.kind = name.kind, .size = *count};
  if (name.parameters == Parameters::count) return order;
  if (name.parameters == Parameters::count_and_multiple) {
    const std::optional<std::size_t> multiple = read_count(name, parameters.substr(comma + 1));
    if (!multiple) return std::nullopt;
    order.multiple = *multiple;
    return order;
  }
  const std::optional<int> bits = whole_number<int>(parameters.substr(comma + 1));
  if (!bits || *bits > max_fraction_bits) return std::nullopt;
  order.fraction_bits = *bits;
  return order;
}

}  // namespace

bool operator==(const Order& x, const Order& y) {
  if (x.kind != y.kind || x.size != y.size || x.multiple != y.multiple ||
      x.fraction_bits != y.fraction_bits || x.engine != y.engine)
    return false;
  if (x.tree == nullptr || y.tree == nullptr) return x.tree == y.tree;
  return *x.tree == *y.tree;
}

Result<Order> parse_order(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view head = text.substr(0, colon);
  const auto bad = [&](const std::string& legal) {
    constexpr std::size_t shown = 60;
    const std::string quoted(text.substr(0, shown));
    return Error{
        ExitCode::bad_data,
        "order is \"" + quoted + (text.size() > shown ? "...\"" : "\"") + "; legal: " + legal};
  };
  for (const OrderName& name : names) {
    if (name.name != head) continue;
    const bool has_parameters = colon != std::string_view::npos;
    if (has_parameters != (name.parameters != Parameters::none)) return bad(legal_range(name));
    if (!has_parameters) return Order{.kind = name.kind};
    const std::string_view parameters = text.substr(colon + 1);
    if (name.parameters == Parameters::expression) {
      Result<SummationTree> tree =
          SummationTree::parse(parameters, name.kind == OrderKind::fused_tree);
      if (!tree) return Error{tree.error().code, "order: " + tree.error().message};
      return Order{.kind = name.kind,
                   .tree = std::make_shared<const SummationTree>(std::move(tree).value())};
    }
    const std::optional<Order> order = read_numbers(name, parameters);
    if (!order) return bad(legal_range(name));
    return *order;
  }
  return bad(order_forms());
}

std::string order_text(const Order& order) {
  const OrderName& name = name_of(order.kind);
  std::string text(name.name);
  if (name.parameters == Parameters::expression) {
    expects(order.tree != nullptr, "order_text: a tree order has its tree");
    return text.append(":").append(order.tree->text());
  }
  if (name.parameters != Parameters::none) text.append(":").append(std::to_string(order.size));
  if (name.parameters == Parameters::count_and_bits)
    text.append(",").append(std::to_string(order.fraction_bits));
  if (name.parameters == Parameters::count_and_multiple)
    text.append(",").append(std::to_string(order.multiple));
  return text;
}

std::string order_forms() {
  std::string forms;
  for (const OrderName& name : names)
    forms.append(forms.empty() ? "" : ", ").append(name.name).append(name.form);
  return forms;
}

Result<void> check_length(const Order& order, std::size_t n) {
  if (!has_fixed_length(order) || order.tree->terms() == n) return {};
  return Error{ExitCode::bad_data, "the order is a tree of " + std::to_string(order.tree->terms()) +
                                       " terms, the sum has " + std::to_string(n) +
                                       "; legal: as many terms as the tree has"};
}

}  // namespace lamp
