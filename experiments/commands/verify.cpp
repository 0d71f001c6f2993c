// lamp verify: runs a random sample of finished cells again, in a scratch folder, and compares the
// two shards.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "core/model/files/strict_json.hpp"
#include "core/record/shard.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/own_rules/own_rules.hpp"
#include "experiments/run/interrupt.hpp"
#include "experiments/run/nan_cells.hpp"
#include "experiments/run/scratch_folder.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

struct Difference {
  std::string cell;  // where it lies in the grid
  std::string dataset;
  std::string what;
};

std::string hex(std::span<const std::byte> little_endian) {
  std::string text = "0x";
  for (std::size_t i = little_endian.size(); i-- > 0;) {
    std::array<char, 4> two{};
    std::snprintf(two.data(), two.size(), "%02x", static_cast<unsigned>(little_endian[i]));
    text += two.data();
  }
  return text;
}

/// The first quantity whose bits differ.
std::optional<Difference> compare(const std::string& cell,
                                  const std::vector<record::Quantity>& quantities,
                                  const std::vector<record::Values>& stored,
                                  const std::vector<record::Values>& computed) {
  for (std::size_t q = 0; q < quantities.size(); ++q) {
    const auto a = record::bytes(stored[q]), b = record::bytes(computed[q]);
    if (a.size() != b.size()) return Difference{cell, quantities[q].path, "recorded in one only"};
    const auto at = std::mismatch(a.begin(), a.end(), b.begin()).first;
    if (at == a.end()) continue;
    const std::size_t size = record::element_size(quantities[q].prototype),
                      index = static_cast<std::size_t>(at - a.begin()) / size;
    return Difference{cell, quantities[q].path,
                      "element " + std::to_string(index) + " is " +
                          hex(a.subspan(index * size, size)) + " in the shard, computed " +
                          hex(b.subspan(index * size, size))};
  }
  return std::nullopt;
}

/// The cells of a variant to compute again: those whose identity, hashed with the seed and the
/// sequence's, comes first. A larger fraction of one seed holds a smaller one.
std::vector<Cell> sample(const std::vector<Cell>& cells, std::size_t variant,
                         const record::Shard& shard, double fraction, std::uint32_t seed) {
  std::map<Digest, const Cell*> grid;
  for (const Cell& cell : cells)
    if (cell.variant == variant) grid.emplace(cell.id, &cell);
  std::map<Digest, const Cell*> finished;
  for (const record::CellRecord& record : shard.cells)
    if (const auto found = grid.find(record.id);
        found != grid.end() && record.status == record::CellStatus::done)
      finished.emplace(
          sha256(std::to_string(seed) + ' ' + to_hex(shard.sequence_id) + to_hex(record.id)),
          found->second);
  const std::size_t count =
      static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(finished.size())));
  std::vector<Cell> chosen;
  for (const auto& [key, cell] : finished)
    if (chosen.size() < count) chosen.push_back(*cell);
  return chosen;
}

std::string place(const Experiment& experiment, const TokenSequence& sequence) {
  const std::string variant =
      variant_name(experiment.config, experiment.grid.variants[sequence.variant]);
  return sequence_name(experiment.config, sequence.text, sequence.index) +
         (variant.empty() ? "" : ", " + variant);
}

std::string place(const Experiment& experiment, const Cell& cell) {
  return cell.index.empty() ? "" : ", " + point_name(experiment.grid.axes, cell.index);
}

/// Whether the shards agree in the reference and in every cell of `cells`.
std::optional<Difference> compare(const Experiment& experiment, const TokenSequence& sequence,
                                  const std::vector<Cell>& cells, const record::Shard& stored,
                                  const record::Shard& computed) {
  const std::string where = place(experiment, sequence);  // a cell's own place says more
  const std::string of_cell = sequence_name(experiment.config, sequence.text, sequence.index);
  if (stored.quantities != computed.quantities ||
      stored.reference_quantities != computed.reference_quantities)
    return Difference{where, "/index", "the shard records other quantities"};
  if (auto found =
          compare(where, stored.reference_quantities, stored.reference, computed.reference))
    return found;
  std::map<Digest, const record::CellRecord*> by_id;
  for (const record::CellRecord& record : stored.cells) by_id.emplace(record.id, &record);
  std::map<Digest, const Cell*> in_grid;
  for (const Cell& cell : cells) in_grid.emplace(cell.id, &cell);
  for (const record::CellRecord& record : computed.cells)
    if (auto found = compare(of_cell + place(experiment, *in_grid.at(record.id)), stored.quantities,
                             by_id.at(record.id)->values, record.values))
      return found;
  return std::nullopt;
}

struct Verified {
  std::size_t checked = 0;                                    // cells computed again
  std::set<std::pair<std::size_t, std::size_t>> sequences{};  // theirs: text and number
  std::optional<Difference> difference{};
  int signal = 0;
};

Result<Verified> verify(const Experiment& experiment, const VerifyOptions& options,
                        std::uint32_t seed) {
  Verified verified;
  remove_abandoned_scratch(options.folder);
  const Result<ScratchFolder> scratch = ScratchFolder::create(options.folder);
  if (!scratch) return scratch.error();
  const RunFolder folder = RunFolder::for_reading(options.folder, experiment.grid.experiment);
  const RunFolder again = RunFolder::for_reading(scratch->path(), experiment.grid.experiment);
  const std::vector<Cell> cells = distinct_cells(experiment.grid);
  const InterruptGuard guard("stopping at the next site of the network",
                             "what it was verifying, and leaves its scratch folder");
  for (const TokenSequence& sequence : experiment.tokens.sequences) {
    const std::filesystem::path file = folder.shard(sequence.index, sequence.id),
                                copy = again.shard(sequence.index, sequence.id);
    const Result<record::Shard> stored = record::read_shard(file);
    if (!stored && stored.error().code == ExitCode::missing_input) continue;
    if (!stored) return stored.error();
    if (stored->experiment != experiment.grid.experiment || stored->sequence_id != sequence.id)
      return Error{ExitCode::bad_data,
                   file.string() + ": a shard of another experiment or sequence"};
    const std::vector<Cell> chosen =
        sample(cells, sequence.variant, *stored, options.fraction, seed);
    if (chosen.empty()) continue;
    RunRequest request = request_of(experiment, chosen, {sequence}, options.threads);
    request.share = false;
    const Result<RunSummary> summary = run_sequences(request, again);
    if (!summary) return summary.error();
    verified.signal = summary->signal;
    if (verified.signal != 0) return verified;
    const Result<record::Shard> computed = record::read_shard(copy);
    if (!computed) return computed.error();
    verified.checked += chosen.size();
    verified.sequences.emplace(sequence.text, sequence.index);
    verified.difference = compare(experiment, sequence, chosen, *stored, *computed);
    if (verified.difference) return verified;
    std::filesystem::remove(copy);
  }
  return verified;
}

}  // namespace

int verify_command(const VerifyOptions& options) {
  Result<Experiment> experiment = prepare_again(options.folder);
  if (!experiment) return report("verify", experiment.error());
  if (const std::vector<OwnRuleName> names = own_rules_of(experiment->config);
      !names.empty() && !options.trust)
    return report("verify",
                  {ExitCode::bad_data, options.folder.string() + ": its cells select by " +
                                           own_rule_text(names.front()) +
                                           ", whose code runs only on request; legal: "
                                           "--trust, where you trust that file"});
  const Result<std::unique_ptr<OwnRules>> rules =
      OwnRules::start(*experiment, options.threads, &stop_request());
  if (!rules) return report("verify", rules.error());
  const std::uint32_t seed = options.seed ? *options.seed : std::random_device()();
  const Result<Verified> verified = verify(*experiment, options, seed);
  if (!verified) return report("verify", verified.error());
  if (verified->signal != 0) return 128 + verified->signal;
  if (verified->checked == 0)
    return report("verify",
                  {ExitCode::partial, options.folder.string() + ": no finished cells to verify"});
  const std::optional<Difference>& found = verified->difference;
  if (options.json) {
    Json out{{"sequences", verified->sequences.size()},
             {"cells", verified->checked},
             {"seed", seed},
             {"same_bits", !found},
             {"difference", nullptr}};
    if (found)
      out["difference"] = {
          {"cell", found->cell}, {"dataset", found->dataset}, {"what", found->what}};
    std::cout << json_text(out) << '\n';
  } else if (!found) {
    std::cout << "the same bits in " << verified->checked << " cells of "
              << verified->sequences.size() << " sequences, computed again\n";
    std::cerr << "lamp verify: these cells again: --seed " << seed << '\n';
  }
  if (found)
    return report("verify", {ExitCode::check_failed,
                             options.folder.string() + ": " + found->cell + ": " + found->dataset +
                                 ": " + found->what + "; again: --seed " + std::to_string(seed)});
  return static_cast<int>(ExitCode::done);
}

}  // namespace lamp::experiments
