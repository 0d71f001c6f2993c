#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/system_error.hpp"
#include "core/model/files/gguf.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/tokenizer.hpp"
#include "core/model/weights.hpp"
#include "core/record/shard.hpp"
#include "core/record/summary.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/config/value.hpp"
#include "experiments/run/nan_cells.hpp"
#include "experiments/run/perplexity.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

/// Numbers in the weights; tied ones once.
std::size_t parameters(const Model& model) {
  const ModelConfig& c = model.config;
  std::size_t all = 0;
  for (const SiteRow& row : c.network->sites)
    for (const TensorRow& tensor : tensors_of(row)) {
      const bool left_out =
          tensor.present != nullptr
              ? !tensor.present(c)
              : &tensor != row.tensors.data() &&
                    std::count(model.without_bias.begin(), model.without_bias.end(), row.site) > 0;
      const bool counted = !left_out && (row.operation != Operation::logits || !c.tied);
      const std::size_t size = tensor.rows(c) * (tensor.cols == nullptr ? 1 : tensor.cols(c));
      all += counted ? layers_of(c, row.site) * size : 0;
    }
  return all;
}

/// null where positions are learned vectors.
Json rope_of(const ModelConfig& config) {
  if (!config.llama) return nullptr;
  const Rope& rope = config.llama->rope;
  Json out{{"theta", rope.theta}, {"scaling", nullptr}};
  if (const std::optional<Rope::Llama3>& s = rope.scaling)
    out["scaling"] = {{"type", "llama3"},
                      {"factor", s->factor},
                      {"low_freq_factor", s->low},
                      {"high_freq_factor", s->high},
                      {"original_max_position_embeddings", s->positions}};
  return out;
}

Result<Json> inspect_model(const std::filesystem::path& folder) {
  const Result<Model> model = read_model(folder);
  if (!model) return model.error();
  warn_of_head("inspect", folder, *model);
  const ModelConfig& c = model->config;
  Json without_bias = Json::array();
  for (const Site site : model->without_bias) without_bias.push_back(info(site).name);
  Json out{{"kind", "model"},
           {"model_type", c.network->model_type},
           {"vocab_size", c.vocab_size},
           {"n_positions", c.n_positions},
           {"n_embd", c.n_embd},
           {"n_layer", c.n_layer},
           {"n_head", c.n_head},
           {"n_kv_head", c.n_kv_head()},
           {"d_head", c.n_head == 0 ? 0 : c.d_head()},  // a network need not have heads
           {"n_inner", c.n_inner},
           {"layer_norm_epsilon", c.layer_norm_epsilon},
           {"activation", activation_name(c.activation)},
           {"rope", rope_of(c)},
           {"tied", c.tied},
           {"end_of_text", nullptr},
           {"parameters", parameters(*model)},
           {"without_bias", without_bias},
           {"content", to_hex(model->content)},
           {"tokenizer", nullptr}};
  if (c.end_of_text) out["end_of_text"] = *c.end_of_text;
  const Result<std::optional<std::filesystem::path>> gguf = find_gguf(folder);
  if (!gguf) return gguf.error();
  if (*gguf || may_be_there(folder / "vocab.json") || may_be_there(folder / "tokenizer.json")) {
    const Result<Tokenizer> tokenizer = Tokenizer::read(folder);
    const bool has_none = *gguf && !tokenizer && tokenizer.error().code == ExitCode::missing_input;
    if (!tokenizer && !has_none) return tokenizer.error();
    if (tokenizer)
      out["tokenizer"] = {{"vocab_size", tokenizer->vocab_size()},
                          {"content", to_hex(tokenizer->content())}};
  }
  return out;
}

/// null for NaN, which JSON cannot express.
Json number(double x) { return std::isnan(x) ? Json(nullptr) : Json(x); }

/// What a file's numbers say, beside its structure.
struct Findings {
  NanCells nan;
  std::vector<Perplexity> perplexity;  // of a result
};

Result<Findings> findings_of(const record::StoredFile& stored, const record::FileSummary& file) {
  Findings found;
  if (file.kind == record::FileKind::shard) {
    const Result<record::Shard> shard = record::read_shard(stored);
    if (!shard) return shard.error();
    for (const record::CellRecord* cell : nan_records(*shard))
      found.nan.add([&] { return "cell " + to_hex(cell->id).substr(0, 12); });
    return found;
  }
  const auto has = [&](std::string_view path) {
    return std::any_of(file.datasets.begin(), file.datasets.end(),
                       [&](const record::DatasetSummary& d) { return d.path == path; });
  };
  if (!has("/metrics/kl")) return found;  // merged without any shard
  Result<NanCells> nan = nan_cells(stored);
  if (!nan) return nan.error();
  Result<std::vector<Perplexity>> perplexity = perplexities(
      stored, has("/reference/length") ? SequenceLengths::vary : SequenceLengths::equal);
  if (!perplexity) return perplexity.error();
  return Findings{*std::move(nan), *std::move(perplexity)};
}

Json as_json(const record::FileSummary& file, const Findings& found) {
  Json datasets = Json::array(), provenance = Json::object();
  for (const record::DatasetSummary& d : file.datasets)
    datasets.push_back({{"path", d.path},
                        {"type", d.type},
                        {"dims", d.dims},
                        {"shape", d.shape},
                        {"units", d.units},
                        {"long_name", d.long_name},
                        {"scale", d.scale}});
  for (const auto& [name, value] : file.provenance) provenance[name] = value;
  const bool shard = file.kind == record::FileKind::shard;
  Json out{{"kind", shard ? "shard" : "result"},
           {"schema_version", file.schema_version},
           {"verified", file.verified},
           {"experiment", file.experiment}};
  if (shard)
    out["sequence"] = file.sequence_id;
  else
    out["title"] = file.entry("title");
  out["cells"] = {{"done", file.done}, {"pending", file.pending}, {"failed", file.failed}};
  out["nan"] = {{"cells", found.nan.count}, {"first", found.nan.first}};
  if (!shard) {
    out["perplexity"] = Json::array();
    for (const Perplexity& p : found.perplexity)
      out["perplexity"].push_back({{"text", p.text},
                                   {"variant", p.variant.empty() ? Json() : Json(p.variant)},
                                   {"sequences", p.sequences},
                                   {"reference", number(p.reference)},
                                   {"lowest", number(p.lowest)},
                                   {"highest", number(p.highest)},
                                   {"points", p.points},
                                   {"nan", p.nan}});
  }
  out["datasets"] = std::move(datasets);
  if (!shard) out["provenance"] = std::move(provenance);
  return out;
}

std::string group_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// "name  type  dim=size ..", then units and meaning.
std::string described(const record::DatasetSummary& d) {
  constexpr std::size_t name_width = 26, type_width = 9;
  std::string line = "  " + padded(one_line(d.path.substr(d.path.rfind('/') + 1)), name_width - 2) +
                     "  " + padded(d.type, type_width);
  std::string dims;
  for (std::size_t i = 0; i < d.shape.size(); ++i)
    dims += (i == 0 ? "" : " ") + (d.dims[i].empty() ? std::string("-") : one_line(d.dims[i])) +
            "=" + std::to_string(d.shape[i]);
  line += d.shape.empty() ? "scalar" : wrapped(dims, name_width + 2 + type_width, line.size());
  const std::string meaning =
      d.units == "1" || d.units.empty() ? d.long_name : d.long_name + " [" + d.units + "]";
  return line + "\n      " + wrapped(one_line(meaning), 6, 6) + "\n";
}

/// Six digits; "NaN", which is a finding.
std::string shown(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", x);
  return std::isnan(x) ? "NaN" : text.data();
}

/// "runs 31.2 to 33.0, NaN at 2 of 24 grid points".
std::string runs_of(const Perplexity& p) {
  if (p.points == 0) return "no run finished";
  const std::string of = std::to_string(p.points) + " grid points";
  if (p.nan == p.points) return "runs NaN at all of " + of;
  return "runs " + shown(p.lowest) + " to " + shown(p.highest) +
         (p.nan > 0 ? ", NaN at " + std::to_string(p.nan) + " of " + of : "");
}

/// "perplexity  prose: reference 31.2, runs 31.2 to 33.0 (8 sequences)", a line a text and
/// reference.
std::string described(const std::vector<Perplexity>& perplexity) {
  std::string lines;
  for (const Perplexity& p : perplexity) {
    const std::string found =
        p.sequences == 0 ? "none" : "reference " + shown(p.reference) + ", " + runs_of(p);
    const std::string of =
        one_line(p.text + (p.text.empty() || p.variant.empty() ? "" : ", ") + p.variant);
    lines += padded(lines.empty() ? "perplexity" : "", 12) + (of.empty() ? "" : of + ": ") + found +
             " (" + std::to_string(p.sequences) +
             (p.sequences == 1 ? " sequence)\n" : " sequences)\n");
  }
  return lines;
}

std::string plain(const record::FileSummary& file, const Findings& found) {
  const bool shard = file.kind == record::FileKind::shard;
  std::string text = (shard ? "shard of lamp, " : "result of lamp, ") +
                     std::string(file.verified ? "verified\n" : "without a digest: not verified\n");
  if (!shard) text += "title       " + one_line(file.entry("title")) + "\n";
  text += "experiment  " + one_line(file.experiment) + "\n";
  if (shard) text += "sequence    " + one_line(file.sequence_id) + "\n";
  text += "cells       " + std::to_string(file.done) + " done, " + std::to_string(file.pending) +
          " pending, " + std::to_string(file.failed) + " failed\n";
  if (found.nan.count > 0)
    text += "NaN         " + wrapped(in_words(found.nan, file.done), 12, 12) + "\n";
  text += described(found.perplexity);
  std::string group, scales;
  const auto end_group = [&] {
    if (!scales.empty()) text += "  " + wrapped("dimensions: " + scales, 4, 2) + "\n";
    scales.clear();
  };
  for (const record::DatasetSummary& d : file.datasets) {
    if (group_of(d.path) != group) {
      end_group();
      group = group_of(d.path);
      text += "\n" + one_line(group) + "\n";
    }
    if (d.scale)
      scales +=
          (scales.empty() ? "" : ", ") + one_line(d.dims[0]) + "=" + std::to_string(d.shape[0]);
    else
      text += described(d);
  }
  end_group();
  if (file.provenance.empty()) return text;
  text += "\n/provenance\n";
  for (const auto& [name, value] : file.provenance) {
    const auto lines = std::count(value.begin(), value.end(), '\n');
    const std::string shown = lines > 0 ? std::to_string(lines) + " lines" : one_line(value);
    text += "  " + padded(one_line(name), 20) + "  " + wrapped(shown, 24, 24) + "\n";
  }
  return text;
}

int print(const Json& model) {
  for (const auto& [key, value] : model.items())
    std::cout << key << ": " << (value.is_string() ? value.get<std::string>() : json_text(value))
              << '\n';
  return 0;
}

}  // namespace

int inspect_command(const InspectOptions& options) {
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(options.path, failure);
  const std::string name = options.path.string();
  if (status.type() == std::filesystem::file_type::not_found)
    return report("inspect", {ExitCode::missing_input, name + ": no such file or folder"});
  if (failure)
    return report("inspect",
                  system_error(options.path, "cannot look at it", failure.value(), Role::input));
  const Result<std::optional<std::filesystem::path>> gguf = find_gguf(options.path);
  if (!gguf) return report("inspect", gguf.error());
  if (!*gguf && !std::filesystem::is_directory(status)) {
    const Result<record::StoredFile> stored = record::StoredFile::open(options.path);
    if (!stored) return report("inspect", stored.error());
    const Result<record::FileSummary> file = record::summarise(*stored);
    if (!file) return report("inspect", file.error());
    const Result<Findings> found = findings_of(*stored, *file);
    if (!found) return report("inspect", found.error());
    std::cout << (options.json ? json_text(as_json(*file, *found)) + '\n' : plain(*file, *found));
    return 0;
  }
  if (!*gguf && !may_be_there(options.path / "config.json"))
    return report(
        "inspect",
        {ExitCode::bad_data,
         name +
             ": a folder without config.json; legal: a model folder, a GGUF, result.h5, a shard; " +
             "lamp status tells of the folder of a run"});
  const Result<Json> model = inspect_model(options.path);
  if (!model) return report("inspect", model.error());
  if (!options.json) return print(*model);
  std::cout << json_text(*model) << '\n';
  return 0;
}

}  // namespace lamp::experiments
