// A network is a table of its sites. The pass runs the table, in both implementations; the reader
// of checkpoints, the recorder, costs and checks read it. Data and no arithmetic.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/contract.hpp"
#include "core/base/index.hpp"
#include "core/model/files/config.hpp"
#include "core/model/site.hpp"

namespace lamp {

class ConfigReader;

/// What a site computes of its inputs: once in core/model/ops and once in core/mpfr/steps.hpp.
enum class Operation : std::uint8_t {
  embed,         // token vector + position vector
  embed_tokens,  // token vector
  layer_norm,    // of each row of its input
  rms_norm,      // of each row of its input
  linear,        // input W + bias
  rope,          // rotary positions: rotates pairs of each head's components of its input
  scores,        // queries keys^T / sqrt(width of a head), causal; inputs: queries, keys
  softmax,       // of each row of its input
  values,        // weighted sums over the causal rows; inputs: weights, what is summed
  residual,      // stream + input, which becomes the stream
  activation,    // PassOptions::activation of each element of its input
  product,       // of two inputs, element by element
  logits         // input W, by blocks of rows
};

/// A width or a length, as a function of the model's shape.
using Extent = std::size_t (*)(const ModelConfig&);

/// The columns first .. first + count - 1.
struct Columns {
  std::size_t first, count;
};

/// What a site reads.
struct Input {
  std::optional<Site> site{};  // absent: the residual stream, as the site before left it
  /// The columns that a head reads; where heads share keys, those of its group. Null: all columns,
  /// or the head's own where both sites are per head.
  Columns (*columns)(const ModelConfig&, Head) = nullptr;
  bool earlier_rows = false;  // also the rows of earlier passes: keys and values
};
inline constexpr Input residual_stream{};

/// A tensor of a checkpoint: its name, within the layer where its site is per layer, and its shape.
struct TensorRow {
  std::string_view name;
  Extent rows = nullptr;
  Extent cols = nullptr;  // null: a vector
  /// Whether checkpoints of a shape have it; null: they do, but a bias may be left out.
  bool (*present)(const ModelConfig&) = nullptr;
};

/// The function f that is applied to the rows of a product g: what LAMP selects components of g for
/// (core/selection/target.hpp).
enum class Composition : std::uint8_t {
  softmax,       // of the row: the next site
  norm,          // of the residual sum that the next site adds the row to
  activation,    // of each component: a later site of the layer
  linear_map,    // of the rows of all heads side by side: a linear site, without its bias
  final_softmax  // of the logits: the distribution of the next token
};

/// A row of the table: what a site computes, of which inputs and with which tensors.
struct SiteRow {
  Site site;
  Operation operation;
  Extent width = nullptr;              // of its output, for one head; null: the rows so far
  std::array<Input, 2> inputs{};       // the first input_count(operation)
  std::array<TensorRow, 2> tensors{};  // the first tensor_count(operation)
  /// What is applied to the rows of this one: LAMP may select components of them.
  std::optional<Composition> f{};
  bool output_first = false;  // the weight of a linear layer is (out, in), as PyTorch's Linear
};

/// All that is known of a network. One file each; a row in list.cpp.
struct Network {
  std::string_view model_type;  // in config.json
  std::string_view title;       // in messages
  std::span<const SiteRow> sites;
  ModelConfig (*read)(ConfigReader&) = nullptr;  // the other keys of config.json
  std::string_view prefix{};                     // may stand before the name of every tensor
  std::string_view layer_prefix{};               // stands before "N." of those of layer N
  std::span<const std::string_view> ignored{};   // tensors that a layer may have
};

/// Every network, in the order of list.cpp.
std::span<const Network* const> networks();

constexpr std::size_t input_count(Operation operation) {
  switch (operation) {
    case Operation::embed:
    case Operation::embed_tokens:
      return 0;
    case Operation::layer_norm:
    case Operation::rms_norm:
    case Operation::linear:
    case Operation::rope:
    case Operation::softmax:
    case Operation::activation:
    case Operation::logits:
      return 1;
    case Operation::scores:
    case Operation::values:
    case Operation::residual:
    case Operation::product:
      return 2;
  }
  contract_violated("input_count: a known operation");
}

/// Of embed: token and position vectors; of embed_tokens the first. Of layer_norm: gamma, beta; of
/// rms_norm gamma. Of linear: weight (in, out) or (out, in), bias. Of logits: weight (out, in), in
/// whose place a tied model uses its token vectors.
constexpr std::size_t tensor_count(Operation operation) {
  switch (operation) {
    case Operation::embed:
    case Operation::layer_norm:
    case Operation::linear:
      return 2;
    case Operation::embed_tokens:
    case Operation::rms_norm:
    case Operation::logits:
      return 1;
    case Operation::rope:
    case Operation::scores:
    case Operation::softmax:
    case Operation::values:
    case Operation::residual:
    case Operation::activation:
    case Operation::product:
      return 0;
  }
  contract_violated("tensor_count: a known operation");
}

constexpr std::span<const Input> inputs_of(const SiteRow& row) {
  return std::span(row.inputs).first(input_count(row.operation));
}
constexpr std::span<const TensorRow> tensors_of(const SiteRow& row) {
  return std::span(row.tensors).first(tensor_count(row.operation));
}

constexpr bool embeds(Operation operation) {
  return operation == Operation::embed || operation == Operation::embed_tokens;
}

/// Whether a site's output becomes the residual stream.
constexpr bool makes_stream(Operation operation) {
  return embeds(operation) || operation == Operation::residual;
}

/// Whether the error of an inner product has an a-priori bound here: error weights `dot`.
constexpr bool has_bounds(Operation operation) {
  return operation == Operation::scores || operation == Operation::values ||
         operation == Operation::linear || operation == Operation::logits;
}

/// Whether a site's components are of queries and keys: what rules that read keys need.
constexpr bool has_keys(Operation operation) { return operation == Operation::scores; }

constexpr const SiteRow* find_row(std::span<const SiteRow> rows, Site site) {
  for (const SiteRow& row : rows)
    if (row.site == site) return &row;
  return nullptr;
}

/// The row that sums values weighted by the output of a site; null where nothing does.
constexpr const SiteRow* row_of_values(std::span<const SiteRow> rows, Site weights) {
  for (const SiteRow& row : rows)
    if (row.operation == Operation::values && row.inputs[0].site == weights) return &row;
  return nullptr;
}

constexpr bool is_norm(Operation operation) {
  return operation == Operation::layer_norm || operation == Operation::rms_norm;
}

/// The row whose output is what f makes of the output of g; null where that is no site of its own
/// (final_softmax), or lies in another layer (norm: see norm_of).
constexpr const SiteRow* row_of_f(std::span<const SiteRow> rows, const SiteRow& g) {
  if (!g.f || *g.f == Composition::final_softmax || *g.f == Composition::norm) return nullptr;
  const auto applies = [&](Operation operation) {
    return (*g.f == Composition::softmax && operation == Operation::softmax) ||
           (*g.f == Composition::activation && operation == Operation::activation) ||
           (*g.f == Composition::linear_map && operation == Operation::linear);
  };
  for (const SiteRow& row : rows)
    if (applies(row.operation) && row.inputs[0].site == g.site && row.inputs[0].columns == nullptr)
      return &row;
  return nullptr;
}

/// The linear map that follows an activation, and the product in between; null where there is none.
struct MapAfter {
  const SiteRow* linear = nullptr;
  const SiteRow* product = nullptr;
};
constexpr MapAfter map_after(std::span<const SiteRow> rows, Site activation) {
  MapAfter after;
  for (const SiteRow& row : rows) {
    const Site read = after.product != nullptr ? after.product->site : activation;
    if (row.operation == Operation::product &&
        (row.inputs[0].site == activation || row.inputs[1].site == activation))
      after.product = &row;
    if (row.operation == Operation::linear && row.inputs[0].site == read) after.linear = &row;
  }
  return after;
}

/// Whether what f makes is weighted by something that is known: what rules that read values need.
constexpr bool has_values(std::span<const SiteRow> rows, const SiteRow& g) {
  const SiteRow* f = row_of_f(rows, g);
  if (f == nullptr) return false;
  if (*g.f == Composition::activation) return map_after(rows, f->site).linear != nullptr;
  return row_of_values(rows, f->site) != nullptr;
}

/// The row that adds the output of g to the residual stream; null where the next one does not.
constexpr const SiteRow* row_of_sum(std::span<const SiteRow> rows, const SiteRow& g) {
  for (std::size_t at = 0; at + 1 < rows.size(); ++at)
    if (rows[at].site == g.site && rows[at + 1].operation == Operation::residual &&
        rows[at + 1].inputs[1].site == g.site)
      return &rows[at + 1];
  return nullptr;
}

/// How a network normalises, the same everywhere; nothing where it does not, or in two ways.
constexpr std::optional<Operation> norm_of(std::span<const SiteRow> rows) {
  std::optional<Operation> norm;
  for (const SiteRow& row : rows) {
    if (!is_norm(row.operation)) continue;
    if (norm && *norm != row.operation) return std::nullopt;
    norm = row.operation;
  }
  return norm;
}

/// The row of a site that the network has.
constexpr const SiteRow& row_of(const Network& network, Site site) {
  const SiteRow* row = find_row(network.sites, site);
  expects(row != nullptr, "row_of: a site of the network");
  return *row;  // NOLINT(clang-analyzer-core.uninitialized.UndefReturn): expects has not returned
}

/// The longest run of rows at the front that are all per layer, or all not; likewise for per head.
constexpr std::span<const SiteRow> same_grain(std::span<const SiteRow> rows,
                                              bool SiteInfo::*grain) {
  std::size_t n = 1;
  while (n < rows.size() && info(rows[n].site).*grain == info(rows[0].site).*grain) ++n;
  return rows.first(n);
}

/// Whether a row of `rows` reads the output of a site.
constexpr bool reads(std::span<const SiteRow> rows, Site site) {
  for (const SiteRow& row : rows)
    for (const Input& input : inputs_of(row))
      if (input.site == site) return true;
  return false;
}

/// Whether the f of a row is applied where the table says, to a product.
constexpr bool fits_f(std::span<const SiteRow> rows, std::size_t at) {
  const SiteRow& row = rows[at];
  const SiteInfo& site = info(row.site);
  const SiteRow* f = row_of_f(rows, row);
  switch (*row.f) {
    case Composition::softmax:
      return at + 1 < rows.size() && f == &rows[at + 1] && info(f->site).causal == site.causal &&
             info(f->site).per_layer == site.per_layer && info(f->site).per_head == site.per_head;
    case Composition::norm:
      return row.operation == Operation::linear && !site.per_head &&
             row_of_sum(rows, row) != nullptr && norm_of(rows).has_value();
    case Composition::activation:
      return row.operation == Operation::linear && f != nullptr;
    case Composition::linear_map:
      for (const SiteRow& later : rows)  // the heads are mixed when all are there
        if (info(later.site).per_head && reads(std::span(&later, 1), row.site)) return false;
      return row.operation == Operation::values && site.per_head && f != nullptr;
    case Composition::final_softmax:
      return row.operation == Operation::logits;
  }
  contract_violated("fits_f: a known composition");
}

/// Whether a row can stand where it does: what the pass relies on.
constexpr bool fits(std::span<const SiteRow> rows, std::size_t at) {
  const SiteRow& row = rows[at];
  const SiteInfo& site = info(row.site);
  if (find_row(rows, row.site) != &row || site.causal != (row.width == nullptr)) return false;
  const bool last = at + 1 == rows.size();
  if (embeds(row.operation) != (at == 0) || (row.operation == Operation::logits) != last ||
      (row.site == Site::logits) != last)
    return false;
  if (makes_stream(row.operation) && site.per_head) return false;
  if (row.operation == Operation::scores && !site.causal) return false;
  for (const Input& input : inputs_of(row)) {
    if (!input.site) continue;  // a value lasts while its layer is computed, the stream longer
    const SiteRow* from = find_row(rows.first(at), *input.site);
    if (from == nullptr || info(from->site).per_layer != site.per_layer ||
        makes_stream(from->operation))
      return false;
    if (input.earlier_rows && (!site.per_layer || info(from->site).per_head)) return false;
  }
  for (const TensorRow& tensor : tensors_of(row))
    if (tensor.name.empty() || tensor.rows == nullptr) return false;
  return !row.f || fits_f(rows, at);
}

/// Whether the pass can run the table: asserted beside each.
constexpr bool is_network(std::span<const SiteRow> rows) {
  for (std::size_t at = 0; at < rows.size(); ++at) {
    if (!fits(rows, at)) return false;
    for (bool SiteInfo::*grain : {&SiteInfo::per_layer, &SiteInfo::per_head})  // neighbours all
      for (std::size_t i = at + 1; i < rows.size(); ++i)
        if (info(rows[at].site).*grain && info(rows[i].site).*grain &&
            !(info(rows[i - 1].site).*grain))
          return false;
  }
  return rows.size() >= 2;
}

// What follows from the table and a config.

/// The number of layers of a site, 1 where it belongs to none; likewise of heads.
inline std::size_t layers_of(const ModelConfig& model, Site site) {
  return info(site).per_layer ? model.n_layer : 1;
}
inline std::size_t heads_of(const ModelConfig& model, Site site) {
  return info(site).per_head ? model.n_head : 1;
}

/// How many components a row of a site's output has, for one head, in a pass over `rows` rows.
inline std::size_t width_of(const ModelConfig& model, Site site, std::size_t rows) {
  const SiteRow& row = row_of(*model.network, site);
  return row.width == nullptr ? rows : row.width(model);
}

/// The columns of input k that a site reads in a head, in a pass over `rows` rows. Of a causal site
/// per head its square, of another one its columns among those of all heads.
inline Columns input_columns(const ModelConfig& model, const SiteRow& row, std::size_t k, Head head,
                             std::size_t rows) {
  const Input& input = row.inputs[k];
  if (input.columns != nullptr) return input.columns(model, head);
  if (!input.site) return {0, model.n_embd};
  const std::size_t width = width_of(model, *input.site, rows);
  if (!info(*input.site).per_head || info(*input.site).causal) return {0, width};
  if (info(row.site).per_head) return {head.value * width, width};
  return {0, model.n_head * width};
}

/// The lengths of a site's sums: one length, or all from 1 to it.
struct SumLengths {
  std::size_t longest;
  bool causal;
};

/// Nothing where the site sums nothing.
inline std::optional<SumLengths> sum_lengths(const ModelConfig& model, const SiteRow& row,
                                             std::size_t rows) {
  switch (row.operation) {
    case Operation::embed:
    case Operation::embed_tokens:
    case Operation::rope:
    case Operation::residual:
    case Operation::activation:
    case Operation::product:
      return std::nullopt;
    case Operation::layer_norm:
    case Operation::rms_norm:
    case Operation::linear:
    case Operation::scores:
    case Operation::logits:
      return SumLengths{input_columns(model, row, 0, Head{}, rows).count, false};
    case Operation::softmax:
    case Operation::values:
      return SumLengths{input_columns(model, row, 0, Head{}, rows).count,
                        info(*row.inputs[0].site).causal};
  }
  contract_violated("sum_lengths: a known operation");
}

/// Columns of a site per layer that later rows of a sequence need: keys and values.
struct KeptColumns {
  Site site;
  Columns columns;
};

inline std::vector<KeptColumns> kept_columns(const ModelConfig& model) {
  std::vector<KeptColumns> all;
  for (const SiteRow& row : model.network->sites)
    for (std::size_t k = 0; k < inputs_of(row).size(); ++k) {
      const Input& input = row.inputs[k];
      if (!input.earlier_rows) continue;
      auto kept = std::find_if(all.begin(), all.end(),
                               [&](const KeptColumns& c) { return c.site == *input.site; });
      for (std::size_t h = 0; h < heads_of(model, row.site); ++h) {
        const Columns c = input_columns(model, row, k, Head{h}, 0);
        if (kept == all.end()) kept = all.insert(kept, {*input.site, c});
        const std::size_t first = std::min(kept->columns.first, c.first),
                          end = std::max(kept->columns.first + kept->columns.count,
                                         c.first + c.count);
        kept->columns = {first, end - first};
      }
    }
  return all;
}

/// "h.3.attn.c_attn.weight" of layer 3.
inline std::string tensor_name(const Network& network, const SiteRow& row, const TensorRow& tensor,
                               std::size_t layer) {
  std::string name(tensor.name);
  if (!info(row.site).per_layer) return name;
  return std::string(network.layer_prefix) + std::to_string(layer) + "." + name;
}

}  // namespace lamp
