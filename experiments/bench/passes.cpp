#include "experiments/bench/passes.hpp"

#include <cblas.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "core/arith/engine.hpp"
#include "core/model/forward.hpp"
#include "experiments/bench/operations.hpp"
#include "experiments/bench/random_model.hpp"
#include "experiments/commands/plan_cost.hpp"
#include "experiments/commands/sample.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments::bench {
namespace {

struct NamedShape {
  std::string_view name;
  std::string_view config;  // as in config.json
};

constexpr std::array shapes{
    NamedShape{"gpt2",
               R"({"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768,
                   "n_layer": 12, "n_head": 12, "activation_function": "gelu_new"})"},
    NamedShape{"gpt2-medium",
               R"({"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 1024,
                   "n_layer": 24, "n_head": 16, "activation_function": "gelu_new"})"},
    NamedShape{"smollm2",
               R"({"model_type": "llama", "vocab_size": 49152, "max_position_embeddings": 8192,
                   "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
                   "num_key_value_heads": 3, "intermediate_size": 1536, "hidden_act": "silu",
                   "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "tie_word_embeddings": true})"},
};

Result<ModelConfig> config_of_shape(const std::string& name) {
  const auto shape = std::find_if(shapes.begin(), shapes.end(),
                                  [&](const NamedShape& s) { return s.name == name; });
  if (shape == shapes.end())
    return Error{ExitCode::usage,
                 "--shape " + toml_string(name) + " is not legal; legal: " + shape_names()};
  return model_config_of(shape->config, name);
}

bool selects_scores(const SiteRow& row) { return row.operation == Operation::scores; }
bool selects_anywhere(const SiteRow& row) { return row.f.has_value(); }

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// What a pass takes is refused beyond the machine's memory.
Result<void> check_memory(const std::string& name, const ModelConfig& config, std::size_t length) {
  const double bytes = weight_bytes(config) + pass_bytes(config, length, selects_anywhere);
  const double there = physical_memory();
  if (bytes <= there) return {};
  return Error{ExitCode::out_of_memory,
               name + " with " + std::to_string(length) + " tokens takes " + bytes_text(bytes) +
                   " of memory at least; legal: what this machine has, " + bytes_text(there)};
}

/// Matrices as GPT-2 starts, with a spread that gives scores one of about 2; vectors near 1.
Model made(const ModelConfig& config) {
  RandomNumbers random(5);
  return random_model(
      config, [&] { return static_cast<float>(0.05 * random()); },
      [&] { return static_cast<float>(1.0 + 0.05 * random()); });
}

class NoTaps : public TapSink {
 public:
  void values(const TapPoint&, MatrixView<const double>) override {}
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
};

/// The products of a pass as an SGEMM computes them: whole matrices, of which causal sites count
/// the part that they need. A site's product is taken once, and counts for every layer and head.
class SgemmSum {
 public:
  SgemmSum(const ModelConfig& config, std::size_t length) {
    // Columns beyond these cost as much as those before: logits stay small.
    constexpr std::size_t most_columns = 4096;
    std::size_t largest_a = 0, largest_b = 0, largest_c = 0;
    for (const SiteRow& row : config.network->sites) {
      const double macs = macs_of(config, row, length);
      if (macs == 0.0) continue;
      const std::size_t k = terms_of(config, row, length - 1),
                        n = std::min(width_of(config, row.site, length), most_columns);
      const double times = static_cast<double>(layers_of(config, row.site)) *
                           static_cast<double>(heads_of(config, row.site));
      products_.push_back({static_cast<int>(length), static_cast<int>(k), static_cast<int>(n),
                           times * macs / (rows(length) * rows(k) * rows(n))});
      largest_a = std::max(largest_a, length * k);
      largest_b = std::max(largest_b, k * n);
      largest_c = std::max(largest_c, length * n);
    }
    RandomNumbers random(1);
    for (const auto& [matrix, size] :
         {std::pair(&a_, largest_a), std::pair(&b_, largest_b), std::pair(&c_, largest_c)})
      while (matrix->size() < size) matrix->push_back(static_cast<float>(random()));
  }

  double seconds(std::size_t threads) {
    openblas_set_num_threads(static_cast<int>(threads));
    double sum = 0.0;
    for (const auto& [m, k, n, times] : products_) {
      const auto work = [&, m = m, k = k, n = n] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0F, a_.data(), k,
                    b_.data(), n, 0.0F, c_.data(), n);
      };
      sum += times * (threads == 1 ? seconds_of(work) : elapsed_seconds_of(work));
    }
    openblas_set_num_threads(1);
    return sum;
  }

 private:
  template <class F>
  static double elapsed_seconds_of(const F& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  struct Sgemm {
    int m, k, n;
    double times;
  };
  std::vector<Sgemm> products_;
  std::vector<float> a_, b_, c_;
};

struct Plan {
  const char* name;
  Arithmetic arithmetic;                            // everywhere but at guarded sites
  Operations step;                                  // of it
  bool (*is_guarded)(const SiteRow&) = nullptr;     // in PS(7), recomputed in binary32
  SelectionSpec (*spec)(const SiteRow&) = nullptr;  // of a guarded site
};

SelectionSpec as_in_the_paper(const SiteRow&) { return {}; }

/// Some 3 % of each row. The norms that selection has for every f; of layer norm the componentwise
/// one takes n^2.
SelectionSpec three_percent(const SiteRow& row) {
  const bool is_sum = *row.f == Composition::norm || *row.f == Composition::linear_map;
  return {.norm = is_sum ? Norm::normwise1 : Norm::componentwise, .tau = {}, .rate = 0.03};
}

std::vector<Plan> plans() {
  return {
      {"ps7 scores with LAMP", fused(binary32), binary32_step, selects_scores, as_in_the_paper},
      {"ps7 everywhere", lamp_paper(7), ps_step},
      {"ps7 with LAMP everywhere", lamp_paper(7), ps_step, selects_anywhere, three_percent},
      {"h100 everywhere", engine_arithmetic("h100", binary16, binary32).value(), engine_step(16)}};
}

PrecisionPlan precision(const Plan& plan, const Network& network) {
  PrecisionPlan precision(plan.arithmetic);
  if (plan.is_guarded == nullptr) return precision;
  for (const SiteRow& row : network.sites)
    if (plan.is_guarded(row)) {
      precision.set(row.site, lamp_paper(7));
      precision.select(row.site, {.spec = plan.spec(row), .recompute = fused(binary32)});
    }
  return precision;
}

/// Of the products alone; of what LAMP recomputes, those of scores, which are recomputed whole.
Bound bound_of(const Plan& plan, const ModelConfig& config, std::size_t length) {
  Bound bound;
  for (const SiteRow& row : config.network->sites) {
    const double macs = macs_of(config, row, length) *
                        static_cast<double>(layers_of(config, row.site)) *
                        static_cast<double>(heads_of(config, row.site));
    const bool guarded = plan.is_guarded != nullptr && plan.is_guarded(row);
    bound.operations = bound.operations + macs * (guarded ? ps_step : plan.step);
    if (guarded && selects_scores(row)) bound.operations = bound.operations + macs * binary32_step;
  }
  return bound;
}

}  // namespace

std::string shape_names() {
  std::string names;
  for (const NamedShape& shape : shapes) names.append(names.empty() ? "" : ", ").append(shape.name);
  return names;
}

Result<PassSetting> prepare_passes(const PassOptions& options) {
  const std::string name = options.folder ? options.folder->string() : options.shape;
  Result<ModelConfig> config = [&]() -> Result<ModelConfig> {
    if (!options.folder) return config_of_shape(options.shape);
    const Result<Model> shape = read_model_without_weights(*options.folder);
    if (!shape) return shape.error();
    return shape->config;
  }();
  if (!config) return config.error();
  const std::size_t most = config->n_positions,
                    length = options.length.value_or(std::min(options.default_length, most));
  if (length > most)
    return Error{ExitCode::usage, "--length " + std::to_string(length) +
                                      " is not legal; legal: 1 to " + std::to_string(most) +
                                      ", the positions of " + name};
  if (const Result<void> fits = check_memory(name, *config, length); !fits) return fits.error();
  PassSetting setting{
      .name = name, .config = *config, .length = length, .threads = options.threads};
  if (options.folder) {
    Result<Model> model = read_model(*options.folder);
    if (!model) return model.error();
    *setting.model = std::move(*model);
  }
  return setting;
}

std::vector<Row> pass_rows(const PassSetting& setting, const std::string& target) {
  const ModelConfig& config = setting.config;
  const std::string detail = setting.name + ", " + std::to_string(setting.length) + " tokens";
  std::vector<Row> rows;
  rows.push_back({.group = Group::model,
                  .name = std::string(sgemm_sum),
                  .target = openblas_get_corename(),
                  .bound = {},
                  .prepare =
                      [=] {
                        const auto sum = std::make_shared<SgemmSum>(setting.config, setting.length);
                        return Work{.seconds = [=] { return sum->seconds(setting.threads); },
                                    .detail = detail};
                      },
                  .clock = Clock::own,
                  .calls = 1});
  const auto work = std::make_shared<Workspace>();  // of the passes, which take turns
  for (const Plan& plan : plans())
    rows.push_back({.group = Group::model,
                    .name = plan.name,
                    .target = target,
                    .bound = bound_of(plan, config, setting.length),
                    .prepare =
                        [=] {
                          if (!*setting.model) *setting.model = made(setting.config);
                          RandomNumbers random(3);
                          const auto tokens = std::make_shared<std::vector<TokenId>>();
                          for (std::size_t i = 0; i < setting.length; ++i) {
                            const double part = 0.5 + random() / 8.0;  // within (0, 1)
                            tokens->push_back(TokenId{static_cast<std::uint32_t>(
                                part * static_cast<double>(setting.config.vocab_size))});
                          }
                          return Work{.run =
                                          [=] {
                                            const Model& model = **setting.model;
                                            NoTaps taps;
                                            forward(model, *tokens,
                                                    precision(plan, *model.config.network),
                                                    {.activation = model.config.activation,
                                                     .threads = setting.threads},
                                                    taps, *work);
                                          },
                                      .detail = detail};
                        },
                    .clock = setting.threads == 1 ? Clock::processor : Clock::elapsed,
                    .calls = 1});
  return rows;
}

}  // namespace lamp::experiments::bench
