// A config in TOML, with lines "#--set KEY=VALUE" as if they were given to --set, up to a plan that
// can be run: experiments/config.
#include <algorithm>
#include <string>
#include <vector>

#include "experiments/config/config.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/variants.hpp"
#include "tests/fuzz/config_values.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

using experiments::Config;
using experiments::Grid;

constexpr std::string_view set_mark = "#--set ";

std::vector<std::string> sets_of(std::string_view text) {
  std::vector<std::string> sets;
  for (const std::string_view line : lines_of(text))
    if (line.starts_with(set_mark)) sets.emplace_back(line.substr(set_mark.size()));
  return sets;
}

/// One of GPT-2's kind and one of Llama's, with 2 layers of 4 heads.
std::vector<ModelConfig> models() {
  const Result<ModelConfig> gpt2 = model_config_of(
      R"({"model_type": "gpt2", "vocab_size": 64, "n_positions": 2048, "n_embd": 32, "n_layer": 2,
          "n_head": 4})",
      "gpt2");
  const Result<ModelConfig> llama = model_config_of(
      R"({"model_type": "llama", "vocab_size": 64, "max_position_embeddings": 2048,
          "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2})",
      "llama");
  law(gpt2.ok() && llama.ok(), "the models are legal");
  return {*gpt2, *llama};
}

/// What is written of a config is read as the same one.
void check_written(const Config& config) {
  const std::string text = experiments::resolved_toml(config);
  const Result<Config> again = experiments::parse_config(text, "resolved.toml", "/elsewhere", {});
  if (!again) std::fprintf(stderr, "%s\n%s\n", again.error().message.c_str(), text.c_str());
  law(again.ok(), "the resolved config is legal");
  law(*again == config, "the resolved config is the same");
  law(experiments::resolved_toml(*again) == text, "the resolved config is resolved");
}

experiments::Inputs inputs_of(const Config& config) {
  experiments::Inputs inputs;
  const std::size_t count = experiments::model_paths(config).size();
  for (std::size_t i = 0; i < count; ++i)
    inputs.models.push_back({.content = sha256("model " + std::to_string(i))});
  for (std::size_t i = 0; i < config.tokens.paths.size(); ++i)
    inputs.texts.push_back(sha256("text " + std::to_string(i)));
  return inputs;
}

/// Whether the grid becomes cells. Larger ones are left alone: they would take a second each.
bool expands(const Config& config) {
  constexpr std::size_t most = 128;
  std::size_t cells = 1;
  for (const experiments::GridAxis& axis : config.grid)
    cells = std::min(cells * axis.values.size(), most + 1);
  if (cells > most) return false;
  const Result<Grid> grid = experiments::expand(config, inputs_of(config));
  if (!grid) return law_of_line(grid.error().message), false;
  law(grid->axes.size() == config.grid.size(), "each axis is one of the result's");
  law(grid->cells.size() == cells, "there is a cell for each point");
  std::vector<std::size_t> index(config.grid.size(), 0);
  for (const experiments::Cell& cell : grid->cells) {
    law(cell.index == index, "cells are in row-major order");
    law(cell.variant < grid->variants.size(), "a cell has a variant");
    experiments::next_cell(config, index);
  }
  return true;
}

/// Inputs that reached a plan, of which half of the new ones are made: what is no TOML any more is
/// hardly ever mended.
std::vector<std::string>& good_ones() {
  static std::vector<std::string> inputs;
  return inputs;
}

void remember(std::string_view bytes) {
  constexpr std::size_t most = 512;
  static std::size_t next = 0;
  if (good_ones().size() < most)
    good_ones().emplace_back(bytes);
  else
    good_ones()[next++ % most] = bytes;
}

bool run(std::string_view bytes) {
  const Result<Config> config =
      experiments::parse_config(bytes, "study.toml", "/folder", sets_of(bytes));
  if (!config) return law_of_line(config.error().message), false;
  check_written(*config);
  static const std::vector<ModelConfig> known = models();
  bool fits = false;
  for (const ModelConfig& model : known) {
    const Result<void> done = experiments::check_against(*config, model);
    if (!done) law_of_line(done.error().message);
    fits = fits || done.ok();
  }
  if (!fits || !expands(*config)) return false;
  remember(bytes);
  return true;
}

// The mutations that know TOML: a line's value, a line, an axis, a --set.

bool is_key_line(std::string_view line) {
  return !line.empty() && line.front() != '#' && line.front() != '[' &&
         line.find('=') != std::string_view::npos;
}

/// The table that a line stands in, "arithmetic.low", by the last header before it.
std::string table_of(const std::vector<std::string>& lines, std::size_t at) {
  for (std::size_t i = at + 1; i-- > 0;)
    if (lines[i].starts_with('['))
      return lines[i].substr(1, std::min(lines[i].find(']'), lines[i].size()) - 1);
  return "";
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\""), last = text.find_last_not_of(" \t\"");
  return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

void change_value(std::vector<std::string>& lines, Random& random) {
  std::vector<std::size_t> with_key;
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (is_key_line(lines[i])) with_key.push_back(i);
  if (with_key.empty()) return;
  const std::size_t at = with_key[random() % with_key.size()];
  std::string& line = lines[at];
  const std::string key = line.substr(0, line.find('=')), table = table_of(lines, at);
  const std::string path = (table.empty() || table == "grid" ? "" : table + ".") + trimmed(key);
  line = key + "= " + (table == "grid" ? list_of_values(path, random) : value_of_key(path, random));
}

/// Given to --set, as an axis of the grid, or in the file where its table is.
void add_key(std::vector<std::string>& lines, Random& random) {
  const std::string key = any_key(random), value = value_of_key(key, random);
  const std::size_t dot = std::min(key.rfind('.'), key.size());
  const auto header = std::find(lines.begin(), lines.end(), "[" + key.substr(0, dot) + "]");
  if (header != lines.end() && random() % 2 == 0)
    lines.insert(header + 1, key.substr(dot + 1) + " = " + value);
  else if (random() % 4 != 0)
    lines.push_back(std::string(set_mark) + key + "=" + value);
  else
    lines.push_back(std::string(set_mark) + "grid.\"" + key + "\"=" + list_of_values(key, random));
}

/// A name of an arithmetic that is there in the place of one that is not.
void use_names(std::vector<std::string>& lines, Random& random) {
  std::vector<std::string> names;
  for (const std::string& line : lines)
    if (line.starts_with("[arithmetic.")) names.push_back(line.substr(12, line.find(']') - 12));
  if (names.empty()) return;
  for (std::string& line : lines)
    for (const std::string_view word : arithmetic_words)
      if (const std::size_t at = line.find(in_string(word));
          at != std::string::npos && std::find(names.begin(), names.end(), word) == names.end())
        line.replace(at, word.size() + 2, in_string(one_of(names, random)));
}

std::string mutate(std::string_view bytes, Random& random) {
  const std::string good = good_ones().empty() ? "" : one_of(good_ones(), random);
  std::vector<std::string> lines;
  for (const std::string_view line : lines_of(random() % 2 == 0 ? good : bytes))
    lines.emplace_back(line);
  if (lines.empty()) lines.emplace_back("title = \"a\"");
  for (std::size_t changes = random() % 4 == 0 ? 2 : 1; changes > 0; --changes) {
    const std::size_t at = random() % lines.size();
    switch (random() % 12) {
      case 0:
        if (lines.size() > 1) lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
      case 2:
      case 3:
        add_key(lines, random);
        break;
      default:
        change_value(lines, random);
    }
  }
  if (random() % 8 != 0) use_names(lines, random);
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

const Listed listed({.name = "study", .run = run, .mutate = mutate});

}  // namespace
}  // namespace lamp::fuzz
