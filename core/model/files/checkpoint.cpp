#include "core/model/files/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <utility>

#include "core/base/contract.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

std::string in_brackets(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (const std::size_t extent : shape)
    (text += text.size() > 1 ? ", " : "") += std::to_string(extent);
  return text += ")";
}

std::vector<std::size_t> shape_of(const TensorRow& tensor, const ModelConfig& config) {
  if (tensor.cols == nullptr) return {tensor.rows(config)};
  return {tensor.rows(config), tensor.cols(config)};
}

/// How many characters wrappers have put before every name.
template <class Tensors>
std::size_t wrappers_before_all(const Tensors& tensors) {
  constexpr std::array<std::string_view, 3> wrappers{"module.", "_orig_mod.", "model."};
  std::size_t length = 0;
  for (bool found = !tensors.empty(); found;) {
    found = false;
    for (const std::string_view wrapper : wrappers) {
      const auto has = [&](const auto& entry) {
        return std::string_view(entry.first).substr(length).starts_with(wrapper);
      };
      if (!std::all_of(tensors.begin(), tensors.end(), has)) continue;
      length += wrapper.size();
      found = true;
    }
  }
  return length;
}

/// Heads of models that are no language models, by how their tensors' names begin.
struct ForeignHead {
  std::string_view begins, of;
};
constexpr std::array<ForeignHead, 5> foreign_heads{
    {{"score.", "a classifier of sequences"},
     {"classifier.", "a classifier of tokens"},
     {"qa_outputs.", "a model that answers questions"},
     {"multiple_choice_head.", "a model of multiple choice (GPT2DoubleHeadsModel)"},
     {"v_head.", "a value model (reinforcement learning)"}}};
constexpr std::string_view without_head =
    R"x(python3 -c "import transformers as t; t.AutoModelForCausalLM.from_pretrained('.')x"
    R"x().save_pretrained('without-head')")x";

}  // namespace

Result<void> Checkpoint::check() {
  if (Result<void> done = index(); !done) return done;
  if (Result<void> done = expect_all(); !done) return done;
  return refuse_others();
}

Result<void> Checkpoint::index() {
  const std::string_view prefix = config_.network->prefix;
  const std::size_t wrapped = wrappers_before_all(files_.tensors());
  for (const auto& [name, tensor] : files_.tensors()) {
    const std::string inner = name.substr(wrapped);
    const std::string plain = inner.starts_with(prefix) ? inner.substr(prefix.size()) : inner;
    const auto [place, fresh] = tensors_.emplace(plain, Item{name, tensor});
    if (!fresh)
      return bad("tensors " + in_quotes(place->second.name) + " and " + in_quotes(name) +
                 " are the same one; legal: either name");
  }
  // A file may keep the one matrix of a tied model under the head's name alone.
  const std::string tokens(config_.network->sites.front().tensors[0].name),
      head(config_.network->sites.back().tensors[0].name);
  const auto found = tensors_.find(head);
  if (config_.tied && found != tensors_.end()) tensors_.emplace(tokens, found->second);
  return {};
}

/// Multi-query attention has the queries of all heads, and the keys and values of one.
bool Checkpoint::is_multi_query(const std::string& name, const Dimensions& shape) const {
  if (!name.ends_with("attn.c_attn.weight") || config_.n_head <= 1) return false;
  const std::size_t width = config_.n_embd, all = width + 2 * config_.d_head();
  return shape == Dimensions{width, all} || shape == Dimensions{all, width};
}

Result<void> Checkpoint::expect(const std::string& name, const Dimensions& shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end())
    return bad("tensor " + in_quotes(name) + " is missing; it should have shape " +
               in_brackets(shape));
  Item& item = found->second;
  item.used = true;
  if (item.tensor->shape != shape) {
    const bool transposed =
        shape.size() == 2 && item.tensor->shape == Dimensions{shape[1], shape[0]};
    const bool multi_query = is_multi_query(name, item.tensor->shape);
    return bad("tensor " + in_quotes(item.name) + " has shape " + in_brackets(item.tensor->shape) +
               "; legal: " + in_brackets(shape) +
               (transposed    ? ": it looks transposed"
                : multi_query ? ": it looks like multi-query attention (GPT-BigCode), which is not "
                                "read"
                              : ""));
  }
  if (item.tensor->type == TensorType::other)
    return bad("tensor " + in_quotes(item.name) + " has dtype " + item.tensor->type_name +
               "; legal: F64, F32, F16, BF16");
  return {};
}

/// False for a bias that the config says is not there, or that no layer has.
bool Checkpoint::is_expected(const SiteRow& row, const TensorRow& tensor) const {
  if (tensor.present != nullptr) return tensor.present(config_);
  if (!tensor.name.ends_with(".bias")) return true;
  for (std::size_t layer = 0; layer < layers_of(config_, row.site); ++layer)
    if (has(row, tensor, layer)) return true;
  return false;
}

/// The logits' own tensor may be there or not where the model is tied.
Result<void> Checkpoint::expect_site(const SiteRow& row, std::size_t layer) {
  for (const TensorRow& tensor : tensors_of(row)) {
    if (row.operation == Operation::logits && config_.tied && !has(row, tensor, layer)) continue;
    if (!is_expected(row, tensor)) continue;
    if (Result<void> done = expect(name_of(row, tensor, layer), shape_of(tensor, config_)); !done)
      return done;
  }
  return {};
}

Result<void> Checkpoint::expect_all() {
  for (std::span<const SiteRow> rest = config_.network->sites; !rest.empty();) {
    const std::span<const SiteRow> part = same_grain(rest, &SiteInfo::per_layer);
    for (std::size_t layer = 0; layer < layers_of(config_, part.front().site); ++layer)
      for (const SiteRow& row : part)
        if (Result<void> done = expect_site(row, layer); !done) return done;
    rest = rest.subspan(part.size());
  }
  return {};
}

/// True for "h.N.attn.bias", N < n_layer, where the network ignores "attn.bias".
bool Checkpoint::is_ignored(std::string_view name) const {
  const std::string_view prefix = config_.network->layer_prefix;
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  std::size_t layer = 0;
  const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc{} || layer >= config_.n_layer) return false;
  const std::span<const std::string_view> ignored = config_.network->ignored;
  return std::any_of(ignored.begin(), ignored.end(), [&](std::string_view tensor) {
    return name == std::to_string(layer) + "." + std::string(tensor);
  });
}

Result<void> Checkpoint::refuse_others() const {
  const Network& network = *config_.network;
  std::string legal;
  for (const std::string_view tensor : network.ignored)
    legal += std::string(network.layer_prefix) + "N." + std::string(tensor) + ", ";
  legal += network.sites.back().tensors[0].name;
  for (const auto& [name, item] : tensors_) {
    if (item.used || is_ignored(name)) continue;
    for (const ForeignHead& head : foreign_heads)
      if (name.starts_with(head.begins))
        return bad("tensor " + in_quotes(item.name) + " of shape " +
                   in_brackets(item.tensor->shape) + " is the head of " + std::string(head.of) +
                   ", no part of a language model; legal: the model without it; in that folder "
                   "run: " +
                   std::string(without_head));
    return bad("tensor " + in_quotes(item.name) + " of shape " + in_brackets(item.tensor->shape) +
               " is no part of a " + std::string(network.title) + " with n_layer " +
               std::to_string(config_.n_layer) + "; legal besides its weights: " + legal);
  }
  return {};
}

bool Checkpoint::has(const SiteRow& row, const TensorRow& tensor, std::size_t layer) const {
  return tensors_.contains(name_of(row, tensor, layer));
}

Result<Matrix<float>> Checkpoint::read(const SiteRow& row, const TensorRow& tensor,
                                       std::size_t layer) const {
  const auto found = tensors_.find(name_of(row, tensor, layer));
  expects(found != tensors_.end(), "Checkpoint: a checked tensor is read");
  const Item& item = found->second;
  Matrix<float> values(tensor.rows(config_), tensor.cols == nullptr ? 1 : tensor.cols(config_));
  const std::span<float> out = values.flat();
  if (const Result<void> done = files_.read(*item.tensor, out); !done) return done.error();
  const auto wrong =
      std::find_if(out.begin(), out.end(), [](float x) { return !std::isfinite(x); });
  if (wrong == out.end()) return values;
  auto flat = static_cast<std::size_t>(wrong - out.begin());
  Dimensions place(item.tensor->shape.size());
  for (std::size_t k = place.size(); k-- > 0; flat /= item.tensor->shape[k])
    place[k] = flat % item.tensor->shape[k];
  const char* const value = std::isnan(*wrong) ? "NaN" : *wrong > 0 ? "Inf" : "-Inf";
  return bad("tensor " + in_quotes(item.name) + " is " + value + " at " + in_brackets(place) +
             "; legal: finite weights");
}

}  // namespace lamp
