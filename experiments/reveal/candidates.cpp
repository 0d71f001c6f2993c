#include "experiments/reveal/candidates.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/arith/reveal/order_names.hpp"
#include "core/arith/scalar.hpp"
#include "experiments/config/arithmetic.hpp"

namespace lamp::experiments {
namespace {

constexpr Rounding directed_and_away[] = {Rounding::rtz, Rounding::rna, Rounding::rtp,
                                          Rounding::rtn, Rounding::rto};

bool wider(const FloatFormat& format, const FloatFormat& than) {
  return format != than && contains(format, than);
}

/// Sums of operands of `format` in something wider, the likeliest first: what processors and matrix
/// engines (binary32, its first 14 bits, both truncated) add narrow operands in; products exact, or
/// rounded to the sum's format or to the operands'.
std::vector<MacSpec> wide_sums(const FloatFormat& format) {
  struct Accumulator {
    FloatFormat format;
    Rounding rounding;
  };
  std::vector<MacSpec> specs;
  for (const Accumulator& sum :
       {Accumulator{binary32, Rounding::rne}, Accumulator{binary64, Rounding::rne},
        Accumulator{binary16, Rounding::rne}, Accumulator{bfloat16, Rounding::rne},
        Accumulator{binary32, Rounding::rtz}, Accumulator{ps(13), Rounding::rtz}}) {
    if (!wider(sum.format, format)) continue;
    specs.push_back({.format = sum.format, .rounding = sum.rounding});
    for (const FloatFormat& product : {sum.format, format})
      specs.push_back({.product = product, .format = sum.format, .rounding = sum.rounding});
  }
  return specs;
}

/// The same over operands that are rounded to something narrower first, after them over operands as
/// they are. Units that read binary32 as tf32 truncate it, or round it before.
std::vector<MacSpec> with_operands(const std::vector<MacSpec>& specs, const FloatFormat& format) {
  struct Operands {
    FloatFormat format;
    Rounding rounding = Rounding::rne;
  };
  std::vector<MacSpec> all = specs;
  for (const Operands& operands : {Operands{tf32}, Operands{bfloat16}, Operands{binary16},
                                   Operands{tf32, Rounding::rtz}, Operands{tf32, Rounding::rna}})
    if (wider(format, operands.format))
      for (MacSpec spec : specs) {
        spec.operands = operands.format, spec.operand_rounding = operands.rounding;
        all.push_back(spec);
      }
  return all;
}

constexpr std::array part_formats{bfloat16, binary16};  // what partial sums are stored in

/// Multiply-accumulates of a binary order, the likeliest first.
std::vector<MacSpec> multiply_accumulates(const FloatFormat& format) {
  const std::vector<MacSpec> wide = wide_sums(format);
  std::vector<MacSpec> specs{{.format = format}, {.product = format, .format = format}};
  specs.insert(specs.end(), wide.begin(), wide.end());
  for (const FloatFormat& via : {binary32, binary64})
    if (wider(via, format)) {
      specs.push_back({.via = via, .format = format});
      for (const FloatFormat& product : {via, format})
        specs.push_back({.product = product, .via = via, .format = format});
    }
  for (const Rounding mode : directed_and_away) {
    specs.push_back({.format = format, .rounding = mode});
    specs.push_back({.product = format, .format = format, .rounding = mode});
  }
  return with_operands(specs, format);
}

/// Which of two terms that are added to each other is a multiply-accumulate on the other one's
/// product.
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
void add_steps(std::vector<Candidate>& list, std::size_t size, const FloatFormat& format) {
  constexpr int most_fraction_bits = 60;
  std::vector<FloatFormat> accumulators{binary32, ps(13)};
  if (format != binary32) accumulators.push_back(format);
  for (const FloatFormat& accumulator : accumulators)
    for (const Rounding mode : {Rounding::rtz, Rounding::rne})
      for (int bits = 0; bits <= most_fraction_bits; ++bits)
        list.push_back({{.mac = {.operands = format, .format = accumulator, .rounding = mode},
                         .order = Multiterm{.size = size, .fraction_bits = bits}}});
}

/// Matrix engines and steps of their kind, for a tree that adds more than two terms at once.
std::vector<Candidate> engine_candidates(const AdditionTree& tree, const FloatFormat& format) {
  std::vector<Candidate> list;
  for (const Engine& engine : engines())
    for (const EngineMode& mode : engine.modes) {
      const Result<Arithmetic> known = engine_arithmetic(engine.name, mode.operands, mode.format);
      if (!known || mode.operands != format) continue;
      Arithmetic arithmetic = *known;
      const auto consider = [&] {
        if (*tree_of(arithmetic.order, tree.terms()) == tree) list.push_back({arithmetic});
      };
      consider();
      for (std::size_t parts = 1; parts <= std::min(tree.terms(), most_parts); ++parts) {
        arithmetic.order = SplitEngine{mode.step, parts};
        consider();
        for (const FloatFormat& part : part_formats)  // one part: the whole, rounded once more
          if (parts > 1 && wider(mode.format, part)) {
            arithmetic.order = SplitEngine{mode.step, parts, part};
            consider();
          }
      }
    }
  for (const Order& order : orders_of(tree))
    if (const auto* steps = std::get_if<Multiterm>(&order)) add_steps(list, steps->size, format);
  return list;
}

/// Orders with a tree of two children a node: those with a name, then all that may be fused.
std::vector<Order> binary_orders(const AdditionTree& tree) {
  std::vector<Order> orders = orders_of(tree);
  for (const Pairs pairs : {Pairs::later_fused, Pairs::earlier_fused, Pairs::alone})
    orders.push_back(parse_order(with_fused_leaves(tree, pairs).fused_text()).value());
  orders.push_back(parse_order("tree:" + tree.text()).value());
  return orders;
}

void add_order(std::vector<Candidate>& list, const Order& order, const FloatFormat& format) {
  for (const MacSpec& mac : multiply_accumulates(format))
    list.push_back({{.mac = mac, .order = order}});
}

/// Contiguous parts whose sums are rounded, where the order adds such parts of n terms.
void add_rounded_parts(std::vector<Candidate>& list, const Order& order, std::size_t n,
                       const FloatFormat& format) {
  std::size_t parts = 0;
  if (const auto* split = std::get_if<Split>(&order)) parts = split->parts;
  if (const auto* blocked = std::get_if<Blocked>(&order))  // the same tree, under its first name
    parts = (n + blocked->size - 1) / blocked->size;
  for (const MacSpec& mac : multiply_accumulates(format))
    for (const FloatFormat& part : part_formats)
      if (parts > 1 && wider(mac.format, part))
        list.push_back({{.mac = mac, .order = Split{parts, part}}});
}

/// All terms as one block of a wider sum, rounded once.
void add_whole_blocks(std::vector<Candidate>& list, std::size_t n, const FloatFormat& format) {
  const Order whole = Blocked{n};
  const std::vector<MacSpec> wide = with_operands(wide_sums(format), format);
  const auto add = [&](Rounding mode) {
    for (const MacSpec& block : wide)
      list.push_back(
          {{.mac = {.format = format, .rounding = mode}, .order = whole, .block = block}});
  };
  add(Rounding::rne);
  for (const Rounding mode : directed_and_away) add(mode);
}

/// Blocks that are summed in another arithmetic than their sums are.
void add_blocks(std::vector<Candidate>& list, const Order& order, const FloatFormat& format) {
  for (const MacSpec& block : with_operands(wide_sums(format), format))
    list.push_back({{.mac = {.format = format}, .order = order, .block = block}});
  for (const MacSpec& outer : wide_sums(format))
    for (const MacSpec& block : multiply_accumulates(format))
      if (!outer.product && block != outer)
        list.push_back({{.mac = outer, .order = order, .block = block}});
}

/// Candidates for a tree of two children a node.
std::vector<Candidate> binary_candidates(const AdditionTree& tree, const FloatFormat& format) {
  constexpr std::size_t least_terms_of_trees = 3;  // of fewer, every sum has the same tree
  const std::vector<Order> orders = binary_orders(tree);
  const bool is_sequential = is<Sequential>(orders.front());
  std::vector<Candidate> list;
  for (const Order& order : orders) {
    add_order(list, order, format);
    if (is<Blocked>(order)) add_blocks(list, order, format);
    add_rounded_parts(list, order, tree.terms(), format);
    if (is<Sequential>(order)) add_whole_blocks(list, tree.terms(), format);
  }
  // Of the orders without a tree Kahan's answers probes, as `sequential` does: -M takes the
  // corrections with it.
  if (is_sequential) add_order(list, Kahan{}, format);
  if (tree.terms() < least_terms_of_trees)
    for (const Order& order : {Order(Neumaier{}), Order(Exact{})}) add_order(list, order, format);
  return list;
}

/// Candidates for sums that swallow nothing: exact or compensated ones, and those that are wider
/// than M over the units.
std::vector<Candidate> treeless_candidates(std::size_t n, const FloatFormat& format) {
  std::vector<Candidate> list;
  add_order(list, Exact{}, format);
  add_whole_blocks(list, n, format);
  for (const Order& order : {Order(Neumaier{}), Order(Kahan{})}) add_order(list, order, format);
  return list;
}

/// Every candidate whose sum is wider than `format`, rounded to it once more at the end.
std::vector<Candidate> rounded_once(const std::vector<Candidate>& list, const FloatFormat& format) {
  std::vector<Candidate> rounded;
  for (const Rounding mode : {Rounding::rne, Rounding::rtz})
    for (const Candidate& candidate : list)
      if (wider(candidate.arithmetic.mac.format, format))
        rounded.push_back({candidate.arithmetic, FinalRounding{format, mode}});
  return rounded;
}

/// Answers as a candidate gives them while they are those of the command, in order; else an error.
class Impostor {
 public:
  Impostor(const Candidate& candidate, std::span<const double> answers)
      : candidate_(candidate), answers_(answers) {}

  Result<std::vector<double>> operator()(std::span<const DotProduct> products) {
    std::vector<double> given;
    for (const DotProduct& product : products) {
      if (next_ == answers_.size() || !same_bits(answer(candidate_, product), answers_[next_]))
        return Error{ExitCode::internal, "answer " + std::to_string(next_)};
      given.push_back(answers_[next_++]);
    }
    return given;
  }
  [[nodiscard]] bool all_given() const { return next_ == answers_.size(); }

 private:
  const Candidate& candidate_;
  std::span<const double> answers_;
  std::size_t next_ = 0;
};

}  // namespace

bool same_bits(double x, double y) {
  return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y) ||
         (std::isnan(x) && std::isnan(y));
}

std::vector<Candidate> candidates(const AdditionTree* tree, std::size_t n,
                                  const FloatFormat& format) {
  std::vector<Candidate> list = tree == nullptr      ? treeless_candidates(n, format)
                                : tree->has_groups() ? engine_candidates(*tree, format)
                                                     : binary_candidates(*tree, format);
  const std::vector<Candidate> rounded = rounded_once(list, format);
  list.insert(list.end(), rounded.begin(), rounded.end());
  return list;
}

double answer(const Candidate& candidate, const DotProduct& product) {
  const double sum = dot(candidate.arithmetic, product.a, product.b);
  return candidate.last ? round(sum, candidate.last->format, candidate.last->mode) : sum;
}

bool answers_probes(const Candidate& candidate, const Answers& answers) {
  for (std::size_t q = 0; q < answers.more.size(); ++q)
    if (!same_bits(answer(candidate, answers.more[q]), answers.to_more[q])) return false;
  Impostor impostor(candidate, answers.to_probes);
  // What the search finds is known already; what matters is whether it came to its end.
  static_cast<void>(reveal(answers.n, answers.format, std::ref(impostor)).ok());
  return impostor.all_given();
}

std::optional<Agreement> best_candidate(const std::vector<Candidate>& candidates,
                                        const Answers& answers) {
  const std::size_t count = answers.random.size();
  const auto agrees = [&](const Candidate& candidate, std::size_t q) {
    return same_bits(answer(candidate, answers.random[q]), answers.to_random[q]);
  };
  for (const Candidate& candidate : candidates) {
    std::size_t agreed = 0;
    while (agreed < count && agrees(candidate, agreed)) ++agreed;
    if (agreed == count && answers_probes(candidate, answers)) return Agreement{candidate, count};
  }
  std::optional<Agreement> best;
  for (const Candidate& candidate : candidates) {
    if (candidate.last) continue;
    std::size_t agreed = 0;
    for (std::size_t q = 0; q < count; ++q) {
      agreed += agrees(candidate, q) ? 1 : 0;
      if (best && agreed + (count - q - 1) <= best->products) break;  // no better any more
    }
    if ((!best || agreed > best->products) && answers_probes(candidate, answers))
      best = Agreement{candidate, agreed};
  }
  return best;
}

std::vector<std::pair<std::string, std::string>> keys_of(const Arithmetic& arithmetic) {
  std::vector<std::pair<std::string, std::string>> keys;
  const auto add_part = [&] {
    if (const FloatFormat* part = part_of(arithmetic.order))
      keys.emplace_back("part", format_word(*part));
  };
  if (const EngineStep* step = engine_step(arithmetic.order)) {
    Arithmetic whole = arithmetic;
    whole.order = MatrixEngine{*step};
    for (const Engine& engine : engines())
      for (const EngineMode& mode : engine.modes)
        if (keys.empty() &&
            engine_arithmetic(engine.name, mode.operands, mode.format).value() == whole)
          keys = {{"engine", std::string(engine.name)},
                  {"operands", format_word(mode.operands)},
                  {"format", format_word(mode.format)}};
    if (const auto* split = std::get_if<SplitEngine>(&arithmetic.order))
      keys.emplace_back("order", order_text(Split{split->parts}));
    add_part();
    return keys;
  }
  const auto mac_keys = [&](const MacSpec& mac, const std::string& prefix) {
    keys.emplace_back(prefix + "format", format_word(mac.format));
    if (mac.operands) keys.emplace_back(prefix + "operands", system_word(*mac.operands));
    if (mac.operand_rounding != Rounding::rne)
      keys.emplace_back(prefix + "operand_rounding",
                        std::string(rounding_name(mac.operand_rounding)));
    if (mac.product) keys.emplace_back(prefix + "product", format_word(*mac.product));
    if (mac.via) keys.emplace_back(prefix + "via", format_word(*mac.via));
    if (mac.rounding != Rounding::rne)
      keys.emplace_back(prefix + "rounding", std::string(rounding_name(mac.rounding)));
  };
  mac_keys(arithmetic.mac, "");
  keys.emplace_back("order", order_text(arithmetic.order));
  add_part();
  if (arithmetic.block) mac_keys(*arithmetic.block, "block.");
  return keys;
}

}  // namespace lamp::experiments
