// Arithmetics against the sites they are planned for. Orders that are explicit trees are for sums
// of one length: the sums of the site have it. Operands of keys and values do not read a whole
// tensor: no later key enters a row.
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

std::optional<Problem> check_tensor(const Arithmetic& arithmetic, Site site,
                                    const std::string& key) {
  const std::optional<NumberSystem>& operands = arithmetic.steps().operands;
  if ((site != Site::scores && site != Site::values) || !operands || !reads_tensor(*operands))
    return std::nullopt;
  return Problem{.key = key,
                 .message = "at the site " + std::string(info(site).name) + " the operands " +
                            system_word(*operands) +
                            " would read keys that come later; legal: operands that read their own "
                            "row alone, such as tensor_scale = 1"};
}

std::optional<Problem> check_tree(const Arithmetic& arithmetic, const SiteRow& site,
                                  const std::string& key, const Config& config,
                                  const ModelConfig& model) {
  if (std::optional<Problem> problem = check_tensor(arithmetic, site.site, key)) return problem;
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

bool reads_tensor_of(const MacConfig& mac) {
  return mac.operands.system && reads_tensor(*mac.operands.system);
}

/// Whether an order of fixed length or operands that read a tensor are an arithmetic's, or a value
/// of an axis: else there is nothing to look for cell by cell.
bool names_trees(const Config& config) {
  const auto has_tree = [](const NamedArithmetic& a) {
    return (a.value.order && has_fixed_length(*a.value.order)) || reads_tensor_of(a.value) ||
           (a.value.block && reads_tensor_of(*a.value.block));
  };
  if (std::any_of(config.arithmetics.begin(), config.arithmetics.end(), has_tree)) return true;
  const auto is_tree = [](const Coordinate& value) {
    const Result<Order> order = parse_order(std::get<std::string>(value));
    return order && has_fixed_length(*order);
  };
  const auto is_tensor_reader = [](const Coordinate& value) {
    std::optional<NumberSystem> system;
    return !read_number_system({.data = std::get<std::string>(value)}, system) &&
           reads_tensor(*system);
  };
  return std::any_of(config.grid.begin(), config.grid.end(), [&](const GridAxis& axis) {
    return (axis.key.ends_with(".order") &&
            std::any_of(axis.values.begin(), axis.values.end(), is_tree)) ||
           (axis.key.ends_with(".operands") &&
            std::any_of(axis.values.begin(), axis.values.end(), is_tensor_reader));
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
        !axis.key.ends_with(".operands") && !axis.key.ends_with(".recompute"))
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
