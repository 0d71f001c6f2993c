#include "experiments/run/provenance.hpp"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/arith/gemm/gemm.hpp"
#include "experiments/build_info.hpp"
#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// The processor's name, where Linux tells it.
std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

/// The seeds of all cells, as numbers.
std::string seeds_of(const Config& config) {
  const GridAxis* axis = find_axis(config, seed_key);
  return axis == nullptr ? std::to_string(config.seed) : coordinate_list(axis->values);
}

/// Path and content of the model, or of each one.
record::Provenance models_of(const Experiment& experiment) {
  const auto activation = [&](std::size_t i) {
    return std::string(activation_name(experiment.activation_at(i)));
  };
  const std::vector<std::filesystem::path> paths = model_paths(experiment.config);
  if (paths.size() == 1)
    return {{"model", paths[0].string()},
            {"model_sha256", to_hex(experiment.model.content)},
            {"activation", activation(0)}};
  record::Provenance entries;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::string number = std::to_string(i);
    entries.emplace_back("model_" + number,
                         paths[i].string() + " " + to_hex(experiment.model_at(i).content));
    entries.emplace_back("activation_" + number, activation(i));
  }
  return entries;
}

std::string tokens_digest(const TokenSet& tokens) {
  std::string ids;
  for (const TokenSequence& sequence : tokens.sequences) ids += to_hex(sequence.id);
  return to_hex(sha256(ids));
}

}  // namespace

record::Provenance provenance(const Experiment& experiment, const Occasion& occasion) {
  const BuildInfo& build = build_info();
  const std::string config = resolved_toml(experiment.config);
  record::Provenance entries{
      {"title", experiment.config.title},
      {"config", config},
      {"config_sha256", to_hex(sha256(config))},
      {"experiment", to_hex(experiment.grid.experiment)},
      {"semantics", std::to_string(semantics)},
      {"seed", seeds_of(experiment.config)},
      {"tokenizer_sha256", to_hex(experiment.tokens.tokenizer)},
      {"tokens_sha256", tokens_digest(experiment.tokens)},
  };
  for (const auto& [name, value] : models_of(experiment)) entries.emplace_back(name, value);
  if (const std::optional<Model>& reference = experiment.reference_model)
    entries.emplace_back("reference_model", experiment.config.reference_model.string() + " " +
                                                to_hex(reference->content));
  for (std::size_t i = 0; i < experiment.config.tokens.paths.size(); ++i)
    entries.emplace_back("text_" + std::to_string(i),
                         experiment.config.tokens.paths[i].string() + " " +
                             to_hex(experiment.tokens.text_contents[i]));
  for (std::size_t i = 0; i < experiment.rules.size(); ++i) {
    const RuleSource& rule = experiment.rules[i];
    const std::string name = "rule_" + std::to_string(i);
    entries.emplace_back(name, rule.file.string() + " " + to_hex(rule.content));
    entries.emplace_back(name + "_source", rule.text);
  }
  if (experiment.python) {
    entries.emplace_back("python", experiment.python->python);
    entries.emplace_back("numpy", experiment.python->numpy);
  }
  for (const auto& [name, value] : record::Provenance{
           {"lamp_version", std::string(build.version)},
           {"git_commit", std::string(build.commit)},
           {"git_dirty", build.dirty ? "yes" : "no"},
           {"compiler", std::string(build.compiler)},
           {"compiler_flags", std::string(build.flags)},
           {"cpu", cpu_name()},
           {"instruction_set", std::string(best_target())},
           {"host", host_name()},
           {"threads", std::to_string(occasion.threads)},
           {"command_line", occasion.command_line},
           {"started", occasion.started},
           {"finished", utc_now()},
       })
    entries.emplace_back(name, value);
  for (const auto& [name, version] : library_versions())
    entries.emplace_back("library_" + name, version);
  return entries;
}

}  // namespace lamp::experiments
