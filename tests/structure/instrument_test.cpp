// A quantity is recorded by adding one instrument to the list; and its name stands by its values
// wherever the instrument stands in the list.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <map>

#include "core/record/shard.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/runner.hpp"

namespace lamp::experiments {
std::unique_ptr<Instrument> largest(const Recording&);  // largest.cpp
}

using namespace lamp;
using namespace lamp::experiments;

namespace {

/// One pass of gpt2-nano over six tokens that records all there is.
const std::string study = R"(schema_version = 1
title = "instruments"
[model]
path = "data/models/gpt2-nano"
[tokens]
source = "ids"
path = "ids.json"
sequence_length = 6
sequences = 1
[arithmetic.low]
preset = "lamp-paper"
mu = 4
[arithmetic.high]
format = "binary32"
[plan]
default = "low"
[lamp.scores]
recompute = "high"
[record]
errors = ["scores", "gelu", "logits"]
detail = "full"
activations = ["softmax", "ln_f"]
[continuation]
prefix = 2
tokens = 3
)";

const std::vector<TokenId> ids{5, 53, 175, 371, 641, 985};

struct Setup {
  Config config;
  Model model;
  Grid grid;
};

Setup setup() {
  Result<Config> config = parse_config(study, "study.toml", LAMP_SOURCE_DIR, {});
  if (!config) FAIL(config.error().message);
  Result<Model> model = read_model(config->model_path);
  if (!model) FAIL(model.error().message);
  Result<Grid> grid =
      expand(*config, {.models = {{.content = model->content}}, .texts = {sha256("")}});
  if (!grid) FAIL(grid.error().message);
  return {*std::move(config), *std::move(model), *std::move(grid)};
}

/// A folder for a run, removed at the end.
class Scratch {
 public:
  Scratch() {
    REQUIRE(::mkdtemp(name_.data()) != nullptr);
    std::filesystem::create_directory(std::filesystem::path(name_) / "shards");
  }
  ~Scratch() { std::filesystem::remove_all(name_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] RunFolder folder(const Setup& setup) const {
    return RunFolder::for_reading(name_, setup.grid.experiment);
  }

 private:
  std::string name_ = (std::filesystem::temp_directory_path() / "lamp-instrument-XXXXXX").string();
};

TokenSequence sequence() { return {.text = 0, .index = 0, .ids = ids, .id = sha256("ids")}; }

Result<RunSummary> run(const Setup& setup, std::span<const InstrumentMaker> instruments,
                       const RunFolder& folder) {
  return run_sequences({.variants = {{.model = setup.model, .reference = setup.model}},
                        .reference = setup.grid.reference,
                        .cells = setup.grid.cells,
                        .sequences = {sequence()},
                        .recording = {setup.config, setup.model.config},
                        .experiment = setup.grid.experiment,
                        .quiet = true,
                        .instruments = instruments},
                       folder);
}

/// What a run with these instruments leaves on disk.
record::Shard recorded(const Setup& setup, std::span<const InstrumentMaker> instruments) {
  const Scratch scratch;
  const RunFolder folder = scratch.folder(setup);
  const Result<RunSummary> summary = run(setup, instruments, folder);
  if (!summary) FAIL(summary.error().message);
  CHECK(summary->computed == 1);
  Result<record::Shard> shard = record::read_shard(folder.shard(0, sequence().id));
  if (!shard) FAIL(shard.error().message);
  return *std::move(shard);
}

/// The bytes of every quantity of cell and reference, by its path.
std::map<std::string, std::vector<std::byte>> by_name(const record::Shard& shard) {
  std::map<std::string, std::vector<std::byte>> all;
  const auto add = [&](const auto& quantities, const auto& values) {
    for (std::size_t q = 0; q < quantities.size(); ++q) {
      const auto bytes = record::bytes(values[q]);
      all[quantities[q].path].assign(bytes.begin(), bytes.end());
    }
  };
  add(shard.quantities, shard.cells.at(0).values);
  add(shard.reference_quantities, shard.reference);
  return all;
}

std::vector<InstrumentMaker> all() { return {all_instruments().begin(), all_instruments().end()}; }

}  // namespace

TEST_CASE("instruments: one more is one file, run, stored and read back", "[structure]") {
  const Setup given = setup();
  std::vector<InstrumentMaker> more = all();
  more.push_back(largest);
  const record::Shard shard = recorded(given, more);
  REQUIRE(shard.quantities.back().path == "/toy/largest");
  const auto& values = std::get<std::vector<double>>(shard.cells.at(0).values.back());
  const std::size_t layers = given.model.config.n_layer;
  REQUIRE(values.size() == sites.size() * layers);

  const auto at = [&](Site site, std::size_t layer) {
    return values[static_cast<std::size_t>(&info(site) - sites.data()) * layers + layer];
  };
  for (std::size_t layer = 0; layer < layers; ++layer) {
    CHECK(at(Site::scores, layer) > 0.0);
    CHECK(at(Site::softmax, layer) == 1.0);  // position 0 sees itself only
  }
  CHECK((at(Site::embed, 0) > 0.0 && at(Site::embed, 1) == 0.0));

  // The same of a site that another instrument records whole.
  const auto run = std::find_if(shard.quantities.begin(), shard.quantities.end(),
                                [](const auto& q) { return q.path == "/activations/ln_f/run"; });
  REQUIRE(run != shard.quantities.end());
  const auto index = static_cast<std::size_t>(run - shard.quantities.begin());
  double expected = 0.0;
  for (const double x : std::get<std::vector<double>>(shard.cells.at(0).values.at(index)))
    expected = std::max(expected, std::abs(x));
  CHECK(at(Site::ln_f, 0) == expected);

  // And it changes nothing of the others.
  std::map<std::string, std::vector<std::byte>> others = by_name(shard);
  others.erase("/toy/largest");
  CHECK(others == by_name(recorded(given, all())));
}

TEST_CASE("instruments: names keep their values in any order of the list", "[structure]") {
  const Setup given = setup();
  std::vector<InstrumentMaker> turned = all();
  std::reverse(turned.begin(), turned.end());
  const record::Shard forwards = recorded(given, all()), backwards = recorded(given, turned);
  CHECK(forwards.quantities != backwards.quantities);
  CHECK(by_name(forwards) == by_name(backwards));
}

TEST_CASE("instruments: a folder is gone on with in the order it was begun in", "[structure]") {
  const Setup given = setup();
  std::vector<InstrumentMaker> turned = all();
  std::reverse(turned.begin(), turned.end());
  const Scratch scratch;
  const RunFolder folder = scratch.folder(given);
  CHECK(run(given, all(), folder).value().computed == 1);
  CHECK(run(given, all(), folder).value().resumed == 1);
  const Result<RunSummary> other = run(given, turned, folder);
  REQUIRE(!other);
  CHECK(other.error().code == ExitCode::cannot_create);
  CHECK(other.error().message.find("records other quantities") != std::string::npos);
}

TEST_CASE("instruments: the quantities of a shard, in the order its bytes depend on",
          "[structure]") {
  const record::Shard shard = recorded(setup(), all());
  const std::vector<std::string> first{"/metrics/kl",
                                       "/metrics/flip_rate",
                                       "/metrics/cross_entropy",
                                       "/metrics/kl_position",
                                       "/metrics/flip_position",
                                       "/metrics/cross_entropy_position",
                                       "/metrics/recompute_rate",
                                       "/metrics/divergence_position",
                                       "/continuations/run",
                                       "/errors/scores/forward_count"};
  std::vector<std::string> paths;
  for (const record::Quantity& q : shard.quantities) paths.push_back(q.path);
  REQUIRE(paths.size() > first.size());
  CHECK(std::equal(first.begin(), first.end(), paths.begin()));
  CHECK(std::find(paths.begin(), paths.end(), "/activations/ln_f/run") != paths.end());
  CHECK(paths.back() == "/metrics/cost_accumulation");
  std::vector<std::string> of_reference;
  for (const record::Quantity& q : shard.reference_quantities) of_reference.push_back(q.path);
  CHECK(of_reference ==
        std::vector<std::string>{"/reference/tokens", "/reference/cross_entropy",
                                 "/reference/cross_entropy_position", "/continuations/reference",
                                 "/activations/softmax/reference", "/activations/ln_f/reference"});
}
