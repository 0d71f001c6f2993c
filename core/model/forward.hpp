// The forward pass of a GPT-2, layer by layer under a precision plan. Activations are binary64 at every site boundary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/model/plan.hpp"
#include "core/model/weights.hpp"

namespace lamp {

/// Where a tapped value comes from. Sites without layer or head leave them 0.
struct TapPoint {
  Site site = Site::embed;
  Layer layer{};
  Head head{};
  std::size_t first_row = 0;  // logits come in blocks of rows
};

/// Reads what passes. Values are valid during the call only.
class TapSink {
 public:
  virtual ~TapSink() = default;
  /// Rows are token positions. scores and softmax: (T, T), entries (i, j > i) are unspecified; values: (T, d_head).
  virtual void values(const TapPoint& point, MatrixView<const double> x) = 0;
  /// Whether local() is wanted at a site; it costs a second evaluation there.
  [[nodiscard]] virtual bool wants_local(Site) const { return false; }
  /// After values(): the same operation on the same computed inputs in the reference arithmetic (PassOptions::local_reference).
  virtual void local(const TapPoint& point, MatrixView<const double> x, MatrixView<const double> reference);
  /// Selected components of row `first_row` of a site with a selection rule: one byte per causal entry, 0 or 1.
  virtual void selected(const TapPoint& point, std::span<const std::uint8_t> marks) = 0;
};

/// What a forward pass needs besides the model: the coordinates that its random draws (rules, later rounding) depend on.
struct PassOptions {
  Activation activation = Activation::gelu_new;
  std::uint32_t seed = 0;
  std::uint32_t sequence = 0;
  const PrecisionPlan* local_reference = nullptr;  // arithmetic of local(); needed where a sink wants it
};

/// Buffers of a pass, reused from one to the next: one per thread.
class Workspace {
 public:
  Matrix<double> x, normed, qkv, attention, projected, hidden, scores, recomputed, bounds, probabilities, logits, local;
  std::vector<std::uint8_t> marks;
  SelectionScratch selection;
};

/// tokens: T ids, 1 <= T <= n_positions, each < vocab_size (checked: a programmer's error here, the caller validates).
void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
             Workspace& workspace);

}  // namespace lamp
