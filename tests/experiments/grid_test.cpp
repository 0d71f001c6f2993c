// The grid: order of cells (oracle: nested loops over the axes), and identities that change with what changes values and with
// nothing else.
#include "experiments/grid.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "config_text.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::base_config;
using lamp::test::parse;
using lamp::test::with;
using lamp::test::with_grid;

namespace {

Inputs inputs() {
  return {.model = sha256("model"), .activation = Activation::gelu_new, .tokenizer = sha256("tokenizer"), .texts = {sha256("text")}};
}

Grid grid_of(const std::string& text, const Inputs& given = inputs()) {
  const Result<Config> config = parse(text);
  if (!config) FAIL(config.error().message);
  Result<Grid> grid = expand(*config, given);
  if (!grid) FAIL(grid.error().message);
  return *std::move(grid);
}

Digest cell_of(const std::string& text, const Inputs& given = inputs()) { return grid_of(text, given).cells.at(0).id; }
Digest experiment_of(const std::string& text, const Inputs& given = inputs()) { return grid_of(text, given).experiment; }

const std::string axes = "\"lamp.scores.tau\" = [2, 1.5, 1.1]\n\"arithmetic.low.mu\" = [4, 2]";

}  // namespace

TEST_CASE("grid: none is one cell without axes", "[grid]") {
  const Grid grid = grid_of(base_config);
  CHECK(grid.axes.empty());
  REQUIRE(grid.cells.size() == 1);
  CHECK(grid.cells[0].index.empty());
  CHECK(grid.cells[0].plan.at(Site::scores) == lamp_paper(7));
  CHECK(grid.cells[0].plan.at(Site::softmax) == fused(binary32));
  REQUIRE(grid.cells[0].plan.selection(Site::scores) != nullptr);
  CHECK(grid.cells[0].plan.selection(Site::scores)->spec == SelectionSpec{});
  CHECK(grid.cells[0].plan.selection(Site::scores)->recompute == fused(binary32));
  CHECK(grid.cells[0].plan.selection(Site::logits) == nullptr);
  CHECK(grid.reference.at(Site::logits) == fused(binary64));
}

TEST_CASE("grid: axes in file order, cells row-major", "[grid]") {
  const Grid grid = grid_of(with_grid(axes));
  REQUIRE(grid.axes.size() == 2);
  CHECK(grid.axes[0].name == "lamp.scores.tau");
  CHECK(std::get<std::vector<double>>(grid.axes[0].values) == std::vector<double>{2.0, 1.5, 1.1});
  CHECK(grid.axes[1].name == "arithmetic.low.mu");
  CHECK(std::get<std::vector<std::int64_t>>(grid.axes[1].values) == std::vector<std::int64_t>{4, 2});
  REQUIRE(grid.cells.size() == 6);
  std::set<Digest> ids;
  std::size_t cell = 0;
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t m = 0; m < 2; ++m, ++cell) {
      CHECK(grid.cells[cell].index == std::vector<std::size_t>{t, m});
      CHECK(grid.cells[cell].plan.at(Site::scores) == lamp_paper(m == 0 ? 4 : 2));
      CHECK(grid.cells[cell].plan.selection(Site::scores)->spec.tau == std::vector<double>{2.0, 1.5, 1.1}[t]);
      ids.insert(grid.cells[cell].id);
    }
  CHECK(ids.size() == 6);
}

TEST_CASE("grid: file order holds across nested tables, dotted keys and --set", "[grid]") {
  const auto names = [](const Result<Config>& config) {
    std::vector<std::string> list;
    for (const GridAxis& axis : config->grid) list.push_back(axis.key);
    return list;
  };
  const std::vector<std::string> expected{"arithmetic.low.mu", "lamp.scores.tau", "arithmetic.high.format"};
  CHECK(names(parse(with_grid("\"arithmetic.low.mu\" = [1]\n\"lamp.scores.tau\" = [1]\n\"arithmetic.high.format\" = [\"ps9\"]"))) ==
        expected);
  CHECK(names(parse(with_grid("arithmetic.low.mu = [1]\nlamp.scores.tau = [1]\narithmetic.high.format = [\"ps9\"]"))) == expected);
  CHECK(names(parse(base_config +
                    "[grid.arithmetic.low]\nmu = [1]\n[grid.lamp]\nscores.tau = [1]\n[grid.arithmetic.high]\nformat = [\"ps9\"]\n")) ==
        expected);
  CHECK(names(parse(with_grid("arithmetic.low.mu = [1]\nlamp.scores.tau = [1]"),
                    {"grid.\"arithmetic.high.format\"=[\"ps9\"]", "grid.arithmetic.low.mu=[2]"})) == expected);
}

TEST_CASE("grid: an axis replaces its alternative", "[grid]") {
  const Grid format = grid_of(with_grid("\"arithmetic.low.format\" = [\"ps3\", \"binary16\"]"));  // mu = 7 in the base
  CHECK(format.cells[0].plan.at(Site::scores) == lamp_paper(3));
  CHECK(format.cells[1].plan.at(Site::scores).mac.format == binary16);
  const Grid mu = grid_of(with("mu = 7", "format = \"binary16\"") + "[grid]\n\"arithmetic.low.mu\" = [5]\n");
  CHECK(mu.cells[0].plan.at(Site::scores) == lamp_paper(5));
  const Grid neither = grid_of(with("mu = 7\n", "") + "[grid]\n\"arithmetic.low.mu\" = [5]\n");
  CHECK(neither.cells[0].plan.at(Site::scores) == lamp_paper(5));
  const Grid rate = grid_of(with("recompute", "tau = 1\nrecompute") + "[grid]\n\"lamp.scores.rate\" = [0, 0.5]\n");
  CHECK(rate.cells[1].plan.selection(Site::scores)->spec.rate == 0.5);
  CHECK_FALSE(rate.cells[1].plan.selection(Site::scores)->spec.tau.has_value());
  const Grid plan =
      grid_of(with("default = \"high\"\n", "") + "[grid]\n\"plan.default\" = [\"low\", \"high\"]\n\"plan.layer.1.softmax\" = [\"low\"]\n");
  CHECK(plan.cells[0].plan.at(Site::logits) == lamp_paper(7));
  CHECK(plan.cells[1].plan.at(Site::logits) == fused(binary32));
  CHECK(plan.cells[1].plan.at(Site::softmax, Layer{1}) == lamp_paper(7));
}

TEST_CASE("grid: a cell's id is that of the same config without a grid", "[grid]") {
  const Grid grid = grid_of(with_grid(axes));
  CHECK(grid.cells[3].id == cell_of(with("mu = 7", "mu = 2").replace(with("mu = 7", "mu = 2").find("recompute"), 0, "tau = 1.5\n")));
}

TEST_CASE("grid: what does not affect values leaves a cell's id alone", "[grid]") {
  const Digest id = cell_of(base_config);
  CHECK(cell_of(with("a title", "another")) == id);
  CHECK(cell_of(with("models/gpt2-tiny", "elsewhere/gpt2-tiny")) == id);
  CHECK(cell_of(with("texts/prose.txt", "code.txt")) == id);
  CHECK(cell_of(with("= 64", "= 64\nsequences = 3")) == id);
  CHECK(cell_of(with("mu = 7", "format = \"bfloat16\"")) == id);  // another spelling
  CHECK(cell_of(with("preset = \"lamp-paper\"", "via = \"binary32\"\nrounding = \"RNE\"")) == id);
  CHECK(cell_of(base_config + "[arithmetic.unused]\nformat = \"binary16\"\n") == id);
  std::string renamed = base_config;
  for (std::size_t at; (at = renamed.find("high")) != std::string::npos;) renamed.replace(at, 4, "fp32");
  CHECK(cell_of(renamed) == id);
}

TEST_CASE("grid: every key that affects values changes a cell's id", "[grid]") {
  std::set<Digest> ids{cell_of(base_config)};
  const std::vector<std::string> texts{
      "seed = 43\n" + base_config,
      with("mu = 7", "mu = 8"),
      with("mu = 7", "mu = 7\noperands = \"bfloat16\""),
      with("mu = 7", "mu = 7\nproduct = \"bfloat16\""),
      with("mu = 7", "mu = 7\nvia = \"none\""),
      with("mu = 7", "mu = 7\nrounding = \"RTZ\""),
      with("\"binary32\"", "{p = 24, emin = -126, emax = 127, subnormals = false}"),
      with("\"binary32\"", "\"tf32\""),
      with("scores = \"low\"", "softmax = \"low\""),
      with("scores = \"low\"", "layer.0.scores = \"low\""),
      with("scores = \"low\"", "layer.0.head.0.scores = \"low\""),
      with("scores = \"low\"", ""),
      with("default = \"high\"", "default = \"low\""),
      with("recompute = \"high\"", "recompute = \"low\""),
      with("recompute", "rule = \"random\"\nrecompute"),
      with("recompute", "rule = \"none\"\nrecompute"),
      with("recompute", "mask = \"as-zero\"\nrecompute"),
      with("recompute", "tau = 1.25\nrecompute"),
      with("recompute", "rate = 0.25\nrecompute"),
      with("[lamp.scores]\nrecompute = \"high\"\n", ""),
      base_config + "[reference]\narithmetic = \"high\"\n",
  };
  for (const std::string& text : texts) {
    INFO(text);
    CHECK(ids.insert(cell_of(text)).second);
  }
  Inputs other = inputs();
  other.model = sha256("other");
  CHECK(ids.insert(cell_of(base_config, other)).second);
  other = inputs();
  other.activation = Activation::gelu;
  CHECK(ids.insert(cell_of(base_config, other)).second);
}

TEST_CASE("grid: more points and more sequences stay in the experiment, anything else leaves it", "[grid]") {
  const std::string text = with_grid(axes);
  const auto change = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    REQUIRE(changed.find(from) != std::string::npos);
    return changed.replace(changed.find(from), from.size(), to);
  };
  const Digest id = experiment_of(text);
  CHECK(experiment_of(change("[4, 2]", "[1, 2, 3]")) == id);
  CHECK(experiment_of(change("[2, 1.5, 1.1]", "[0.5]")) == id);
  CHECK(experiment_of(change("= 64", "= 64\nsequences = 100")) == id);
  CHECK(experiment_of(change("mu = 7", "mu = 9")) == id);  // replaced by the axis
  CHECK(experiment_of(change("mu = 7", "format = \"binary16\"")) == id);
  CHECK(experiment_of(change("a title", "another")) == id);
  CHECK(experiment_of(change("models/gpt2-tiny", "m")) == id);
  CHECK(experiment_of(change("texts/prose.txt", "p.txt")) == id);

  std::set<Digest> ids{id};
  const std::vector<std::string> texts{
      "seed = 1\n" + text,
      change("= 64", "= 65"),
      change("= 64", "= 64\noffset = 1"),
      change("= 64", "= 64\nshuffle = true"),
      change("= 64", "= 64\nsource = \"ids\""),
      change("\"binary32\"", "\"tf32\""),
      change("preset = \"lamp-paper\"", ""),
      change("scores = \"low\"", "softmax = \"low\""),
      change("recompute", "rule = \"random\"\nrecompute"),
      change("\"texts/prose.txt\"", "[\"texts/prose.txt\"]"),
      change("\"lamp.scores.tau\" = [2, 1.5, 1.1]\n", ""),
      base_config,
      text + "[reference]\narithmetic = \"high\"\n",
  };
  for (const std::string& changed : texts) {
    INFO(changed);
    CHECK(ids.insert(experiment_of(changed)).second);
  }
  for (int i = 0; i < 5; ++i) {
    Inputs other = inputs();
    if (i == 0) other.model = sha256("other");
    if (i == 1) other.activation = Activation::gelu;
    if (i == 2) other.tokenizer = sha256("other");
    if (i == 3) other.texts = {sha256("other")};
    if (i == 4) other.texts.push_back(sha256("other"));
    CHECK(ids.insert(experiment_of(text, other)).second);
  }
}
