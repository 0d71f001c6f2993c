#include "experiments/run/provenance.hpp"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/arith/gemm/gemm.hpp"
#include "experiments/build_info.hpp"

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
      {"seed", std::to_string(experiment.config.seed)},
      {"model", experiment.config.model_path.string()},
      {"model_sha256", to_hex(experiment.model.content)},
      {"activation", std::string(activation_name(experiment.activation))},
      {"tokenizer_sha256", to_hex(experiment.tokens.tokenizer)},
      {"tokens_sha256", tokens_digest(experiment.tokens)},
  };
  for (std::size_t i = 0; i < experiment.config.tokens.paths.size(); ++i)
    entries.emplace_back("text_" + std::to_string(i),
                         experiment.config.tokens.paths[i].string() + " " +
                             to_hex(experiment.tokens.text_contents[i]));
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
