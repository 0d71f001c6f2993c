// The operations whose row i depends on row i of their inputs alone, so that rows of any positions
// and passes may be evaluated together.
#pragma once

#include "core/model/networks/network.hpp"
#include "core/model/ops/sites.hpp"
#include "core/model/weights.hpp"

namespace lamp {

/// Evaluates such a site on rows of its inputs; x1 is looked at where the operation has a second
/// one. Row 0 is position `first` of its sequence, which rotary positions look at: their rows are
/// of consecutive positions. Pre: no embedding, scores, softmax or values.
inline void evaluate_rows(const Model& model, const SiteRow& row, Layer layer,
                          Activation activation, const Arithmetic& a, std::size_t first,
                          MatrixView<const double> x0, MatrixView<const double> x1,
                          MatrixView<double> out) {
  switch (row.operation) {
    case Operation::rms_norm:
      return rms_norm(a, model.weights.at<RmsNormWeights>(row.site, layer),
                      model.config.layer_norm_epsilon, x0, out);
    case Operation::rope:
      return rope(a, model.config.llama->rope, model.config.d_head(), first, x0, out);
    case Operation::product:
      return product(a, x0, x1, out);
    case Operation::layer_norm:
      return layer_norm(a, model.weights.at<LayerNormWeights>(row.site, layer),
                        model.config.layer_norm_epsilon, x0, out);
    case Operation::linear:
    case Operation::logits:
      return linear(a, model.weights.at<Linear>(row.site, layer), x0, out);
    case Operation::residual:
      return residual(a, x0, x1, out);
    case Operation::activation:
      return activate(a, activation, x0, out);
    case Operation::embed:
    case Operation::embed_tokens:
    case Operation::scores:
    case Operation::softmax:
    case Operation::values:
      break;
  }
  contract_violated("evaluate_rows: an operation of single rows");
}

}  // namespace lamp
