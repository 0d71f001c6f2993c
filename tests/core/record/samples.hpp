// Shards and plans to test with: small, with every element type, absent values, a failed cell and
// quantities of every kind.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/sha256.hpp"
#include "core/record/merge.hpp"
#include "core/record/shard.hpp"
#include "tests/support/random.hpp"

namespace lamp::record::test {

inline std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void spill(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();
inline constexpr std::size_t positions = 5, layers = 2, heads = 3, bins = 4;

inline Digest named(const std::string& name) { return sha256(name); }

inline std::vector<Quantity> sample_quantities() {
  Quantity kl{"/metrics/kl", {}, {}, "nat", "KL divergence from the reference"};
  Quantity kl_position{
      "/metrics/kl_position", {"position"}, {positions}, "nat", "KL divergence at a position"};
  Quantity rate{"/metrics/recompute_rate",
                {"layer", "head"},
                {layers, heads},
                "1",
                "share of components computed again"};
  Quantity counts{"/errors/scores/forward_bins",
                  {"layer", "bin"},
                  {layers, bins},
                  "1",
                  "number of errors in a bin"};
  counts.prototype = std::vector<std::uint64_t>{};
  Quantity sets{"/truth/local/min_set", {"query"}, {positions}, "1", "mask of the least set"};
  sets.prototype = std::vector<std::uint32_t>{};
  sets.constant_over = {"lamp.scores.tau"};
  Quantity flags{"/truth/tried", {}, {}, "1", "how it was found", {"not", "greedy", "exact"}};
  flags.prototype = std::vector<std::uint8_t>{};
  return {kl, kl_position, rate, counts, sets, flags};
}

inline std::vector<Quantity> sample_reference() {
  Quantity tokens{"/reference/tokens", {"position"}, {positions}, "1", "token ids"};
  tokens.prototype = std::vector<std::int64_t>{};
  Quantity entropy{"/reference/cross_entropy_position",
                   {"position"},
                   {positions},
                   "nat",
                   "cross entropy at a position"};
  Quantity mean{"/reference/cross_entropy", {}, {}, "nat", "mean cross entropy"};
  return {tokens, entropy, mean};
}

/// Random values of the quantity's type.
inline Values random_values(const Quantity& q, lamp::test::Random& random) {
  Values values = zeros_like(q.prototype, elements(q));
  std::visit(
      [&](auto& v) {
        using T = typename std::remove_cvref_t<decltype(v)>::value_type;
        for (T& x : v) {
          if constexpr (std::is_same_v<T, double>)
            x = random.symmetric();
          else
            x = static_cast<T>(random.below(3));
        }
      },
      values);
  return values;
}

/// The shard of `sequence` with cells of the given names; the value of a cell depends on both and
/// on nothing else.
inline Shard sample_shard(const std::string& sequence, const std::vector<std::string>& cells) {
  Shard shard{
      named("experiment"), named(sequence), sample_quantities(), {}, sample_reference(), {}};
  const auto seed = [](const std::string& name) {
    return std::uint32_t{sha256(name)[0]} << 8 | sha256(name)[1];
  };
  for (const std::string& cell : cells) {
    lamp::test::Random random(seed(sequence + "/" + cell));
    CellRecord record{named(cell), CellStatus::done, {}};
    for (const Quantity& q : shard.quantities) record.values.push_back(random_values(q, random));
    shard.cells.push_back(std::move(record));
  }
  lamp::test::Random random(seed(sequence));
  for (const Quantity& q : shard.reference_quantities)
    shard.reference.push_back(random_values(q, random));
  return shard;
}

/// Cells of the sample grid (mu, plan, tau) in row-major order.
inline std::vector<std::string> sample_cells() {
  std::vector<std::string> names;
  for (const char* mu : {"2", "4"})
    for (const char* plan : {"low", "high"})
      for (const char* tau : {"2.0", "1.5", "1.1"}) names.push_back(std::string(mu) + plan + tau);
  return names;
}

/// Texts prose and code, sequences 0 and 1; the grid mu (integers), plan (texts), tau (real).
inline MergePlan sample_plan(const std::filesystem::path& folder) {
  MergePlan plan;
  plan.sequence_axes = {{"text", std::vector<std::string>{"prose", "Größe"}, "1", "text"},
                        {"sequence", std::vector<std::int64_t>{0, 1}, "1", "sequence of a text"}};
  plan.grid_axes = {
      {"arithmetic.low.mu", std::vector<std::int64_t>{2, 4}, "bit", "significand bits"},
      {"plan.scores", std::vector<std::string>{"low", "high"}},
      {"lamp.scores.tau", std::vector<double>{2.0, 1.5, 1.1}}};
  for (const std::string& cell : sample_cells()) plan.cell_ids.push_back(named(cell));
  for (const char* name : {"prose0", "prose1", "code0", "code1"}) {
    plan.shards.push_back(folder / (std::string(name) + ".h5"));
    plan.sequence_ids.push_back(named(name));
  }
  plan.inner_axes = {{"bin", {"bin", std::vector<double>{0.5, 1.0, 2.0, 4.0}, "u", "upper edge"}}};
  plan.experiment = named("experiment");
  plan.provenance = {{"config", "title = \"Größe\"\n"}, {"host", "here"}, {"command_line", ""}};
  return plan;
}

/// A new empty folder, removed at the end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "lamp-record-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

}  // namespace lamp::record::test
