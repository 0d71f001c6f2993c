// Orders that are explicit trees, of which each is for sums of one length: that the sums of the
// sites they are planned for have it.
#include <algorithm>

#include "core/arith/orders/order_text.hpp"
#include "core/model/files/config.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {
namespace {

/// Lengths of the sums of a site: one, or 1 to that many in the sites that are causal.
struct SumLengths {
  std::size_t longest;
  bool causal;
};

/// The last token generated is not read.
std::size_t longest_row(const ContinuationConfig& continuation) {
  return continuation.prefix + continuation.tokens - 1;
}

std::optional<SumLengths> sum_lengths(Site site, const Config& config, const ModelConfig& model) {
  switch (site) {
    case Site::embed:
    case Site::resid_1:
    case Site::resid_2:
    case Site::gelu:
      return std::nullopt;
    case Site::scores:
      return SumLengths{model.d_head(), false};
    case Site::softmax:
    case Site::values:
      return SumLengths{std::max(config.tokens.sequence_length,
                                 config.continuation ? longest_row(*config.continuation) : 1),
                        true};
    case Site::mlp_proj:
      return SumLengths{model.n_inner, false};
    case Site::ln_1:
    case Site::qkv:
    case Site::attn_proj:
    case Site::ln_2:
    case Site::mlp_fc:
    case Site::ln_f:
    case Site::logits:
      return SumLengths{model.n_embd, false};
  }
  contract_violated("grid: a site of the table");
}

std::optional<Problem> check_tree(const Arithmetic& arithmetic, Site site, const std::string& key,
                                  const Config& config, const ModelConfig& model) {
  const std::optional<SumLengths> lengths = sum_lengths(site, config, model);
  if (!lengths) return std::nullopt;
  for (const std::size_t n : {lengths->longest, lengths->causal ? 1 : lengths->longest})
    if (const Result<void> fits = check_length(arithmetic.order, n); !fits)
      return Problem{
          .key = key,
          .message = "at the site " + std::string(info(site).name) + " " + fits.error().message};
  return std::nullopt;
}

/// Every arithmetic of the plan where it is used.
std::optional<Problem> check_trees_of(const PrecisionPlan& plan, const std::string& key,
                                      const Config& config, const ModelConfig& model) {
  for (const SiteInfo& site : sites) {
    for (std::size_t l = 0; l < (site.per_layer ? model.n_layer : 1); ++l)
      for (std::size_t h = 0; h < (site.per_head ? model.n_head : 1); ++h)
        if (std::optional<Problem> problem =
                check_tree(plan.at(site.site, Layer{l}, Head{h}), site.site, key, config, model))
          return problem;
    if (const SelectionPlan* selection = plan.selection(site.site))
      if (std::optional<Problem> problem =
              check_tree(selection->recompute, site.site,
                         "lamp." + std::string(site.name) + ".recompute", config, model))
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
