// The grid: order of cells (oracle: nested loops over the axes), and identities that change with
// what changes values and with nothing else.
#include "experiments/config/grid.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "config_text.hpp"
#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "experiments/config/fields.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::base_config;
using lamp::test::parse;
using lamp::test::with;
using lamp::test::with_grid;

namespace {

Inputs inputs() {
  return {.models = {{.content = sha256("model"), .activation = Activation::gelu_new}},
          .tokenizer = sha256("tokenizer"),
          .texts = {sha256("text")}};
}

Grid grid_of(const std::string& text, const Inputs& given = inputs()) {
  const Result<Config> config = parse(text);
  if (!config) FAIL(config.error().message);
  Result<Grid> grid = expand(*config, given);
  if (!grid) FAIL(grid.error().message);
  return *std::move(grid);
}

Digest cell_of(const std::string& text, const Inputs& given = inputs()) {
  return grid_of(text, given).cells.at(0).id;
}
Digest experiment_of(const std::string& text, const Inputs& given = inputs()) {
  return grid_of(text, given).experiment;
}

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
  CHECK(std::get<std::vector<std::int64_t>>(grid.axes[1].values) ==
        std::vector<std::int64_t>{4, 2});
  REQUIRE(grid.cells.size() == 6);
  std::set<Digest> ids;
  std::size_t cell = 0;
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t m = 0; m < 2; ++m, ++cell) {
      CHECK(grid.cells[cell].index == std::vector<std::size_t>{t, m});
      CHECK(grid.cells[cell].plan.at(Site::scores) == lamp_paper(m == 0 ? 4 : 2));
      CHECK(grid.cells[cell].plan.selection(Site::scores)->spec.tau ==
            std::vector<double>{2.0, 1.5, 1.1}[t]);
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
  const std::vector<std::string> expected{"arithmetic.low.mu", "lamp.scores.tau",
                                          "arithmetic.high.format"};
  CHECK(names(parse(with_grid("\"arithmetic.low.mu\" = [1]\n\"lamp.scores.tau\" = "
                              "[1]\n\"arithmetic.high.format\" = [\"ps9\"]"))) == expected);
  CHECK(
      names(parse(with_grid(
          "arithmetic.low.mu = [1]\nlamp.scores.tau = [1]\narithmetic.high.format = [\"ps9\"]"))) ==
      expected);
  CHECK(names(parse(base_config + "[grid.arithmetic.low]\nmu = [1]\n[grid.lamp]\nscores.tau = "
                                  "[1]\n[grid.arithmetic.high]\nformat = [\"ps9\"]\n")) ==
        expected);
  CHECK(names(parse(with_grid("arithmetic.low.mu = [1]\nlamp.scores.tau = [1]"),
                    {"grid.\"arithmetic.high.format\"=[\"ps9\"]", "grid.arithmetic.low.mu=[2]"})) ==
        expected);
}

TEST_CASE("grid: an axis replaces its alternative", "[grid]") {
  const Grid format = grid_of(
      with_grid("\"arithmetic.low.format\" = [\"ps3\", \"binary16\"]"));  // mu = 7 in the base
  CHECK(format.cells[0].plan.at(Site::scores) == lamp_paper(3));
  CHECK(format.cells[1].plan.at(Site::scores).mac.format == binary16);
  const Grid mu =
      grid_of(with("mu = 7", "format = \"binary16\"") + "[grid]\n\"arithmetic.low.mu\" = [5]\n");
  CHECK(mu.cells[0].plan.at(Site::scores) == lamp_paper(5));
  const Grid neither = grid_of(with("mu = 7\n", "") + "[grid]\n\"arithmetic.low.mu\" = [5]\n");
  CHECK(neither.cells[0].plan.at(Site::scores) == lamp_paper(5));
  const Grid rate = grid_of(with("recompute", "tau = 1\nrecompute") +
                            "[grid]\n\"lamp.scores.rate\" = [0, 0.5]\n");
  CHECK(rate.cells[1].plan.selection(Site::scores)->spec.rate == 0.5);
  CHECK_FALSE(rate.cells[1].plan.selection(Site::scores)->spec.tau.has_value());
  const Grid plan = grid_of(
      with("default = \"high\"\n", "") +
      "[grid]\n\"plan.default\" = [\"low\", \"high\"]\n\"plan.layer.1.softmax\" = [\"low\"]\n");
  CHECK(plan.cells[0].plan.at(Site::logits) == lamp_paper(7));
  CHECK(plan.cells[1].plan.at(Site::logits) == fused(binary32));
  CHECK(plan.cells[1].plan.at(Site::softmax, Layer{1}) == lamp_paper(7));
}

TEST_CASE("grid: a cell's id is that of the same config without a grid", "[grid]") {
  const Grid grid = grid_of(with_grid(axes));
  CHECK(grid.cells[3].id ==
        cell_of(with("mu = 7", "mu = 2")
                    .replace(with("mu = 7", "mu = 2").find("recompute"), 0, "tau = 1.5\n")));
}

TEST_CASE("grid: what does not affect values leaves a cell's id alone", "[grid]") {
  const Digest id = cell_of(base_config);
  CHECK(cell_of(with("a title", "another")) == id);
  CHECK(cell_of(with("models/gpt2-tiny", "elsewhere/gpt2-tiny")) == id);
  CHECK(cell_of(with("texts/prose.txt", "code.txt")) == id);
  CHECK(cell_of(with("= 64", "= 64\nsequences = 3")) == id);
  CHECK(cell_of(with("mu = 7", "format = \"bfloat16\"")) == id);  // another spelling
  CHECK(cell_of(with("preset = \"lamp-paper\"", "via = \"binary32\"\nrounding = \"RNE\"")) == id);
  CHECK(cell_of(with("mu = 7", "mu = 7\nrandom_bits = 8")) == id);      // nothing is random
  CHECK(cell_of(with("mu = 7", "mu = 7\nblock = {mu = 3}")) == id);     // no order that has blocks
  CHECK(cell_of(with("mu = 7", "mu = 7\npart = \"bfloat16\"")) == id);  // nor parts
  CHECK(cell_of(with("mu = 7", "mu = 7\noperand_rounding = \"RTZ\"")) == id);  // as they are
  const Digest blocked = cell_of(with("mu = 7", "mu = 7\norder = \"blocked:32\""));
  CHECK(cell_of(with("mu = 7",
                     "mu = 7\norder = \"blocked:32\"\nblock = {preset = \"lamp-paper\", format = "
                     "\"bfloat16\"}")) == blocked);
  CHECK(cell_of(with("mu = 7", "mu = 7\nrounding = \"SRE\"\nrandom_bits = 8")) ==
        cell_of(with("mu = 7", "mu = 7\nrounding = \"SRE\"")));
  CHECK(
      cell_of(base_config +
              "[record]\nerrors = [\"scores\"]\ndetail = \"full\"\nactivations = [\"logits\"]\n") ==
      id);
  CHECK(cell_of(base_config + "[arithmetic.unused]\nformat = \"binary16\"\n") == id);
  std::string renamed = base_config;
  for (std::size_t at; (at = renamed.find("high")) != std::string::npos;)
    renamed.replace(at, 4, "fp32");
  CHECK(cell_of(renamed) == id);
}

TEST_CASE("grid: keys that came later are in no identity where they have their default", "[grid]") {
  const std::string shift_none = with("recompute", "shift = \"none\"\nrecompute"),
                    selected_not = base_config + "[record]\nselected = false\n",
                    selected = base_config + "[record]\nselected = true\n";
  const Result<experiments::Config> config = parse(base_config);
  REQUIRE(config.ok());
  for (const auto& [key, name] :
       {std::pair{"lamp.scores.shift", "scores"}, std::pair{"record.selected", ""}})
    CHECK(!find_field(key).field->write(*config, name, Form::identity));
  const std::string as_ever =
      "mu = 7\noperand_rounding = \"RNE\"\npart = \"none\"\nblock = "
      "{mu = 3, operand_rounding = \"RNE\"}";
  CHECK(experiment_of(with("mu = 7", as_ever)) ==
        experiment_of(with("mu = 7", "mu = 7\nblock = {mu = 3}")));
  const std::string store_none =
      base_config +
      "[store]\ndefault = \"as-computed\"\nweights = \"as-computed\"\ncache.keys = "
      "\"as-computed\"\ngelu = \"as-computed\"\nlayer.1.ln_1 = \"as-computed\"\n";
  CHECK(experiment_of(store_none) == experiment_of(base_config));
  CHECK(cell_of(store_none) == cell_of(base_config));
  CHECK(experiment_of(shift_none) == experiment_of(base_config));
  CHECK(experiment_of(selected_not) == experiment_of(base_config));
  CHECK(experiment_of(selected) != experiment_of(base_config));
  CHECK(cell_of(selected) == cell_of(base_config));
}

TEST_CASE("grid: every key that affects values changes a cell's id", "[grid]") {
  std::set<Digest> ids{cell_of(base_config)};
  const std::vector<std::string> texts{
      "seed = 43\n" + base_config,
      with("mu = 7", "mu = 8"),
      with("mu = 7", "mu = 7\noperands = \"bfloat16\""),
      with("mu = 7", "mu = 7\noperands = \"bfloat16\"\noperand_rounding = \"RNA\""),
      with("mu = 7", "mu = 7\noperands = \"bfloat16\"\noperand_rounding = \"RTZ\""),
      with("mu = 7", "mu = 7\norder = \"split:4\""),
      with("mu = 7", "mu = 7\norder = \"split:4\"\npart = \"bfloat16\""),
      with("mu = 7", "mu = 7\norder = \"split:4\"\npart = \"binary16\""),
      with("preset = \"lamp-paper\"\nmu = 7",
           "engine = \"h100\"\noperands = \"tf32\"\noperand_rounding = \"RTZ\""),
      with("preset = \"lamp-paper\"\nmu = 7",
           "engine = \"h100\"\noperands = \"tf32\"\norder = \"split:2\"\npart = \"tf32\""),
      base_config + "[store]\ndefault = \"bfloat16\"\n",
      base_config + "[store]\ndefault = \"binary16\"\n",
      base_config + "[store]\ndefault = \"mxfp4\"\n",
      base_config + "[store]\ndefault = \"bfloat16\"\ngelu = \"as-computed\"\n",
      base_config + "[store]\ndefault = \"bfloat16\"\nlayer.1.gelu = \"as-computed\"\n",
      base_config + "[store]\nweights = \"bfloat16\"\n",
      base_config + "[store]\ncache.keys = \"bfloat16\"\n",
      base_config + "[store]\ncache.values = \"bfloat16\"\n",
      base_config + "[store]\ngelu = \"bfloat16\"\n",
      base_config + "[store]\nlayer.1.gelu = \"bfloat16\"\n",
      base_config + "[store]\ngelu = \"bfloat16\"\nlayer.1.gelu = \"as-computed\"\n",
      with("mu = 7", "mu = 7\noperands = \"mxfp4\""),
      with("mu = 7", "mu = 7\noperands = {element = \"e2m1fn\", scale = \"e8m0fnu\", size = 16}"),
      with("mu = 7", "mu = 7\noperands = \"nvfp4\""),
      with("mu = 7", "mu = 7\noperands = \"mxfp6-e2m3\""),
      with("mu = 7", "mu = 7\nproduct = \"bfloat16\""),
      with("mu = 7", "mu = 7\nvia = \"none\""),
      with("mu = 7", "mu = 7\nrounding = \"RTZ\""),
      with("mu = 7", "mu = 7\nrounding = \"SR\""),
      with("mu = 7", "mu = 7\nrounding = \"SRE\""),
      with("mu = 7", "mu = 7\nrounding = \"SR\"\nrandom_bits = 8"),
      with("mu = 7", "mu = 7\norder = \"reverse\""),
      with("mu = 7", "mu = 7\norder = \"blocked:32\""),
      with("mu = 7", "mu = 7\norder = \"blocked:16\""),
      with("mu = 7", "mu = 7\norder = \"multiterm:8,24\""),
      with("mu = 7", "mu = 7\norder = \"multiterm:8,25\""),
      with("mu = 7", "mu = 7\norder = \"tree:((0 1) (2 3))\""),
      with("mu = 7", "mu = 7\norder = \"tree:((0 1) 2 3)\""),
      with("mu = 7",
           "mu = 7\norder = \"blocked:32\"\nblock = {mu = 7}"),  // without the preset's via
      with("mu = 7", "mu = 7\norder = \"blocked:32\"\nblock = {mu = 8, via = \"binary32\"}"),
      with("mu = 7", "mu = 7\norder = \"blocked:32\"\nblock = {mu = 8, operands = \"tf32\"}"),
      with("mu = 7", "mu = 7\norder = \"blocked:32\"\nblock = {mu = 8, product = \"tf32\"}"),
      with("mu = 7", "mu = 7\norder = \"blocked:32\"\nblock = {mu = 8, rounding = \"SR\"}"),
      with("mu = 7",
           "mu = 7\norder = \"blocked:32\"\nblock = {mu = 8, rounding = \"SR\", random_bits = 4}"),
      with("\"binary32\"",
           "{p = 1, emin = -127, emax = 127, subnormals = false, signed_zero = false, unsigned = "
           "true}"),
      with("\"binary32\"",
           "{p = 1, emin = -127, emax = 127, subnormals = false, signed_zero = false, unsigned = "
           "true, zero = false}"),
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
      with("recompute", "rule = \"random-full-row\"\nrecompute"),
      with("recompute", "rule = \"largest-logit\"\nrecompute"),
      with("recompute", "rule = \"window\"\nrecompute"),
      with("recompute", "rule = \"value-aware\"\nrecompute"),
      with("recompute", "shift = \"mean\"\nrecompute"),
      with("recompute", "shift = \"adaptive\"\nrecompute"),
      with("recompute", "weights = \"relative\"\nrecompute"),
      with("recompute", "weights = \"dot\"\nrecompute"),
      with("recompute", "norm = \"normwise1\"\nrecompute"),
      with("recompute", "solver = \"exact\"\nrecompute"),
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
  other.models[0].content = sha256("other");
  CHECK(ids.insert(cell_of(base_config, other)).second);
  other = inputs();
  other.models[0].activation = Activation::gelu;
  CHECK(ids.insert(cell_of(base_config, other)).second);
}

TEST_CASE("grid: more points and more sequences stay in the experiment, anything else leaves it",
          "[grid]") {
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
      text + "[record]\nerrors = [\"scores\"]\n",
      text + "[record]\nerrors = [\"scores\", \"logits\"]\n",
      text + "[record]\nactivations = [\"scores\"]\n",
      text + "[record]\nerrors = [\"scores\"]\ndetail = \"full\"\n",
      text + "[record]\nerrors = [\"scores\"]\nwhere = {\"lamp.scores.tau\" = [2]}\n",
      change("mu = 7", "mu = 7\nrandom_bits = 8"),
      change("mu = 7", "mu = 7\nblock = {mu = 3}"),
  };
  for (const std::string& changed : texts) {
    INFO(changed);
    CHECK(ids.insert(experiment_of(changed)).second);
  }
  for (int i = 0; i < 5; ++i) {
    Inputs other = inputs();
    if (i == 0) other.models[0].content = sha256("other");
    if (i == 1) other.models[0].activation = Activation::gelu;
    if (i == 2) other.tokenizer = sha256("other");
    if (i == 3) other.texts = {sha256("other")};
    if (i == 4) other.texts.push_back(sha256("other"));
    CHECK(ids.insert(experiment_of(text, other)).second);
  }
}

TEST_CASE("grid: engines as an axis; an engine is what it does, whatever it is called", "[grid]") {
  const auto grid = [&](const std::string& keys, const std::string& axis) {
    return grid_of(with("preset = \"lamp-paper\"\nmu = 7", keys) + "[grid]\n" + axis + "\n");
  };
  const std::string engines =
      "\"arithmetic.low.engine\" = [\"v100\", \"a100\", \"ada\", \"h100\", \"h200\"]";
  for (const std::string keys :
       {"engine = \"b200\"", "operands = \"binary16\"", "format = \"binary32\""}) {
    const Grid names = grid(keys, engines);
    REQUIRE(names.cells.size() == 5);
    CHECK(names.cells[0].plan.at(Site::scores) == *engine_arithmetic("v100", binary16, binary32));
    CHECK(names.cells[3].plan.at(Site::scores) == *engine_arithmetic("h100", binary16, binary32));
    CHECK(names.cells[1].id == names.cells[2].id);  // ada's binary16 is a100's
    CHECK(names.cells[3].id == names.cells[4].id);
    CHECK(names.cells[0].id != names.cells[1].id);
    CHECK(names.cells[1].id != names.cells[3].id);
  }
  const Grid operands =
      grid("engine = \"h100\"",
           "\"arithmetic.low.operands\" = [\"binary16\", \"bfloat16\", \"e4m3fn\"]");
  CHECK(operands.cells[2].plan.at(Site::scores) ==
        *engine_arithmetic("h100", *parse_format("e4m3fn"), binary32));
  CHECK(operands.cells[0].id != operands.cells[1].id);
}

TEST_CASE("grid: axes over everything that an arithmetic and a selection have", "[grid]") {
  const std::string low = "arithmetic.low.";
  const auto low_of = [&](const std::string& base, const std::string& key,
                          const std::string& values) {
    std::vector<Arithmetic> list;
    const Grid grid = grid_of(base + "[grid]\n\"" + low + key + "\" = " + values + "\n");
    std::set<Digest> ids;
    for (const Cell& cell : grid.cells)
      list.push_back(cell.plan.at(Site::scores)), ids.insert(cell.id);
    CHECK(ids.size() == list.size());
    return list;
  };
  const std::vector<Arithmetic> orders = low_of(
      base_config, "order", R"x(["blocked:2", "kahan", "tree:((0 1) (2 3))", "multiterm:4,3"])x");
  REQUIRE(orders.size() == 4);
  CHECK(orders[0].order == Order(Blocked{2}));
  CHECK(orders[3].order == Order(Multiterm{.size = 4, .fraction_bits = 3}));
  CHECK(low_of(base_config, "rounding", R"(["SR", "RNE", "SRE"])")[2].mac.rounding ==
        Rounding::sre);
  CHECK(low_of(with("mu = 7", "mu = 7\nrounding = \"SR\""), "random_bits", "[1, 8, 32]")[1]
            .mac.random_bits == 8);
  CHECK(low_of(base_config, "operands", R"(["as-is", "e8m0fnu", {p = 3, emin = -4, emax = 4}])")[2]
            .mac.operands == FloatFormat{.p = 3, .emin = -4, .emax = 4});
  CHECK(
      low_of(
          base_config, "operands",
          R"(["mxfp4", {element = "e2m1fn", scale = "e4m3fn", size = 8}, "bfloat16", "nvfp4"])")[1]
          .mac.operands ==
      NumberSystem(BlockFormat{.element = e2m1fn, .scale = e4m3fn, .size = 8}));
  CHECK(low_of(base_config, "format",
               R"([{p = 3, emin = -4, emax = 4}, {p = 1, emin = 0, emax = 0}, "ps3"])")[1]
            .mac.format == FloatFormat{.p = 1, .emin = 0, .emax = 0});
  const std::vector<Arithmetic> blocks =
      low_of(with("mu = 7", "mu = 7\norder = \"blocked:8\""), "block.format",
             R"(["ps3", {p = 8, emin = -126, emax = 127}])");
  CHECK(blocks[0].block == MacSpec{.format = ps(3)});
  CHECK(blocks[1].block == MacSpec{.format = bfloat16});
  const std::string block = with("mu = 7", "mu = 7\norder = \"blocked:8\"\nblock = {mu = 3}");
  CHECK(low_of(block, "block.mu", "[4, 5]")[1].block->format == ps(5));
  CHECK(low_of(block, "block.format", R"(["binary16"])")[0].block->format ==
        binary16);  // in place of mu
  CHECK(low_of(block, "block.rounding", R"(["RNE", "SR"])")[1].block->rounding == Rounding::sr);

  const auto specs_of = [&](const std::string& key, const std::string& values) {
    std::vector<SelectionSpec> list;
    for (const Cell& cell : grid_of(with_grid("\"lamp.scores." + key + "\" = " + values)).cells)
      list.push_back(cell.plan.selection(Site::scores)->spec);
    return list;
  };
  CHECK(specs_of("rule",
                 R"(["lamp", "random", "random-full-row", "largest-logit", "none", "all"])")[3]
            .rule == rule_named("largest-logit"));
  CHECK(specs_of("weights", R"(["absolute", "relative", "dot"])")[2].weights == ErrorWeights::dot);
  CHECK(specs_of("norm", R"(["componentwise", "normwise1"])")[1].norm == Norm::normwise1);
  CHECK(specs_of("solver", R"(["greedy", "exact"])")[1].solver == Solver::exact);
  CHECK(specs_of("mask", R"(["exclude", "as-zero"])")[1].mask == Mask::as_zero);
  CHECK(specs_of("rate", "[0, 0.5]")[1].rate == 0.5);
  const Grid shifts = grid_of(with_grid(R"("lamp.scores.shift" = ["none", "mean", "adaptive"])"));
  CHECK(shifts.cells[1].plan.selection(Site::scores)->shift == Shift::mean);
}

TEST_CASE("grid: a combination that is not legal is named by its cell", "[grid]") {
  const Result<Config> config =
      parse(with_grid("\"lamp.scores.mask\" = [\"exclude\", \"as-zero\"]\n\"lamp.scores.weights\" "
                      "= [\"absolute\", \"relative\"]"));
  REQUIRE(config.ok());  // each value is legal with the first of the others
  const Result<Grid> grid = expand(*config, inputs());
  REQUIRE_FALSE(grid.ok());
  CHECK(grid.error().message.find(
            "grid cell 3: lamp.scores.mask: \"as-zero\" is legal with weights") == 0);
}

TEST_CASE("grid: cells that record errors and activations are those that record.where matches",
          "[grid]") {
  const auto marks_of = [](const std::string& record, bool Records::*what) {
    std::string text;
    for (const Cell& cell : grid_of(with_grid(axes) + record).cells)
      text += cell.records.*what ? '1' : '0';
    return text;
  };
  const auto marks = [&](const std::string& record) { return marks_of(record, &Records::errors); };
  const std::string activations = "[record]\nactivations = [\"scores\"]\n";
  const std::string where = "where = {\"lamp.scores.tau\" = [1.5]}\n";
  CHECK(marks_of(activations, &Records::activations) == "111111");
  CHECK(marks_of(activations + where, &Records::activations) == "001100");
  CHECK(marks_of("[record]\nerrors = [\"scores\"]\n", &Records::activations) == "000000");
  const std::string errors = "[record]\nerrors = [\"scores\"]\n";
  CHECK(marks("") == "000000");
  CHECK(marks("[record]\nactivations = [\"scores\"]\n") == "000000");
  CHECK(marks(errors) == "111111");
  CHECK(marks(errors + "where = {}\n") == "111111");
  CHECK(marks(errors + "where = {\"lamp.scores.tau\" = [1.5]}\n") == "001100");
  CHECK(marks(errors + "where = {\"lamp.scores.tau\" = [1.1, 2], \"arithmetic.low.mu\" = [2]}\n") ==
        "010001");
  CHECK(marks(errors + "where.arithmetic.low.mu = [4]\n") == "101010");
  CHECK(grid_of(base_config + errors).cells[0].records.errors);
}

TEST_CASE("grid: record.where with activations is not what it was when it was for errors alone",
          "[grid]") {
  const auto identity = [](const std::string& record) {
    const Result<Config> config = parse(with_grid(axes) + record);
    REQUIRE(config.ok());
    return find_field("record.where").field->write(*config, "", Form::identity).value();
  };
  const std::string where = R"({"lamp.scores.tau" = [1.5]})";
  CHECK(identity("[record]\nerrors = [\"scores\"]\nwhere = " + where + "\n") == where);
  CHECK(identity("[record]\nactivations = [\"scores\"]\n") == "{}");
  CHECK_FALSE(identity("[record]\nactivations = [\"scores\"]\nwhere = " + where + "\n") == where);
}

namespace {

/// The variants of a grid in words, and for each cell the number of its variant.
std::string variants_in(const std::string& text) {
  const Result<Config> config = parse(text);
  if (!config) FAIL(config.error().message);
  Inputs given = inputs();
  given.models.resize(model_paths(*config).size());
  const Result<Grid> grid = expand(*config, given);
  if (!grid) FAIL(grid.error().message);
  std::string words;
  for (const Variant& variant : grid->variants) words += variant_name(*config, variant) + "; ";
  for (const Cell& cell : grid->cells) words += std::to_string(cell.variant);
  return words;
}

const std::string drawn_reference =
    "[arithmetic.drawn]\nformat = \"binary32\"\nrounding = \"SR\"\nrandom_bits = 8\n"
    "[reference]\narithmetic = \"drawn\"\n";

}  // namespace

TEST_CASE("grid: cells share a variant where tokens and reference are the same", "[grid]") {
  CHECK(variants_in(base_config) == "; 0");
  CHECK(variants_in(with_grid(axes)) == "; 000000");
  CHECK(variants_in(with_grid("seed = [1, 2]")) == "; 00");
  CHECK(variants_in(with_grid("seed = [1, 2]") + drawn_reference) == "seed = 1; seed = 2; 01");
  CHECK(variants_in(with("sequence_length = 64", "sequence_length = 64\nshuffle = true") +
                    "[grid]\nseed = [1, 2]\n") == "seed = 1; seed = 2; 01");
  CHECK(variants_in(
            with_grid("\"model.path\" = [\"x/a\", \"y/b/\"]\n\"lamp.scores.tau\" = [2, 1]")) ==
        "model.path = a; model.path = b; 0011");
  // Unshuffled tokens are the same for every seed.
  CHECK(variants_in(with_grid("seed = [1, 2]\n\"tokens.shuffle\" = [false, true]")) ==
        "tokens.shuffle = false; seed = 1, tokens.shuffle = true; seed = 2, tokens.shuffle = true; "
        "0102");
}

TEST_CASE("grid: coordinates of the axes over seed, shuffle and model", "[grid]") {
  const Result<Config> config = parse(
      with_grid("seed = [3, 1]\n\"tokens.shuffle\" = [true, false]\n\"model.path\" = "
                "[\"../x/a\", \"/y/b/\"]") +
      "[record]\nerrors = [\"scores\"]\nwhere = {\"tokens.shuffle\" = [false], \"model.path\" = "
      "[\"../x/a\"]}\n");
  REQUIRE(config.ok());
  CHECK(model_paths(*config) == std::vector<std::filesystem::path>{"/x/a", "/y/b/"});
  Inputs given = inputs();
  given.models.push_back({.content = sha256("second"), .activation = Activation::gelu});
  const Result<Grid> grid = expand(*config, given);
  REQUIRE(grid.ok());
  CHECK(std::get<std::vector<std::int64_t>>(grid->axes[0].values) ==
        std::vector<std::int64_t>{3, 1});
  using Words = std::vector<std::string>;
  CHECK(std::get<Words>(grid->axes[1].values) == Words{"true", "false"});
  CHECK(std::get<Words>(grid->axes[2].values) == Words{"a", "b"});
  std::string recorded;
  for (const Cell& cell : grid->cells) recorded += cell.records.errors ? '1' : '0';
  CHECK(recorded == "00100010");
  CHECK(grid->cells[0].seed == 3);
  CHECK(grid->cells[7].seed == 1);
  // A cell's id is that of a config with its coordinates; shuffling changes tokens, no cell.
  CHECK(grid->cells[4].id == cell_of("seed = 1\n" + base_config));
  CHECK(grid->cells[4].id == grid->cells[6].id);
  given.models.erase(given.models.begin());
  CHECK(grid->cells[1].id == cell_of("seed = 3\n" + base_config, given));
  // The resolved config gives the same one.
  const Result<Config> again = parse(resolved_toml(*config));
  REQUIRE(again.ok());
  CHECK(*again == *config);
}

TEST_CASE("grid: more seeds, shuffles and models stay in the experiment", "[grid]") {
  const auto id = [](const std::string& grid, std::size_t models = 1,
                     const std::string& record = "") {
    Inputs given = inputs();
    given.models.resize(models);
    return experiment_of(with_grid(grid) + record, given);
  };
  CHECK(id("seed = [1]") == id("seed = [7, 1, 2]"));
  CHECK(id("\"tokens.shuffle\" = [true]") == id("\"tokens.shuffle\" = [false, true]"));
  CHECK(id("\"model.path\" = [\"a\"]") == id("\"model.path\" = [\"c\", \"b\"]", 2));
  const std::string record = "[record]\nerrors = [\"scores\"]\nwhere = {\"model.path\" = [\"";
  CHECK(id("\"model.path\" = [\"a/m\"]", 1, record + "a/m\"]}\n") ==
        id("\"model.path\" = [\"b/m\"]", 1, record + "b/m\"]}\n"));
  const std::set<Digest> ids{id("seed = [1]"), id("\"tokens.shuffle\" = [true]"),
                             id("\"model.path\" = [\"a\"]"), experiment_of(base_config)};
  CHECK(ids.size() == 4);
}

TEST_CASE("grid: a sequence's identity has what is an axis of its variant", "[grid]") {
  const auto identities = [](const std::string& text) {
    const Result<Config> config = parse(text);
    REQUIRE(config.ok());
    const std::vector<Digest> models{sha256("one"), sha256("two")};
    std::string all;
    for (const Variant& variant : variants_of(*config))
      all += '<' + variant_identity(*config, variant, models) + '>';
    return all;
  };
  CHECK(identities(base_config) == "<>");
  CHECK(identities(with_grid("seed = [1, 2]")) == "<>");
  CHECK(identities(with("sequence_length = 64", "sequence_length = 64\nshuffle = true")) == "<>");
  CHECK(identities(base_config + drawn_reference) == "<>");
  CHECK(identities(with_grid("seed = [1, 2]") + drawn_reference) == "<seed=1\n><seed=2\n>");
  CHECK(identities(with_grid("\"tokens.shuffle\" = [true, false]\nseed = [5]")) ==
        "<shuffle=true\nseed=5\n><shuffle=false\n>");
  CHECK(identities(with_grid("\"model.path\" = [\"a\", \"b\"]")) ==
        "<model=" + to_hex(sha256("one")) + "\n><model=" + to_hex(sha256("two")) + "\n>");
}

TEST_CASE("grid: whole layers lie between a site and a site of a layer", "[grid]") {
  const std::string text =
      with("scores = \"low\"",
           "scores = \"low\"\n\"layer.3\" = \"high\"\n\"layer.3.values\" = \"low\"\n"
           "\"layer.3.head.1.scores\" = \"low\"");
  const PrecisionPlan plan = grid_of(text).cells[0].plan;
  const Arithmetic low = lamp_paper(7), high = fused(binary32);
  CHECK(plan.at(Site::scores, Layer{2}) == low);
  CHECK(plan.at(Site::scores, Layer{3}) == high);
  CHECK(plan.at(Site::scores, Layer{3}, Head{1}) == low);
  CHECK(plan.at(Site::values, Layer{3}) == low);
  const Grid over = grid_of(with_grid("\"plan.layer.3\" = [\"low\", \"high\"]"));
  CHECK(over.cells[0].plan.at(Site::gelu, Layer{3}) == low);
  CHECK(over.cells[1].plan.at(Site::gelu, Layer{3}) == high);
  CHECK(over.cells[1].plan.at(Site::logits) == high);
  CHECK(over.cells[0].id != over.cells[1].id);
}

TEST_CASE("grid: tau of a layer and of a head, and fallbacks", "[grid]") {
  const Grid grid = grid_of(
      with("recompute", "fallback = {tolerance = 1e-3}\nrecompute") +
      "[lamp.layer.3.scores]\ntau = 1.25\n[lamp.layer.3.head.1.scores]\nrate = 0.5\n"
      "[grid]\n\"lamp.layer.2.scores.rate\" = [0.25]\n\"lamp.layer.3.scores.tau\" = [1, 0.5]\n"
      "\"lamp.scores.fallback.what\" = [\"row\", \"layer\"]");
  REQUIRE(grid.cells.size() == 4);
  const PrecisionPlan& plan = grid.cells[2].plan;
  CHECK(plan.selection(Site::scores)->spec.tau == 1.5);
  CHECK(plan.selection(Site::scores, Layer{2})->spec.rate == 0.25);
  CHECK_FALSE(plan.selection(Site::scores, Layer{2})->spec.tau.has_value());
  CHECK(plan.selection(Site::scores, Layer{3}, Head{0})->spec.tau == 0.5);
  CHECK(plan.selection(Site::scores, Layer{3}, Head{1})->spec.rate == 0.5);
  CHECK(plan.selection(Site::scores, Layer{3}, Head{1})->recompute == fused(binary32));
  CHECK(plan.selection(Site::scores, Layer{3})->fallback == Fallback{1e-3, Fallback::What::row});
  CHECK(grid.cells[3].plan.selection(Site::scores)->fallback ==
        Fallback{1e-3, Fallback::What::layer});
  CHECK(cell_of(with("recompute", "fallback.tolerance = 1\nrecompute")) ==
        cell_of(with("recompute", "fallback = {tolerance = 1.0, what = \"row\"}\nrecompute")));
  std::set<Digest> ids{cell_of(base_config)};
  for (const std::string& text :
       {base_config + "[lamp.layer.0.scores]\ntau = 1.5\n",
        base_config + "[lamp.layer.0.scores]\nrate = 0.5\n",
        base_config + "[lamp.layer.1.scores]\ntau = 1.5\n",
        base_config + "[lamp.layer.1.head.0.scores]\ntau = 1.5\n",
        base_config + "[cost]\nlow = 1\nhigh = 2\n", base_config + "[cost]\nlow = 1\nhigh = 3\n",
        with("recompute", "fallback.tolerance = 1\nrecompute"),
        with("recompute", "fallback = {tolerance = 1, what = \"layer\"}\nrecompute"),
        with("scores =", "\"layer.0\" = \"low\"\nscores =")})
    CHECK(ids.insert(cell_of(text)).second);
}

TEST_CASE("grid: what proves cells of scores equal proves nothing of other sites", "[grid]") {
  const auto work = [](const std::string& selections) {
    return grid_of(with("[lamp.scores]\nrecompute = \"high\"\n", selections)).cells[0].work;
  };
  const std::string scores = "[lamp.scores]\nrecompute = \"high\"\n",
                    logits = "[lamp.logits]\nrecompute = \"high\"\n", tau = "tau = 2\n",
                    largest = "rule = \"largest-logit\"\n",
                    layer = "[lamp.layer.0.scores]\ntau = 1\n",
                    fallback = "fallback.tolerance = 1\n", none = "rule = \"none\"\n";
  CHECK(work(scores + tau).if_nothing.has_value());
  for (const std::string& text : {logits + tau, scores + tau + fallback, scores + tau + layer,
                                  scores + tau + logits, scores + none + fallback})
    CHECK_FALSE(work(text).if_nothing.has_value());
  CHECK(work(scores + largest).if_lamps.has_value());
  for (const std::string& text : {logits + largest, scores + largest + fallback,
                                  scores + largest + layer, scores + largest + logits + largest})
    CHECK_FALSE(work(text).if_lamps.has_value());
  // What selects nothing or all, in every layer, has no use for a budget; a bound may be NaN.
  for (const std::string rule : {"none", "all"}) {
    const std::string with_rule = scores + "rule = \"" + rule + "\"\n";
    CHECK(work(with_rule + "tau = 1\n" + layer).own == work(with_rule).own);
    CHECK(work(with_rule + "tau = 1\n" + fallback).own != work(with_rule + fallback).own);
  }
  CHECK(work(scores + "rate = 1\n").own == work(scores + "rule = \"all\"\n").own);
  CHECK(work(scores + "rate = 1\n" + layer).own != work(scores + "rule = \"all\"\n").own);
}

TEST_CASE("grid: a multiply-accumulate costs p_a p_b + p_acc, or what [cost] says", "[grid]") {
  const auto cost = [](const Arithmetic& a) { return default_cost(a); };
  CHECK(cost(fused(binary32)) == MacCost{24 * 24, 24});
  CHECK(cost(lamp_paper(7)) == MacCost{24 * 24, 8});
  Arithmetic blocked = lamp_paper(3);
  blocked.mac.operands = bfloat16;
  CHECK(cost(blocked) == MacCost{8 * 8, 4});
  blocked.order = *parse_order("blocked:32");
  blocked.block = MacSpec{.operands = *parse_number_system("mxfp4"), .format = binary16};
  CHECK(cost(blocked) == MacCost{2 * 2, 11});
  const Cell cell = grid_of(base_config + "[cost]\nlow = 0.25\nhigh = 3\n").cells[0];
  CHECK(cell.records.costs->at(Site::scores, Layer{1}, Head{1}) == MacCost{0.25, 0});
  CHECK(cell.records.costs->at(Site::values, Layer{1}, Head{1}) == MacCost{3, 0});
  CHECK(cell.records.costs->recomputation(Site::scores)->cost == MacCost{3, 0});
  CHECK_FALSE(cell.records.costs->recomputation(Site::scores)->is_all);
  CHECK(cell.records.costs->recomputation(Site::logits) == nullptr);
  const Cell all = grid_of(with("recompute", "rule = \"all\"\nrecompute")).cells[0];
  CHECK(all.records.costs->recomputation(Site::scores)->is_all);
}

TEST_CASE("grid: without any draw a cell stands for those of all seeds", "[grid]") {
  const auto works = [](const std::string& text) {
    std::set<Digest> own;
    for (const Cell& cell : grid_of(text + "[grid]\nseed = [1, 2, 3]\n").cells)
      own.insert(cell.work.own);
    return own.size();
  };
  CHECK(works(base_config) == 1);
  const std::string sr = "rounding = \"SR\"\nrandom_bits = 8\n";
  CHECK(works(with("mu = 7\n", "mu = 7\n" + sr)) == 3);
  CHECK(works(with("format = \"binary32\"\n", "format = \"binary32\"\n" + sr)) == 3);
  CHECK(works(base_config + drawn_reference) == 3);
  CHECK(works(base_config + "[arithmetic.unused]\nformat = \"binary32\"\n" + sr) == 1);
  for (const Rule& rule : rules) {  // the tables of both name what draws
    const bool draws = rule.name == "random" || rule.name == "random-full-row";
    const std::string name = "rule = \"" + std::string(rule.name) + "\"\nrecompute";
    INFO(rule.name);
    CHECK(works(with("recompute", name)) == (draws ? 3 : 1));
  }
  CHECK(works(with("recompute", "rule = \"random\"\nrate = 1\nrecompute")) == 1);  // it is `all`
}

TEST_CASE("grid: an own rule enters identities by what its file contains", "[grid]") {
  const auto rule = [](const std::string& text) {
    return with("recompute", "rule = \"" + text + "\"\nrecompute");
  };
  const auto given = [](std::vector<Digest> contents) {
    Inputs all = inputs();
    all.rules = std::move(contents);
    return all;
  };
  const Inputs a = given({sha256("a")}), b = given({sha256("b")});
  const std::string f = rule("python:r.py:f");
  CHECK(cell_of(f, a) == cell_of(rule("python:../elsewhere/s.py:f"), a));
  CHECK(cell_of(f, a) != cell_of(f, b));
  CHECK(cell_of(f, a) != cell_of(rule("python:r.py:g"), a));
  CHECK(cell_of(f, a) != cell_of(base_config));
  CHECK(experiment_of(f, a) == experiment_of(rule("python:/s.py:f"), a));
  CHECK(experiment_of(f, a) != experiment_of(f, b));

  // Of two files in the order of the axis; what is no coordinate any more has no content.
  const std::string axis =
      f + "[grid]\n\"lamp.scores.rule\" = [\"lamp\", \"python:one/x.py:f\", \"python:y.py:f\"]\n";
  const Grid first = grid_of(axis, given({sha256("a"), sha256("b")})),
             other = grid_of(axis, given({sha256("a"), sha256("c")}));
  REQUIRE(first.cells.size() == 3);
  CHECK(first.experiment == other.experiment);
  CHECK(first.cells[0].id == cell_of(base_config));
  CHECK(first.cells[1].id == cell_of(f, a));
  CHECK(first.cells[1].id == other.cells[1].id);
  CHECK(first.cells[2].id == cell_of(f, b));
  CHECK(first.cells[2].id != other.cells[2].id);
  CHECK(std::get<std::vector<std::string>>(first.axes[0].values) ==
        std::vector<std::string>{"lamp", "python:x.py:f", "python:y.py:f"});
  // It may draw, and nothing proves it equal to a rule of the table.
  const Grid seeds = grid_of(f + "[grid]\nseed = [1, 2]\n\"lamp.scores.tau\" = [2.0]\n", a);
  CHECK(seeds.cells[0].work.own != seeds.cells[1].work.own);
  CHECK_FALSE(seeds.cells[0].work.if_nothing);
}

TEST_CASE("grid: the reference is binary64 or a named arithmetic", "[grid]") {
  const std::string reference = "[reference]\narithmetic = \"high\"\n";
  CHECK(grid_of(base_config).reference.at(Site::scores) == fused(lamp::binary64));
  CHECK(grid_of(base_config + "[reference]\narithmetic = \"binary64\"\n")
            .reference.at(Site::logits) == fused(lamp::binary64));
  CHECK(grid_of(base_config + reference).reference.at(Site::softmax, Layer{3}, Head{1}) ==
        fused(binary32));
  CHECK(grid_of(with_grid(axes) + "[reference]\narithmetic = \"wide\"\n[arithmetic.wide]\nformat = "
                                  "\"binary64\"\norder = \"exact\"\n")
            .reference.at(Site::scores) ==
        Arithmetic{.mac = {.format = lamp::binary64}, .order = Exact{}});
  // The reference's own keys count, its name does not.
  const std::string wide =
      "[arithmetic.wide]\nformat = \"binary32\"\n[reference]\narithmetic = \"wide\"\n";
  CHECK(cell_of(base_config + wide) == cell_of(base_config + reference));
  CHECK(cell_of(base_config +
                "[arithmetic.w]\nformat = \"binary64\"\n[reference]\narithmetic = \"w\"\n") ==
        cell_of(base_config));
  CHECK_FALSE(cell_of(base_config +
                      "[arithmetic.w]\nformat = \"ps9\"\n[reference]\narithmetic = \"w\"\n") ==
              cell_of(base_config));
}
