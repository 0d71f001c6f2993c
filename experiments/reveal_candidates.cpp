#include "experiments/reveal_candidates.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "core/arith/engine.hpp"
#include "core/arith/order_text.hpp"
#include "core/arith/scalar.hpp"
#include "core/arith/tree.hpp"
#include "core/base/philox.hpp"
#include "experiments/arithmetic_config.hpp"

namespace lamp::experiments {
namespace {

/// Random numbers of a format around 1; sums of n products do not overflow.
class Draws {
 public:
  Draws(std::uint32_t seed, const FloatFormat& format, std::size_t n) : seed_(seed), format_(format) {
    const int room = format.emax - 2 - static_cast<int>(std::bit_width(n));
    high_ = std::clamp(room / 2, format.emin, std::max(format.emin, 3));
    low_ = std::max(format.emin, high_ - 9);
  }
  std::uint32_t below(std::uint32_t n) {
    const PhiloxCounter words = philox4x32({counter_++, 2, 0, 0}, {seed_, 0});
    return static_cast<std::uint32_t>((std::uint64_t{words[0]} * n) >> 32);
  }
  /// At most `bits` significant bits.
  double number(int bits) {
    const PhiloxCounter words = philox4x32({counter_++, 3, 0, 0}, {seed_, 0});
    const std::uint64_t fraction = ((std::uint64_t{words[0]} << 32) | words[1]) >> 12;
    const double significand = 1.0 + static_cast<double>(fraction >> (53 - bits) << (53 - bits)) * 0x1p-52;
    const int exponent = low_ + static_cast<int>(words[2] % static_cast<std::uint32_t>(high_ - low_ + 1));
    const double x = round(std::ldexp(significand, exponent), format_);
    return (words[3] & 1U) != 0 ? -x : x;
  }

 private:
  std::uint32_t seed_, counter_ = 0;
  const FloatFormat& format_;
  int low_ = 0, high_ = 0;
};

bool wider(const FloatFormat& format, const FloatFormat& than) { return format != than && contains(format, than); }

/// Multiply-accumulates of a binary order, the likeliest first.
std::vector<MacSpec> multiply_accumulates(const FloatFormat& format) {
  std::vector<MacSpec> specs;
  std::vector<FloatFormat> accumulators{format};
  for (const FloatFormat& wide : {binary32, binary64})
    if (wider(wide, format)) accumulators.push_back(wide);
  for (const FloatFormat& accumulator : accumulators) {
    specs.push_back({.format = accumulator});
    specs.push_back({.product = accumulator, .format = accumulator});
  }
  for (std::size_t v = 1; v < accumulators.size(); ++v)
    for (const bool rounded : {false, true})
      specs.push_back({.product = rounded ? std::optional(accumulators[v]) : std::nullopt, .via = accumulators[v], .format = format});
  for (const Rounding mode : {Rounding::rtz, Rounding::rna, Rounding::rtp, Rounding::rtn, Rounding::rto}) {
    specs.push_back({.format = format, .rounding = mode});
    specs.push_back({.product = format, .format = format, .rounding = mode});
  }
  return specs;
}

/// Which of two terms that are added to each other is a multiply-accumulate on the other one's product.
enum class Pairs { later_fused, earlier_fused, alone };

/// The tree in which terms that are added to partial sums are fused.
AdditionTree with_fused_leaves(const AdditionTree& tree, Pairs pairs) {
  const std::vector<AdditionTree::Node>& nodes = tree.nodes();
  const auto is_leaf = [&](AdditionTree::Index node) { return nodes[node].children.empty(); };
  std::vector<bool> fused(nodes.size());
  for (const AdditionTree::Node& node : nodes) {
    if (node.children.empty()) continue;
    const AdditionTree::Index x = node.children[0], y = node.children[1];
    if (is_leaf(x) && is_leaf(y)) {
      const bool y_is_later = nodes[y].term > nodes[x].term;
      if (pairs != Pairs::alone) fused[y_is_later == (pairs == Pairs::later_fused) ? y : x] = true;
    } else {
      fused[x] = is_leaf(x), fused[y] = is_leaf(y);
    }
  }
  AdditionTree copy;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    nodes[i].children.empty() ? copy.leaf(nodes[i].term, fused[i]) : copy.add(nodes[i].children);
  return copy;
}

constexpr std::size_t most_parts = 32;  // of split-K on an engine

/// Steps of `size` products with any number of fraction bits.
void add_steps(std::vector<Arithmetic>& list, std::size_t size, const FloatFormat& format) {
  constexpr int most_fraction_bits = 60;
  std::vector<FloatFormat> accumulators{binary32, ps(13)};
  if (format != binary32) accumulators.push_back(format);
  for (const FloatFormat& accumulator : accumulators)
    for (const Rounding mode : {Rounding::rtz, Rounding::rne})
      for (int bits = 0; bits <= most_fraction_bits; ++bits)
        list.push_back({.mac = {.operands = format, .format = accumulator, .rounding = mode},
                        .order = {.kind = OrderKind::multiterm, .size = size, .fraction_bits = bits}});
}

}  // namespace

std::vector<DotProduct> random_products(std::size_t n, const FloatFormat& format, std::size_t count) {
  constexpr std::size_t kinds = 10;
  std::vector<DotProduct> products;
  Draws draws(0, format, n);
  for (std::size_t q = 0; q < count; ++q) {
    DotProduct dot{std::vector<double>(n), std::vector<double>(n)};
    const std::size_t kind = q % kinds;
    for (std::size_t k = 0; k < n; ++k) {
      const int bits = kind < 6 ? format.p : 1 + static_cast<int>(draws.below(static_cast<std::uint32_t>(std::min(format.p, 4))));
      dot.a[k] = draws.number(bits), dot.b[k] = draws.number(bits);
      if (kind == 9 && draws.below(2) == 0) dot.a[k] = std::copysign(0.0, dot.a[k]);
    }
    if (kind == 8)  // each second term once more, negated, somewhere else
      for (std::size_t k = 0; k + 1 < n; k += 2) {
        const std::size_t other = draws.below(static_cast<std::uint32_t>(n));
        dot.a[other] = -dot.a[k], dot.b[other] = dot.b[k];
      }
    if (q == kind && kind == 9)  // once: every product is -0
      for (std::size_t k = 0; k < n; ++k) dot.a[k] = -0.0, dot.b[k] = std::abs(dot.b[k]);
    products.push_back(std::move(dot));
  }
  return products;
}

std::vector<Arithmetic> candidates(const AdditionTree* tree, std::size_t n, const FloatFormat& format) {
  std::vector<Arithmetic> list;
  std::vector<Order> orders;
  if (tree != nullptr && tree->has_groups()) {
    for (const Engine& engine : engines())
      for (const EngineMode& mode : engine.modes) {
        const Result<Arithmetic> known = engine_arithmetic(engine.name, mode.operands, mode.format);
        if (!known || mode.operands != format) continue;
        Arithmetic arithmetic = *known;
        for (std::size_t parts = 0; parts <= std::min(n, most_parts); ++parts) {
          arithmetic.order.size = parts;
          if (*tree_of(arithmetic.order, n) == *tree) list.push_back(arithmetic);
        }
      }
    for (const Order& order : orders_of(*tree)) add_steps(list, order.size, format);
    if (!list.empty()) return list;  // else the tree is none of ours: the nearest of the rest
  }
  if (tree != nullptr && !tree->has_groups()) {
    orders = orders_of(*tree);
    for (const Pairs pairs : {Pairs::later_fused, Pairs::earlier_fused, Pairs::alone})
      orders.push_back(parse_order(with_fused_leaves(*tree, pairs).fused_text()).value());
    orders.push_back(parse_order("tree:" + tree->text()).value());
  }
  for (const Order& order : orders)
    for (const MacSpec& mac : multiply_accumulates(format)) {
      list.push_back({.mac = mac, .order = order});
      if (order.kind == OrderKind::blocked && mac == MacSpec{.format = format})
        for (const FloatFormat& inner : {binary32, binary64})
          if (wider(inner, format)) list.push_back({.mac = mac, .order = order, .block = MacSpec{.format = inner}});
    }
  for (const MacSpec& mac : multiply_accumulates(format))
    for (const OrderKind kind : {OrderKind::kahan, OrderKind::neumaier, OrderKind::exact})
      list.push_back({.mac = mac, .order = {.kind = kind}});
  return list;
}

Agreement best_candidate(const std::vector<Arithmetic>& candidates, const std::vector<DotProduct>& products,
                         const std::vector<double>& answers) {
  const auto agrees = [&](const Arithmetic& arithmetic, std::size_t q) {
    const double y = dot(arithmetic, products[q].a, products[q].b);
    return std::bit_cast<std::uint64_t>(y) == std::bit_cast<std::uint64_t>(answers[q]) || (std::isnan(y) && std::isnan(answers[q]));
  };
  std::optional<Agreement> best;
  for (const Arithmetic& arithmetic : candidates) {
    std::size_t agreed = 0;
    for (std::size_t q = 0; q < products.size(); ++q) {
      agreed += agrees(arithmetic, q) ? 1 : 0;
      if (best && agreed + (products.size() - q - 1) <= best->products) break;  // no better any more
    }
    if (!best || agreed > best->products) best = Agreement{arithmetic, agreed};
    if (best->products == products.size()) break;
  }
  expects(best.has_value(), "best_candidate: there is a candidate");
  return *best;
}

std::vector<std::pair<std::string, std::string>> keys_of(const Arithmetic& arithmetic) {
  std::vector<std::pair<std::string, std::string>> keys;
  if (arithmetic.order.kind == OrderKind::engine) {
    Arithmetic whole = arithmetic;
    whole.order.size = 0;
    for (const Engine& engine : engines())
      for (const EngineMode& mode : engine.modes)
        if (keys.empty() && engine_arithmetic(engine.name, mode.operands, mode.format).value() == whole)
          keys = {{"engine", std::string(engine.name)}, {"operands", format_word(mode.operands)}, {"format", format_word(mode.format)}};
    if (arithmetic.order.splits_engine()) keys.emplace_back("order", "split:" + std::to_string(arithmetic.order.size));
    return keys;
  }
  const auto mac_keys = [&](const MacSpec& mac, const std::string& prefix) {
    keys.emplace_back(prefix + "format", format_word(mac.format));
    if (mac.operands) keys.emplace_back(prefix + "operands", format_word(*mac.operands));
    if (mac.product) keys.emplace_back(prefix + "product", format_word(*mac.product));
    if (mac.via) keys.emplace_back(prefix + "via", format_word(*mac.via));
    if (mac.rounding != Rounding::rne) keys.emplace_back(prefix + "rounding", std::string(rounding_name(mac.rounding)));
  };
  mac_keys(arithmetic.mac, "");
  keys.emplace_back("order", order_text(arithmetic.order));
  if (arithmetic.block) mac_keys(*arithmetic.block, "block.");
  return keys;
}

}  // namespace lamp::experiments
