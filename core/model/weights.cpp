#include "core/model/weights.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/contract.hpp"
#include "core/model/files/safetensors.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using Extent = std::size_t (*)(const ModelConfig&);
using Dimensions = std::vector<std::size_t>;

constexpr Extent width = [](const ModelConfig& c) { return c.n_embd; };
constexpr Extent triple_width = [](const ModelConfig& c) { return 3 * c.n_embd; };
constexpr Extent inner_width = [](const ModelConfig& c) { return c.n_inner; };

/// The tensors of one block, "h.N.<name>.weight" and ".bias". Linear weights are (in, out), what
/// the checkpoints call Conv1D.
struct LinearName {
  std::string_view name;
  Linear BlockWeights::*member;
  Extent in, out;
};
constexpr std::array<LinearName, 4> linears{
    {{"attn.c_attn", &BlockWeights::qkv, width, triple_width},
     {"attn.c_proj", &BlockWeights::attn_proj, width, width},
     {"mlp.c_fc", &BlockWeights::mlp_fc, width, inner_width},
     {"mlp.c_proj", &BlockWeights::mlp_proj, inner_width, width}}};
struct NormName {
  std::string_view name;
  LayerNormWeights BlockWeights::*member;
};
constexpr std::array<NormName, 2> norms{
    {{"ln_1", &BlockWeights::ln_1}, {"ln_2", &BlockWeights::ln_2}}};
constexpr std::array<std::string_view, 2> ignored_masks{"attn.bias", "attn.masked_bias"};
constexpr std::string_view head_name = "lm_head.weight";

std::string block_name(std::size_t layer, std::string_view name) {
  return "h." + std::to_string(layer) + "." + std::string(name);
}

std::string shown(const Dimensions& shape) {
  std::string text = "(";
  for (const std::size_t extent : shape)
    (text += text.size() > 1 ? ", " : "") += std::to_string(extent);
  return text += ")";
}

/// True for "h.N.attn.bias" and "h.N.attn.masked_bias", N < n_layer: the causal mask, which
/// published files carry.
bool is_mask(std::string_view name, std::size_t n_layer) {
  if (!name.starts_with("h.")) return false;
  std::size_t layer = 0;
  const auto [rest, error] = std::from_chars(name.data() + 2, name.data() + name.size(), layer);
  if (error != std::errc{} || layer >= n_layer) return false;
  return std::any_of(ignored_masks.begin(), ignored_masks.end(),
                     [&](auto mask) { return name == block_name(layer, mask); });
}

/// The tensors of one file under their names without "transformer.", checked against the config,
/// then read one by one.
class Checkpoint {
 public:
  Checkpoint(const ModelConfig& config, const Safetensors& file, std::string path)
      : config_(config), file_(file), path_(std::move(path)) {}

  /// Every tensor of the model is there, has its shape and a dtype within binary32; there is no
  /// other. Reads no element.
  Result<void> check();
  [[nodiscard]] bool has_head() const { return tensors_.contains(head_name); }

  Result<std::vector<float>> read(const std::string& name) const;
  Result<Matrix<float>> matrix(const std::string& name, std::size_t rows, std::size_t cols) const;
  Result<LayerNormWeights> layer_norm(const std::string& name) const;
  Result<Linear> linear(const std::string& name, std::size_t in, std::size_t out) const;

 private:
  struct Item {
    std::string name;  // as in the file
    const Tensor* tensor = nullptr;
    bool used = false;
  };

  [[nodiscard]] Error bad(const std::string& what) const {
    return {ExitCode::bad_data, path_ + ": " + what};
  }
  Result<void> index();
  Result<void> expect(const std::string& name, const Dimensions& shape);
  Result<void> expect_pair(const std::string& name, const Dimensions& weight, std::size_t bias);
  Result<void> expect_all();
  Result<void> refuse_others() const;
  Result<void> read_into(const std::string& name, std::span<float> out) const;

  const ModelConfig& config_;
  const Safetensors& file_;
  std::string path_;
  std::map<std::string, Item, std::less<>> tensors_;
};

Result<void> Checkpoint::check() {
  if (Result<void> done = index(); !done) return done;
  if (Result<void> done = expect_all(); !done) return done;
  return refuse_others();
}

Result<void> Checkpoint::index() {
  constexpr std::string_view prefix = "transformer.";
  for (const auto& [name, tensor] : file_.tensors()) {
    const std::string plain = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    const auto [place, fresh] = tensors_.emplace(plain, Item{name, &tensor});
    if (!fresh)
      return bad("tensors " + in_quotes(place->second.name) + " and " + in_quotes(name) +
                 " are the same one; legal: either name");
  }
  return {};
}

Result<void> Checkpoint::expect(const std::string& name, const Dimensions& shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end())
    return bad("tensor " + in_quotes(name) + " is missing; it should have shape " + shown(shape));
  Item& item = found->second;
  item.used = true;
  if (item.tensor->shape != shape) {
    const bool transposed =
        shape.size() == 2 && item.tensor->shape == Dimensions{shape[1], shape[0]};
    return bad("tensor " + in_quotes(item.name) + " has shape " + shown(item.tensor->shape) +
               "; legal: " + shown(shape) + (transposed ? ": it looks transposed" : ""));
  }
  if (item.tensor->type == TensorType::other)
    return bad("tensor " + in_quotes(item.name) + " has dtype " + item.tensor->type_name +
               "; legal: F32, F16, BF16");
  return {};
}

Result<void> Checkpoint::expect_pair(const std::string& name, const Dimensions& weight,
                                     std::size_t bias) {
  if (Result<void> done = expect(name + ".weight", weight); !done) return done;
  return expect(name + ".bias", {bias});
}

Result<void> Checkpoint::expect_all() {
  const std::size_t d = config_.n_embd;
  if (Result<void> done = expect("wte.weight", {config_.vocab_size, d}); !done) return done;
  if (Result<void> done = expect("wpe.weight", {config_.n_positions, d}); !done) return done;
  for (std::size_t layer = 0; layer < config_.n_layer; ++layer) {
    for (const NormName& norm : norms)
      if (Result<void> done = expect_pair(block_name(layer, norm.name), {d}, d); !done) return done;
    for (const LinearName& linear : linears) {
      const std::size_t in = linear.in(config_), out = linear.out(config_);
      if (Result<void> done = expect_pair(block_name(layer, linear.name), {in, out}, out); !done)
        return done;
    }
  }
  if (Result<void> done = expect_pair("ln_f", {d}, d); !done) return done;
  return has_head() || !config_.tied ? expect(std::string(head_name), {config_.vocab_size, d})
                                     : Result<void>{};
}

Result<void> Checkpoint::refuse_others() const {
  for (const auto& [name, item] : tensors_) {
    if (item.used || is_mask(name, config_.n_layer)) continue;
    return bad("tensor " + in_quotes(item.name) + " of shape " + shown(item.tensor->shape) +
               " is no part of a GPT-2 with n_layer " + std::to_string(config_.n_layer) +
               "; legal besides its weights: h.N.attn.bias, h.N.attn.masked_bias, " +
               std::string(head_name));
  }
  return {};
}

Result<void> Checkpoint::read_into(const std::string& name, std::span<float> out) const {
  const auto found = tensors_.find(name);
  expects(found != tensors_.end(), "Checkpoint: a checked tensor is read");
  const Item& item = found->second;
  if (Result<void> done = file_.read(*item.tensor, out); !done) return done;
  const auto wrong =
      std::find_if(out.begin(), out.end(), [](float x) { return !std::isfinite(x); });
  if (wrong == out.end()) return {};
  auto flat = static_cast<std::size_t>(wrong - out.begin());
  Dimensions place(item.tensor->shape.size());
  for (std::size_t k = place.size(); k-- > 0; flat /= item.tensor->shape[k])
    place[k] = flat % item.tensor->shape[k];
  const char* const value = std::isnan(*wrong) ? "NaN" : *wrong > 0 ? "Inf" : "-Inf";
  return bad("tensor " + in_quotes(item.name) + " is " + value + " at " + shown(place) +
             "; legal: finite weights");
}

Result<std::vector<float>> Checkpoint::read(const std::string& name) const {
  const auto found = tensors_.find(name);
  expects(found != tensors_.end(), "Checkpoint: a checked tensor is read");
  std::vector<float> values(found->second.tensor->size());
  if (const Result<void> done = read_into(name, values); !done) return done.error();
  return values;
}

Result<Matrix<float>> Checkpoint::matrix(const std::string& name, std::size_t rows,
                                         std::size_t cols) const {
  Matrix<float> values(rows, cols);
  if (const Result<void> done = read_into(name, values.flat()); !done) return done.error();
  return values;
}

Result<LayerNormWeights> Checkpoint::layer_norm(const std::string& name) const {
  const Result<std::vector<float>> gamma = read(name + ".weight"), beta = read(name + ".bias");
  if (!gamma || !beta) return !gamma ? gamma.error() : beta.error();
  return LayerNormWeights{{gamma->begin(), gamma->end()}, {beta->begin(), beta->end()}};
}

Result<Linear> Checkpoint::linear(const std::string& name, std::size_t in, std::size_t out) const {
  const Result<Matrix<float>> weight = matrix(name + ".weight", in, out);
  if (!weight) return weight.error();
  const Result<std::vector<float>> bias = read(name + ".bias");
  if (!bias) return bias.error();
  return Linear{PackedMatrix(weight->view()), {bias->begin(), bias->end()}};
}

Result<BlockWeights> read_block(const ModelConfig& config, const Checkpoint& checkpoint,
                                std::size_t layer) {
  BlockWeights block;
  for (const NormName& norm : norms) {
    Result<LayerNormWeights> read = checkpoint.layer_norm(block_name(layer, norm.name));
    if (!read) return read.error();
    block.*norm.member = *std::move(read);
  }
  for (const LinearName& linear : linears) {
    Result<Linear> read =
        checkpoint.linear(block_name(layer, linear.name), linear.in(config), linear.out(config));
    if (!read) return read.error();
    block.*linear.member = *std::move(read);
  }
  return block;
}

/// Sets config.tied to what the file holds: `lm_head.weight` with the bits of wte is a tied one.
Result<PackedMatrix> read_head(ModelConfig& config, const Checkpoint& checkpoint,
                               const Matrix<float>& wte) {
  config.tied = true;
  if (!checkpoint.has_head()) return PackedMatrix(wte.view().transposed());
  const Result<Matrix<float>> head =
      checkpoint.matrix(std::string(head_name), config.vocab_size, config.n_embd);
  if (!head) return head.error();
  config.tied = std::memcmp(head->flat().data(), wte.flat().data(), wte.flat().size_bytes()) == 0;
  return PackedMatrix(head->view().transposed());
}

Result<Weights> read_weights(ModelConfig& config, const Checkpoint& checkpoint) {
  Weights weights;
  Result<Matrix<float>> wte = checkpoint.matrix("wte.weight", config.vocab_size, config.n_embd);
  if (!wte) return wte.error();
  weights.wte = *std::move(wte);
  Result<Matrix<float>> wpe = checkpoint.matrix("wpe.weight", config.n_positions, config.n_embd);
  if (!wpe) return wpe.error();
  weights.wpe = *std::move(wpe);
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    Result<BlockWeights> block = read_block(config, checkpoint, layer);
    if (!block) return block.error();
    weights.blocks.push_back(*std::move(block));
  }
  Result<LayerNormWeights> ln_f = checkpoint.layer_norm("ln_f");
  if (!ln_f) return ln_f.error();
  weights.ln_f = *std::move(ln_f);
  Result<PackedMatrix> head = read_head(config, checkpoint, weights.wte);
  if (!head) return head.error();
  weights.head = *std::move(head);
  return weights;
}

constexpr std::string_view pickle = "pytorch_model.bin";
constexpr std::string_view conversion =
    R"x(python3 -c "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in )x"
    R"x(torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, 'model.safetensors')")x";

/// Why a folder without model.safetensors is none, where it holds a form of the model that we do
/// not read.
std::optional<Error> refused_form(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / "model.safetensors", ignored)) return std::nullopt;
  if (std::filesystem::exists(folder / pickle, ignored)) {
    return Error{
        ExitCode::bad_data,
        folder.string() + ": holds " + std::string(pickle) +
            ", a pickle, whose reading runs code; legal: model.safetensors; in that folder run: " +
            std::string(conversion)};
  }
  if (const auto index = folder / "model.safetensors.index.json";
      std::filesystem::exists(index, ignored)) {
    return Error{ExitCode::bad_data,
                 index.string() +
                     ": the checkpoint is in several files; legal: one model.safetensors, which " +
                     "save_pretrained(folder, max_shard_size='100GB') of transformers writes"};
  }
  return std::nullopt;
}

}  // namespace

Result<Model> read_model(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder, ignored) && !std::filesystem::is_directory(folder, ignored)) {
    return Error{ExitCode::bad_data,
                 folder.string() +
                     ": is not a folder; legal: a folder with config.json and model.safetensors"};
  }
  if (const auto error = refused_form(folder)) return *error;
  Result<ModelConfig> config = read_model_config(folder / "config.json");
  if (!config) return config.error();
  const std::filesystem::path path = folder / "model.safetensors";
  const Result<Safetensors> file = Safetensors::open(path);
  if (!file) return file.error();
  Checkpoint checkpoint(*config, *file, path.string());
  if (const Result<void> checked = checkpoint.check(); !checked) return checked.error();

  Model model;
  model.config = *config;
  Result<Weights> weights = read_weights(model.config, checkpoint);
  if (!weights) return weights.error();
  model.weights = *std::move(weights);
  Sha256 hash;
  hash.update(canonical_text(model.config) + "\n");
  if (const Result<void> done = file->hash(hash); !done) return done.error();
  if (const Result<void> done = file->unchanged(); !done) return done.error();
  model.content = hash.finish();
  return model;
}

}  // namespace lamp
