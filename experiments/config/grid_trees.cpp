// Orders that are explicit trees, of which each is for sums of one length: that the sums of the
// sites they are planned for have it.
#include <algorithm>

#include "core/arith/orders/order_text.hpp"
#include "core/model/networks/network.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {
namespace {

/// The last token generated is not read.
std::size_t longest_row(const ContinuationConfig& continuation) {
  return continuation.prefix + continuation.tokens - 1;
}

/// Rows of the longest pass.
std::size_t longest_pass(const Config& config) {
  return std::max(config.tokens.sequence_length,
                  config.continuation ? longest_row(*config.continuation) : 1);
}

std::optional<Problem> check_tree(const Arithmetic& arithmetic, const SiteRow& site,
                                  const std::string& key, const Config& config,
                                  const ModelConfig& model) {
  const std::optional<SumLengths> lengths = sum_lengths(model, site, longest_pass(config));
  if (!lengths) return std::nullopt;
  for (const std::size_t n : {lengths->longest, lengths->causal ? 1 : lengths->longest})
    if (const Result<void> fits = check_length(arithmetic.order, n); !fits)
      return Problem{.key = key,
                     .message = "at the site " + std::string(info(site.site).name) + " " +
                                fits.error().message};
  return std::nullopt;
}

/// Every arithmetic of the plan where it is used.
std::optional<Problem> check_trees_of(const PrecisionPlan& plan, const std::string& key,
                                      const Config& config, const ModelConfig& model) {
  for (const SiteRow& site : model.network->sites) {
    for (std::size_t l = 0; l < layers_of(model, site.site); ++l)
      for (std::size_t h = 0; h < heads_of(model, site.site); ++h)
        if (std::optional<Problem> problem =
                check_tree(plan.at(site.site, Layer{l}, Head{h}), site, key, config, model))
          return problem;
    if (const SelectionPlan* selection = plan.selection(site.site))
      if (std::optional<Problem> problem =
              check_tree(selection->recompute, site,
                         "lamp." + std::string(info(site.site).name) + ".recompute", config, model))
        return problem;
  }
  return std::nullopt;
}

/// Whether an order of fixed length is an arithmetic's, or a value of an axis over orders: else
/// there is nothing to look for cell by cell.
bool names_trees(const Config& config) {
  const auto has_tree = [](const NamedArithmetic& a) {
    return a.value.order && has_fixed_length(*a.value.order);
  };
  if (std::any_of(config.arithmetics.begin(), config.arithmetics.end(), has_tree)) return true;
  const auto is_tree = [](const Coordinate& value) {
    const Result<Order> order = parse_order(std::get<std::string>(value));
    return order && has_fixed_length(*order);
  };
  return std::any_of(config.grid.begin(), config.grid.end(), [&](const GridAxis& axis) {
    return axis.key.ends_with(".order") &&
           std::any_of(axis.values.begin(), axis.values.end(), is_tree);
  });
}

}  // namespace

std::optional<Problem> check_trees(const Config& config, const ModelConfig& model) {
  if (const ArithmeticConfig* reference = config.arithmetic(config.reference))
    if (std::optional<Problem> problem = check_trees_of(PrecisionPlan(reference->arithmetic()),
                                                        "reference.arithmetic", config, model))
      return problem;
  if (!names_trees(config)) return std::nullopt;
  Config deciding = config;
  for (GridAxis& axis :
       deciding.grid)  // one value of the axes that change neither orders nor where they are used
    if (!axis.key.starts_with("plan.") && !axis.key.ends_with(".order") &&
        !axis.key.ends_with(".recompute"))
      axis.values.resize(1);
  std::vector<std::size_t> index(deciding.grid.size(), 0);
  do {
    if (std::optional<Problem> problem =
            check_trees_of(plan_of(cell_config(deciding, index)), "plan", config, model))
      return problem;
  } while (next_cell(deciding, index));
  return std::nullopt;
}

}  // namespace lamp::experiments
