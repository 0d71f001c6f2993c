#include "experiments/instruments/products.hpp"

namespace lamp::experiments {

std::size_t terms_of(const ModelConfig& model, const SiteRow& row, std::size_t query) {
  switch (row.operation) {
    case Operation::linear:
    case Operation::logits:
    case Operation::scores:
      return input_columns(model, row, 0, Head{}, query + 1).count;
    case Operation::values:
      return query + 1;
    case Operation::embed:
    case Operation::embed_tokens:
    case Operation::layer_norm:
    case Operation::rms_norm:
    case Operation::rope:
    case Operation::product:
    case Operation::softmax:
    case Operation::residual:
    case Operation::activation:
      return 0;
  }
  contract_violated("terms_of: a known operation");
}

double macs_of(const ModelConfig& model, const SiteRow& row, std::size_t length) {
  double macs = 0.0;
  for (std::size_t i = 0; i < length; ++i) {
    const std::size_t components =
        info(row.site).causal ? i + 1 : width_of(model, row.site, length);
    macs += static_cast<double>(terms_of(model, row, i) * components);
  }
  return macs;
}

}  // namespace lamp::experiments
