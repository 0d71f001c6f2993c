// Configs: what is read, and the way back to text. config_errors_test has the ways to get one
// wrong.
#include "experiments/config/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "config_text.hpp"
#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/model/networks/network.hpp"
#include "core/selection/rules/own.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/config/read.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::base_config;
using lamp::test::error_has;
using lamp::test::parse;
using lamp::test::with;
using lamp::test::with_grid;

namespace {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lamp-config-XXXXXX").string();
    expects(::mkdtemp(name.data()) != nullptr, "mkdtemp");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("config: the base config and its defaults", "[config]") {
  const Result<Config> read = parse(base_config);
  REQUIRE(read.ok());
  CHECK(read->title == "a title");
  CHECK(read->seed == 42);
  CHECK(read->model_path == "/folder/models/gpt2-tiny");
  CHECK(!read->activation);
  CHECK(read->tokens.sequences == 8);
  CHECK(read->tokens.sequence_length == 64);
  CHECK(!read->tokens.text_axis);
  REQUIRE(read->arithmetic("low") != nullptr);
  CHECK(read->arithmetic("low")->arithmetic() == lamp_paper(7));
  CHECK(read->arithmetic("high")->arithmetic() == fused(binary32));
  CHECK(read->plan_default == "high");
  REQUIRE(read->selections.size() == 1);
  CHECK(read->selections[0].spec == SelectionSpec{});
  CHECK(read->grid.empty());
}

TEST_CASE("config: brackets and dots in strings and comments are no nesting", "[config]") {
  CHECK(parse(base_config + "# " + std::string(100, '[') + std::string(100, '.') + '\n').ok());
  CHECK(parse(with("a title", std::string(100, '[') + "..................")).ok());
  CHECK(parse(with("\"a title\"", "'''" + std::string(100, '{') + "'''")).ok());
  CHECK(parse(with("\"a title\"", "\"\\\"" + std::string(100, '{') + "\"")).ok());
}

TEST_CASE("config: a grid too large is refused before it is built", "[config]") {
  std::string axis = "[";
  for (int i = 0; i < 2000; ++i) axis += std::to_string(i) + "e-3, ";
  axis += "]";
  CHECK(error_has(
      parse(with("[lamp.scores]", "[arithmetic.more]\nformat = \"ps2\"\n[lamp.scores]") +
            "[grid]\n\"lamp.scores.tau\" = " + axis +
            "\n\"arithmetic.low.mu\" = "
            "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23]\n\"plan.scores\" = "
            "[\"low\",\"high\",\"more\"]\n"
            "\"plan.softmax\" = [\"low\",\"high\",\"more\"]\n\"plan.values\" = "
            "[\"low\",\"high\",\"more\"]\n"),
      {"the grid has too many cells", "at most 1000000"}));
}

TEST_CASE("config: spellings of one meaning are one config", "[config]") {
  const Result<Config> plain = parse(base_config);
  REQUIRE(plain.ok());
  CHECK(*parse(with("[model]\npath = \"models/gpt2-tiny\"\n", "") +
               "[model]\npath = \"models/gpt2-tiny\"\n") == *plain);
  CHECK(*parse("\"tokens.sequence_length\" = 64\n" + with("sequence_length = 64\n", "")) == *plain);
  CHECK(*parse("lamp.scores.recompute = \"high\"\n" +
               with("[lamp.scores]\nrecompute = \"high\"\n", "")) == *plain);
  CHECK(*parse(with("format = \"binary32\"", "format = {p = 24, emin = -126, emax = 127}")) ==
        *plain);
  CHECK(*parse(with("format = \"binary32\"",
                    "format.p = 24\nformat.emin = -126\nformat.emax = 127")) == *plain);
  CHECK_FALSE(*parse(with("format = \"binary32\"", "format = \"binary16\"")) == *plain);
  CHECK_FALSE(*parse(with("mu = 7", "mu = 8")) == *plain);
}

TEST_CASE("config: keys of an arithmetic override its preset", "[config]") {
  const Result<Config> read = parse(with("mu = 7",
                                         "format = \"binary16\"\nvia = \"none\"\noperands = "
                                         "\"bfloat16\"\nproduct = \"tf32\"\nrounding = \"RTZ\""));
  REQUIRE(read.ok());
  CHECK(read->arithmetic("low")->arithmetic() == Arithmetic{.mac = {.operands = bfloat16,
                                                                    .product = tf32,
                                                                    .via = std::nullopt,
                                                                    .format = binary16,
                                                                    .rounding = Rounding::rtz},
                                                            .order = {}});
}

TEST_CASE("config: every decision of an arithmetic is read", "[config]") {
  const auto low = [](const std::string& keys) {
    const Result<Config> read = parse(with("preset = \"lamp-paper\"\nmu = 7", keys));
    if (!read) FAIL(read.error().message);
    return read->arithmetic("low")->arithmetic();
  };
  const std::string table =
      "{p = 4, emin = -6, emax = 8, infinities = false, top_codes_lost = 1, overflow = \"nan\"}";
  CHECK(low("mu = 7\nrounding = \"SR\"\nrandom_bits = 8").mac ==
        MacSpec{.format = ps(7), .rounding = Rounding::sr, .random_bits = 8});
  CHECK(low("mu = 7\nrounding = \"SRE\"").mac ==
        MacSpec{.format = ps(7), .rounding = Rounding::sre, .random_bits = 32});
  CHECK(low("format = " + table).mac.format == e4m3fn);
  CHECK(low("format = '" + table + "'").mac.format == e4m3fn);
  CHECK(
      low("format = \"e4m3fn\"\noperands = " + table + "\nproduct = " + table + "\nvia = " + table)
          .mac == MacSpec{.operands = e4m3fn, .product = e4m3fn, .via = e4m3fn, .format = e4m3fn});
  CHECK(low("format = \"e8m0fnu\"").mac.format == *parse_format("e8m0fnu"));
  CHECK(low("format = {p = 1, emin = -127, emax = 127, subnormals = false, infinities = false, "
            "signed_zero = false, unsigned = true, "
            "zero = false, overflow = \"nan\"}")
            .mac.format == *parse_format("e8m0fnu"));
  CHECK(low("format = \"ue4m3\"").mac.format.is_unsigned);
  for (const int p : {1, 2, 53}) {
    const FloatFormat format{.p = p, .emin = -30, .emax = 31};
    CHECK(low("format = {p = " + std::to_string(p) + ", emin = -30, emax = 31}").mac.format ==
          format);
  }
  for (const std::string order :
       {"sequential", "reverse", "blocked:32", "pairwise:8", "lanes:16", "split:3",
        "numpy-sum:8192", "kahan", "neumaier", "exact", "tree:((0 1) (2 3))", "multiterm:8,24"})
    CHECK(low("mu = 7\norder = \"" + order + "\"").order == *parse_order(order));
  const Arithmetic blocked =
      low("mu = 7\norder = \"blocked:32\"\nblock = {format = \"tf32\", via = \"binary32\", "
          "rounding = \"SR\", random_bits = 3}");
  CHECK(
      blocked ==
      Arithmetic{.mac = {.format = ps(7)},
                 .order = Blocked{32},
                 .block = MacSpec{
                     .via = binary32, .format = tf32, .rounding = Rounding::sr, .random_bits = 3}});
  CHECK(low("mu = 7\norder = \"blocked:32\"\nblock.format = \"tf32\"\nblock.via = "
            "\"binary32\"\nblock.rounding = \"SR\"\nblock.random_bits "
            "= 3") == blocked);
  CHECK(low("mu = 7\norder = \"blocked:32\"\nblock = {preset = \"lamp-paper\", mu = 10, order = "
            "\"sequential\"}")
            .block == lamp_paper(10).mac);
  CHECK_FALSE(low("mu = 7\norder = \"blocked:32\"").block);
  const Result<Config> set =
      parse(base_config, {"arithmetic.low.block.mu=3", "arithmetic.low.block.format=ps4",
                          "arithmetic.low.order=blocked:4"});
  CHECK_FALSE(set.ok());  // both
  CHECK(parse(with("mu = 7", "mu = 7\nblock = {mu = 3}"), {"arithmetic.low.block.format=ps4"})
            ->arithmetic("low")
            ->block->format == ps(4));
}

TEST_CASE("config: operands of a block format, by name, table or string, and the way back",
          "[config]") {
  const auto operands = [](const std::string& text) {
    const Result<Config> read = parse(with("mu = 7", "mu = 7\noperands = " + text));
    if (!read) FAIL(read.error().message);
    CHECK(*parse(resolved_toml(*read)) == *read);
    return *read->arithmetic("low")->arithmetic().mac.operands;
  };
  const BlockFormat mx = *BlockFormat::named("mxfp4");
  const std::string table = "{element = \"e2m1fn\", scale = \"e8m0fnu\", size = 32}";
  CHECK(operands("\"mxfp4\"") == NumberSystem(mx));
  CHECK(operands(table) == NumberSystem(mx));
  CHECK(operands("'" + table + "'") == NumberSystem(mx));
  CHECK(operands("{element = {p = 2, emin = 0, emax = 2, infinities = false, nan = false, overflow "
                 "= \"max\"}, scale = \"e8m0fnu\", size = 32, tensor_scale = 1}") ==
        NumberSystem(mx));
  CHECK(operands("{element = {p = 3, emin = -1, emax = 2}, scale = \"e4m3fn\", size = 3, "
                 "tensor_scale = \"auto\"}") ==
        NumberSystem(BlockFormat{.element = {.p = 3, .emin = -1, .emax = 2},
                                 .scale = e4m3fn,
                                 .size = 3,
                                 .tensor_scale = {.automatic = true}}));
  CHECK(operands("{element = \"e2m1fn\", scale = \"e4m3fn\", size = 16, tensor_scale = 0.1}") ==
        NumberSystem(BlockFormat{.element = e2m1fn,
                                 .scale = e4m3fn,
                                 .size = 16,
                                 .tensor_scale = {.number = static_cast<double>(0.1F)}}));
}

TEST_CASE("config: storage, by name and by table, and the way back", "[config]") {
  const Result<Config> read = parse(
      base_config +
      "[store]\ndefault = \"bfloat16\"\nweights = {element = \"e2m1fn\", scale = \"e8m0fnu\", size "
      "= "
      "8}\ncache.keys = \"e4m3fn\"\ncache.values = {p = 3, emin = -9, emax = 9}\nsoftmax = "
      "\"as-computed\"\nlayer.1 = {scores = {element = \"e2m1fn\", scale = \"e4m3fn\", size = 4, "
      "tensor_scale = \"auto\"}}\n");
  if (!read) FAIL(read.error().message);
  const Result<Config> again = parse(resolved_toml(*read));
  REQUIRE(again.ok());
  CHECK(*again == *read);
  const Storage storage = read->store.storage();
  CHECK(storage.everywhere == NumberSystem(bfloat16));
  CHECK(storage.weights ==
        NumberSystem(BlockFormat{.element = e2m1fn, .scale = e8m0fnu, .size = 8}));
  CHECK(storage.keys == NumberSystem(e4m3fn));
  CHECK(storage.values == NumberSystem(FloatFormat{.p = 3, .emin = -9, .emax = 9}));
  CHECK(storage.at(Site::softmax, Layer{0}) == nullptr);
  CHECK(*storage.at(Site::scores, Layer{0}) == NumberSystem(bfloat16));
  CHECK(*storage.at(Site::scores, Layer{1}) ==
        NumberSystem(BlockFormat{
            .element = e2m1fn, .scale = e4m3fn, .size = 4, .tensor_scale = {.automatic = true}}));
  CHECK(parse(base_config)->store.storage() == Storage{});
}

TEST_CASE("config: how operands are rounded, and what sums of parts are rounded to", "[config]") {
  const auto low = [](const std::string& keys) {
    const Result<Config> read = parse(with("preset = \"lamp-paper\"\nmu = 7", keys));
    if (!read) FAIL(read.error().message);
    const Result<Config> again = parse(resolved_toml(*read));
    CHECK(*again == *read);
    return read->arithmetic("low")->arithmetic();
  };
  const Arithmetic away =
      low("format = \"binary32\"\noperands = \"tf32\"\noperand_rounding = \"RNA\"");
  CHECK(away.mac == MacSpec{.operands = tf32, .operand_rounding = Rounding::rna});
  const Arithmetic parts =
      low("format = \"binary32\"\norder = \"split:3\"\npart = {p = 9, emin = -9, emax = 9}");
  CHECK(parts.order == Order(Split{3, FloatFormat{.p = 9, .emin = -9, .emax = 9}}));
  CHECK(low("mu = 4\norder = \"split:3\"\npart = \"none\"").order == Order(Split{3}));
  CHECK(low("mu = 4\norder = \"lanes:4\"\npart = \"bfloat16\"").order == Order(Lanes{4}));
  const Arithmetic inside =
      low("mu = 4\norder = \"blocked:4\"\nblock = {mu = 9, operands = \"tf32\", "
          "operand_rounding = \"RTZ\"}");
  CHECK(inside.block->operand_rounding == Rounding::rtz);
  CHECK(inside.mac.operand_rounding == Rounding::rne);
}

TEST_CASE("config: a matrix engine, its defaults, and the way back", "[config]") {
  const auto low = [](const std::string& keys) {
    const Result<Config> read = parse(with("preset = \"lamp-paper\"\nmu = 7", keys));
    if (!read) FAIL(read.error().message);
    const Result<Config> again = parse(resolved_toml(*read));
    CHECK(*again == *read);
    return read->arithmetic("low")->arithmetic();
  };
  CHECK(low("engine = \"h100\"") == *engine_arithmetic("h100", binary16, binary32));
  Arithmetic split = *engine_arithmetic("h100", binary16, binary32);
  const EngineStep step = *engine_step(split.order);
  split.order = SplitEngine{step, 1};
  CHECK(low("engine = \"h100\"\norder = \"split:1\"") == split);
  split.order = SplitEngine{step, 4};
  CHECK(low("engine = \"h100\"\norder = \"split:4\"") == split);
  split.order = SplitEngine{step, 4, bfloat16};
  split.mac.operand_rounding = Rounding::rtz;
  CHECK(low("engine = \"h100\"\norder = \"split:4\"\npart = \"bfloat16\"\noperand_rounding = "
            "\"RTZ\"") == split);
  CHECK(low("engine = \"h200\"\nformat = \"binary16\"") ==
        *engine_arithmetic("h100", binary16, binary16));
  CHECK(low("engine = \"b200\"\nmu = 23\noperands = \"tf32\"") ==
        *engine_arithmetic("b200", tf32, binary32));
  CHECK(low("engine = \"ada\"\noperands = {p = 3, emin = -14, emax = 15}") ==
        *engine_arithmetic("l40s", *parse_format("e5m2"), binary32));
}

TEST_CASE("config: every decision of a selection is read", "[config]") {
  const auto spec = [](const std::string& keys) {
    const Result<Config> read = parse(with("recompute", keys + "recompute"));
    if (!read) FAIL(read.error().message);
    return read->selections[0].spec;
  };
  CHECK(spec("rule = \"random-full-row\"\n").rule == rule_named("random-full-row"));
  CHECK(spec("rule = \"largest-logit\"\nrate = 0.5\n") ==
        SelectionSpec{.rule = rule_named("largest-logit"), .tau = std::nullopt, .rate = 0.5});
  CHECK(spec("weights = \"relative\"\nsolver = \"exact\"\n") ==
        SelectionSpec{.weights = ErrorWeights::relative, .solver = Solver::exact});
  CHECK(spec("weights = \"dot\"\nnorm = \"normwise1\"\ntau = 0.1\n") ==
        SelectionSpec{.weights = ErrorWeights::dot, .norm = Norm::normwise1, .tau = 0.1});
  CHECK(spec("rule = \"value-aware\"\nweights = \"dot\"\n") ==
        SelectionSpec{.rule = rule_named("value-aware"), .weights = ErrorWeights::dot});
  CHECK(parse(base_config)->selections[0].shift == Shift::none);
  CHECK(parse(with("recompute", "shift = \"adaptive\"\nrecompute"))->selections[0].shift ==
        Shift::adaptive);
}

TEST_CASE("config: an own rule is a function of a file relative to the config", "[config]") {
  const Result<Config> read =
      parse(with("recompute", "rule = \"python:rules/a:b.py:_f2\"\nrecompute") +
                "[grid]\n\"lamp.mlp_fc.rule\" = [\"lamp\", \"python:../c.py:g\"]\n[record]\n"
                "where = {\"lamp.mlp_fc.rule\" = [\"python:../c.py:g\"]}\n",
            {"lamp.mlp_fc.recompute=high"});
  if (!read) FAIL(read.error().message);
  const SelectionConfig& scores = read->selections[0];
  CHECK(scores.spec.rule == &own_rule);
  CHECK(scores.spec.own == nullptr);
  CHECK(scores.own == OwnRuleName{"/folder/rules/a:b.py", "_f2"});
  CHECK(read->record_where[0].values == std::vector<Coordinate>{std::string("python:/c.py:g")});
  CHECK(own_rules_of(*read) == std::vector<OwnRuleName>{*scores.own, {"/c.py", "g"}});
  const std::string text = resolved_toml(*read);
  const Result<Config> again = parse_config(text, "d.toml", "/elsewhere", {});
  if (!again) FAIL(again.error().message);
  CHECK(*again == *read);
  CHECK(resolved_toml(*again) == text);
  // An axis takes the place of what the file says; a rule of the table that of an own one.
  CHECK(own_rules_of(*parse(with("recompute", "rule = \"python:r.py:f\"\nrecompute") +
                            "[grid]\n\"lamp.scores.rule\" = [\"lamp\"]\n"))
            .empty());
  CHECK_FALSE(
      parse(with("recompute", "rule = \"python:r.py:f\"\nrecompute"), {"lamp.scores.rule=window"})
          ->selections[0]
          .own);
}

TEST_CASE("config: what is recorded is read", "[config]") {
  const Result<Config> read = parse(
      with_grid("\"lamp.scores.tau\" = [2, 1.5, 1]\n\"plan.scores\" = [\"low\", \"high\"]") +
      "[record]\nerrors = [\"scores\", \"logits\"]\ndetail = \"full\"\nactivations = [\"embed\"]\n"
      "where = {\"lamp.scores.tau\" = [1, 2.0], plan.scores = [\"low\"]}\n");
  if (!read) FAIL(read.error().message);
  CHECK(read->record_errors == std::vector{Site::scores, Site::logits});
  CHECK(read->record_detail == Detail::full);
  CHECK(read->record_activations == std::vector{Site::embed});
  CHECK(!read->record_selected);
  CHECK(parse(base_config, {"record.selected=true"})->record_selected);
  CHECK(!read->record_concentration);
  CHECK(parse(base_config, {"record.concentration=true"})->record_concentration);
  CHECK(read->record_where == std::vector<GridAxis>{{"lamp.scores.tau", {1.0, 2.0}},
                                                    {"plan.scores", {std::string("low")}}});
  CHECK(parse(with_grid("\"lamp.scores.tau\" = [2]"), {"record.where.\"lamp.scores.tau\"=[2]"})
            ->record_where.size() == 1);
}

TEST_CASE("config: [stop] is there where its section is, and enters no identity", "[config]") {
  CHECK(!parse(base_config)->stop);
  CHECK(parse(base_config + "[stop]\n")->stop == StopConfig{});
  const Result<Config> read =
      parse(with_grid("\"lamp.scores.tau\" = [2, 1.5]\n[stop]\nmin_sequences = 2\n"
                      "baseline = {lamp.scores.tau = 2}"));
  if (!read) FAIL(read.error().message);
  CHECK(read->stop == StopConfig{.min_sequences = 2, .baseline = {{"lamp.scores.tau", {2.0}}}});
  const auto without = [](Config config) {
    config.stop.reset();
    return config;
  };
  const Inputs inputs{.models = {{}}, .texts = {Digest{}}};
  CHECK(expand(*read, inputs)->experiment == expand(without(*read), inputs)->experiment);
  CHECK(expand(*read, inputs)->cells[0].id == expand(without(*read), inputs)->cells[0].id);
}

TEST_CASE("config: a continuation is there where its section is, with its defaults", "[config]") {
  CHECK(!parse(base_config)->continuation);
  CHECK(parse(base_config + "[continuation]\n")->continuation ==
        ContinuationConfig{.prefix = 32, .tokens = 64});
  CHECK(parse(base_config, {"continuation.tokens=5"})->continuation ==
        ContinuationConfig{.prefix = 32, .tokens = 5});
  CHECK(parse(base_config, {"continuation.prefix=64"})->continuation ==
        ContinuationConfig{.prefix = 64, .tokens = 64});
  CHECK(error_has(parse(base_config + "[continuation]\nprefix = 65\n"),
                  {"c.toml:19:10: continuation.prefix: 65 tokens are more than a sequence has",
                   "legal: 1 to tokens.sequence_length, 64"}));
  CHECK(error_has(parse(with("length = 64", "length = 31") + "[continuation]\n"),
                  {"continuation.prefix: 32 tokens", "length, 31"}));
  CHECK(error_has(parse(base_config + "[continuation]\ntokens = 0\n"),
                  {"c.toml:19:10: continuation.tokens: 0 is out of range", "1 to"}));
  CHECK(error_has(parse(base_config + "[continuation]\ntoken = 3\n"),
                  {"did you mean \"continuation.tokens\"?"}));
  ModelConfig model;
  model.network = networks().front();
  model.n_positions = 96, model.n_layer = 1, model.n_head = 1, model.n_embd = 8, model.n_inner = 16;
  CHECK(check_against(*parse(base_config + "[continuation]\n"), model).ok());
  CHECK(
      check_against(*parse(base_config + "[continuation]\ntokens = 65\n"), model).error().message ==
      "c.toml:19:10: continuation.tokens: 65 tokens after a prefix of 32 are more than the model's "
      "n_positions; legal: prefix + tokens up "
      "to 96");
}

TEST_CASE("config: a tree has as many terms as the sums it is planned for", "[config]") {
  ModelConfig model;
  model.network = networks().front();
  model.n_positions = 64, model.n_layer = 2, model.n_head = 2, model.n_embd = 8,
  model.n_inner = 16;  // d_head 4
  const std::string four = "[arithmetic.tree]\nformat = \"ps7\"\norder = \"tree:((0 1) (2 3))\"\n";
  const auto problem = [&](const std::string& text) {
    const Result<Config> read = parse(text);
    if (!read) FAIL(read.error().message);
    const Result<void> fits = check_against(*read, model);
    return fits.ok() ? std::string() : fits.error().message;
  };
  const auto with_scores = [&](const std::string& more) {
    return with("scores = \"low\"", more) + four;
  };
  CHECK(problem(with_scores("scores = \"tree\"")).empty());
  CHECK(problem(with_scores("embed = \"tree\"\nresid_1 = \"tree\"\ngelu = \"tree\""))
            .empty());  // no sums
  CHECK(problem(with_scores("layer.1.qkv = \"tree\"")) ==
        "c.toml:13:2: plan: at the site qkv the order is a tree of 4 terms, the sum has 8; legal: "
        "as many terms as the tree has");
  CHECK(problem(with_scores("layer.0.head.1.values = \"tree\"")).find("at the site values") !=
        std::string::npos);
  CHECK(problem(with_scores("mlp_proj = \"tree\"")).find("the sum has 16") != std::string::npos);
  CHECK(problem(with("recompute = \"high\"", "recompute = \"tree\"\n" + four)).empty());
  CHECK_FALSE(problem(with("default = \"high\"", "default = \"tree\"") + four).empty());
  CHECK(problem(base_config + four + "[reference]\narithmetic = \"tree\"\n")
            .find("reference.arithmetic: at the site ln_1") != std::string::npos);
  const std::string one =
      "[arithmetic.one]\nformat = \"ps7\"\norder = \"tree:0\"\n";  // rows of one entry
  const auto with_values = [&](const std::string& more) {
    std::string text = with("scores = \"low\"", "values = \"one\"") + one + more;
    return problem(text.replace(text.find("length = 64"), 11, "length = 1"));
  };
  CHECK(with_values("").empty());
  CHECK(with_values("[continuation]\nprefix = 1\ntokens = 1\n").empty());
  CHECK(with_values("[continuation]\nprefix = 1\ntokens = 2\n").find("at the site values") !=
        std::string::npos);
  for (const std::string tree :
       {"tree:((0 1 2) (3 4))", "fused-tree:((0 1 2) (3 4))"}) {  // of an axis, first or not
    const std::string low =
        with("mu = 7\n", "") + "[grid]\n\"arithmetic.low.mu\" = [3]\n\"arithmetic.low.order\" = ";
    for (const std::string& orders :
         {"[\"kahan\", \"" + tree + "\"]", "[\"" + tree + "\", \"lane-tree:((0 1) 2)\"]"}) {
      INFO(orders);
      CHECK(problem(low + orders + "\n\"plan.scores\" = [\"high\", \"low\"]\n")
                .find("tree of 5 terms, the sum has 4") != std::string::npos);
    }
    CHECK_FALSE(problem(with("mu = 7", "mu = 7\norder = \"" + tree + "\"")).empty());
  }
  CHECK(problem(with("mu = 7\n", "") + "[grid]\n\"arithmetic.low.mu\" = "
                                       "[3]\n\"arithmetic.low.order\" = [\"lane-tree:(0 (1 2))\", "
                                       "\"fused-tree:((0 1) (2 3))\"]\n")
            .empty());
}

TEST_CASE("config: a plan's paths", "[config]") {
  const Result<Config> read = parse(
      with("scores = \"low\"",
           "scores = \"low\"\nlayer.3.scores = \"high\"\n\"layer.3.head.1.scores\" = \"low\""));
  REQUIRE(read.ok());
  REQUIRE(read->plan.size() == 3);
  CHECK(read->plan[1].path == SitePath{Site::scores, Layer{3}, {}});
  CHECK(read->plan[2].path == SitePath{Site::scores, Layer{3}, Head{1}});
  ModelConfig model;
  model.network = networks().front();
  model.n_positions = 64;
  model.n_layer = 4;
  model.n_head = 2;
  CHECK(check_against(*read, model).ok());
  model.n_head = 1;
  CHECK(check_against(*read, model).error().message ==
        "c.toml:17:27: plan.layer.3.head.1.scores: head 1, which the model does not have; legal: 0 "
        "to 0");
  model.n_layer = 3;
  CHECK(check_against(*read, model).error().message ==
        "c.toml:16:18: plan.layer.3.scores: layer 3, which the model does not have; legal: 0 to 2");
  model.n_positions = 63;
  CHECK(check_against(*read, model).error().message ==
        "c.toml:7:19: tokens.sequence_length: 64 is more than the model's n_positions; legal: 1 to "
        "63");
}

TEST_CASE("config: a selection that its site's function has no use for is refused by name",
          "[config]") {
  ModelConfig gpt2;
  gpt2.network = networks().front();
  gpt2.vocab_size = 100, gpt2.n_embd = 16, gpt2.n_inner = 64, gpt2.n_positions = 64;
  gpt2.n_layer = 4, gpt2.n_head = 2;
  ModelConfig llama = gpt2;
  llama.network = networks()[1];
  const auto refusal = [&](const std::string& text, const ModelConfig& model) {
    const Result<Config> read = parse(base_config + text);
    if (!read) FAIL(read.error().message);
    const Result<void> fits = check_against(*read, model);
    if (fits.ok()) return std::string();
    CHECK(fits.error().message.find('\n') == std::string::npos);
    return fits.error().message;
  };
  const auto at = [](const std::string& site, const std::string& keys) {
    return "[lamp." + site + "]\nrecompute = \"high\"\n" + keys + '\n';
  };
  const auto starts = [&](const std::string& text, const std::string& with,
                          const ModelConfig& model) {
    UNSCOPED_INFO(refusal(text, model));
    return refusal(text, model).find(with) != std::string::npos;
  };
  const std::vector<std::string> everywhere{"attn_proj", "mlp_fc", "mlp_proj", "logits"};
  for (const std::string& site : everywhere) {
    CHECK(refusal(at(site, ""), gpt2).empty());
    CHECK(refusal(at(site, "weights = \"relative\"\nrate = 0.1"), gpt2).empty());
    CHECK(starts(at(site, "mask = \"as-zero\""), "lamp." + site + ".mask: ", gpt2));
    for (const std::string rule : {"window", "block-mean", "page-bound", "value-aware"})
      if (site != "mlp_fc" || rule != "value-aware")
        CHECK(
            starts(at(site, "rule = \"" + rule + '"'), "lamp." + site + ".rule: \"" + rule, gpt2));
    CHECK(starts(at(site, "rule = \"random-full-row\""), "lamp." + site + ".rule: ", gpt2));
    if (site != "logits")
      CHECK(starts(at(site, "shift = \"mean\""), "lamp." + site + ".shift: ", gpt2));
  }
  CHECK(refusal(at("logits", "shift = \"mean\""), gpt2).empty());
  CHECK(refusal(at("mlp_fc", "rule = \"value-aware\""), gpt2).empty());
  CHECK(refusal(at("gate", "rule = \"value-aware\"\nrate = 0.1"), llama).empty());
  CHECK(starts(at("values", ""), "lamp.values.norm: ", gpt2));
  CHECK(refusal(at("values", "norm = \"normwise1\""), gpt2).empty());
  CHECK(starts(at("values", "norm = \"normwise1\"\n[lamp.layer.0.head.1.values]\ntau = 1"),
               "lamp.layer.0.head.1.values.tau: components of all heads", gpt2));
  CHECK(starts(at("mlp_fc", "norm = \"normwise1\""), "lamp.mlp_fc.norm: ", gpt2));
  CHECK(starts(at("mlp_fc", "solver = \"exact\""), "lamp.mlp_fc.solver: ", gpt2));
  CHECK(starts(at("gate", ""), "lamp.gate.recompute: GPT-2 has no selection at", gpt2));
  CHECK(refusal(at("gate", ""), llama).empty());
  CHECK(starts(at("mlp_fc", ""), "lamp.mlp_fc.recompute: Llama has no selection at", llama));
  const std::string exact = "solver = \"exact\"";
  CHECK(starts(at("mlp_proj", exact), "lamp.mlp_proj.solver: ", gpt2));
  CHECK(refusal(at("mlp_proj", exact), llama).empty());
  CHECK(refusal(at("mlp_proj", exact + "\nnorm = \"normwise1\""), gpt2).empty());
  CHECK(starts(at("mlp_proj", exact + "\nnorm = \"normwise1\"") +
                   "[grid]\n\"lamp.mlp_proj.solver\" = [\"greedy\", \"exact\"]\n"
                   "\"lamp.mlp_proj.norm\" = [\"normwise1\", \"componentwise\"]",
               "lamp.mlp_proj.solver: ", gpt2));
  CHECK(starts("[lamp.layer.4.scores]\ntau = 1",
               "lamp.layer.4.scores.tau: layer 4, which the model does not have", gpt2));
  CHECK(starts("[grid]\n\"lamp.layer.0.head.2.scores.tau\" = [1]",
               "grid.lamp.layer.0.head.2.scores.tau: head 2", gpt2));
  CHECK(starts("[grid]\n\"plan.layer.4\" = [\"low\"]", "grid.plan.layer.4: layer 4", gpt2));
}

TEST_CASE("config: --set", "[config]") {
  const auto set = [](const std::vector<std::string>& sets) { return parse(base_config, sets); };
  CHECK(set({"tokens.sequences=2"})->tokens.sequences == 2);
  CHECK(set({"tokens.sequences=2", "tokens.sequences = 3"})->tokens.sequences == 3);
  CHECK(set({"title=bare words # kept"})->title == "bare words # kept");
  CHECK(set({"title='quoted'"})->title == "quoted");
  CHECK(set({"plan.scores=high"})->plan[0].arithmetic == "high");
  CHECK(set({"plan.layer.1.scores=high"})->plan[1].path == SitePath{Site::scores, Layer{1}, {}});
  const Result<Config> layers = set({"plan.layer.1.scores=high", "plan.layer.1=low",
                                     "plan.layer.1.values=high", "plan.layer.1=high"});
  CHECK(layers->plan_layers == std::vector<LayerEntry>{{Layer{1}, "high"}});
  CHECK(layers->plan.size() == 3);
  CHECK(parse(base_config + "[lamp.layer.1.scores]\ntau = 1\n", {"lamp.layer.1.scores.rate=0.5"})
            ->budgets ==
        std::vector<BudgetEntry>{{{Site::scores, Layer{1}, {}}, std::nullopt, 0.5}});
  CHECK(set({"model.path=../other"})->model_path == "/other");
  CHECK(set({"model.path=/absolute"})->model_path == "/absolute");
  CHECK(set({"arithmetic.low.format=ps3"})->arithmetic("low")->arithmetic() == lamp_paper(3));
  CHECK(set({"arithmetic.high.mu=3"})->arithmetic("high")->arithmetic() == fused(ps(3)));
  CHECK(set({"lamp.scores.rate=0.25"})->selections[0].spec.rate == 0.25);
  CHECK_FALSE(set({"lamp.scores.rate=0.25"})->selections[0].spec.tau);
  CHECK(set({"lamp={}"})->selections.empty());
  CHECK(set({"grid.\"arithmetic.low.mu\"=[2,4]"})->grid ==
        std::vector<GridAxis>{{"arithmetic.low.mu", {std::int64_t{2}, std::int64_t{4}}}});
  CHECK(set({"grid.arithmetic.low.mu=[2,4]"})->grid ==
        set({"grid.\"arithmetic.low.mu\"=[2,4]"})->grid);

  CHECK(error_has(set({"tokens.sequences"}), {"--set tokens.sequences: no '='"}));
  CHECK(error_has(set({"=2"}), {"--set", "is no key"}));
  CHECK(error_has(set({"tokens sequences=2"}), {"is no key"}));
  CHECK(error_has(set({"a=1\nb=2"}), {"--set a"}));
  CHECK(error_has(set({"tokens.sequencs=2"}),
                  {"--set tokens.sequencs: unknown key", "did you mean \"tokens.sequences\"?"}));
  CHECK(error_has(set({"tokens.sequences=two"}), {"--set tokens.sequences: the string \"two\""}));
  CHECK(error_has(set({"arithmetic.low.mu=24"}),
                  {"--set arithmetic.low.mu: 24 is out of range; legal: an integer, 1 to 23"}));
  CHECK(error_has(set({"arithmetic.low.mu=2", "arithmetic.low.format=ps3"}),
                  {"mu and format are both given"}));
  CHECK(error_has(set({"title=\xC3\x28"}), {"--set title: invalid UTF-8"}));
  CHECK(error_has(set({"title.x=1"}), {"--set", "title"}));
  CHECK(error_has(set({std::string(100000, 'a') + "=1"}), {"unknown key"}));
  CHECK(error_has(set({"grid.\"arithmetic.low.mu\"=[]"}),
                  {"--set grid.arithmetic.low.mu: an empty list"}));
  const std::string axis = "grid.\"arithmetic.low.mu\"=[2]";  // what it decides, no key can
  CHECK(error_has(set({axis, "arithmetic.low.mu=3"}),
                  {"--set arithmetic.low.mu: the axis arithmetic.low.mu",
                   "legal: --set 'grid.\"arithmetic.low.mu\"=[..]'"}));
  CHECK(error_has(set({"arithmetic.low.format=ps3", axis}),
                  {"--set arithmetic.low.format: the axis arithmetic.low.mu"}));
  CHECK(set({axis, "arithmetic.low.order=pairwise:8"})->grid.size() == 1);
}

TEST_CASE("config: the resolved config writes every key and reads back as the same config",
          "[config]") {
  const std::vector<std::string> texts{
      base_config,
      with_grid("\"lamp.scores.tau\" = [2, 1.5]\n\"arithmetic.low.format\" = [\"ps3\", "
                "\"binary16\"]\n\"lamp.scores.mask\" = [\"as-zero\"]"),
      with("\"texts/prose.txt\"", "[\"texts/prose.txt\"]"),
      with("a title", "quotes \\\" and \\\\ and ü"),
      with("format = \"binary32\"",
           "format = {p = 5, emin = -20, emax = 20, infinities = false, overflow = \"max\", "
           "top_codes_lost = 1}\nrounding = \"RTN\""),
      with("scores = \"low\"",
           "scores = \"low\"\nlayer.3.scores = \"high\"\nlayer.3.head.1.scores = \"low\""),
      with("recompute", "rate = 0.1\nmask = \"as-zero\"\nrule = \"random\"\nrecompute"),
      with("[lamp.scores]\nrecompute = \"high\"\n", "") + "[reference]\narithmetic = \"high\"\n",
      with("mu = 7",
           "format = {p = 3, emin = -5, emax = 5, unsigned = true, signed_zero = false}\nrounding "
           "= \"SR\"\nrandom_bits = 5\norder = "
           "\"blocked:4\"\n"
           "block = {mu = 9, rounding = \"SRE\", operands = \"e8m0fnu\", product = {p = 2, emin = "
           "-5, emax = 5}}"),
      with("mu = 7",
           "mu = 3\norder = \"tree:((0 1) (2 3))\"\nblock.preset = \"lamp-paper\"\nblock.format = "
           "\"e4m3fn\""),
      with("recompute",
           "weights = \"dot\"\nnorm = \"normwise1\"\nsolver = \"exact\"\nrule = "
           "\"largest-logit\"\nshift = \"mean\"\nrecompute") +
          "[record]\nselected = true\n",
      with_grid("\"lamp.scores.tau\" = [2, 1.5]\n\"arithmetic.low.format\" = [{p = 5, emin = -20, "
                "emax = 20, infinities = false, overflow = "
                "\"max\"}, \"binary16\", {p = 8, emin = -126, emax = "
                "127}]\n\"arithmetic.low.block.mu\" = [1, 2]\n[record]\nerrors = "
                "[\"scores\"]\n"
                "activations = [\"logits\", \"embed\"]\ndetail = \"full\"\nwhere = "
                "{\"lamp.scores.tau\" = [1.5], \"arithmetic.low.format\" = "
                "[\"bfloat16\"]}"),
      with("scores = \"low\"", "\"layer.3\" = \"high\"\n\"layer.3.scores\" = \"low\"") +
          "[cost]\nlow = 0.5\nhigh = 1\n[lamp.layer.3.scores]\ntau = 1\n"
          "[lamp.layer.3.head.1.scores]\nrate = 0.25\n[lamp.mlp_fc]\nrecompute = \"high\"\n"
          "fallback = {tolerance = 1e-3, what = \"layer\"}\n",
      with_grid("\"lamp.scores.fallback.tolerance\" = [1, 2]\n"
                "\"lamp.layer.1.scores.tau\" = [1]\n\"plan.layer.2\" = [\"low\", \"high\"]\n"
                "\"plan.layer.2.scores\" = [\"low\"]") +
          "[lamp.scores.fallback]\nwhat = \"layer\"\n",
      base_config + "[continuation]\nprefix = 5\n",
      with("length = 64", "length = 64\nmin_length = 3"),
      base_config + "[stop]\n",
      with_grid("\"lamp.scores.tau\" = [2, 1.5]\n\"plan.scores\" = [\"low\", \"high\"]\n[stop]\n"
                "metric = \"flip_rate\"\nrelative_error = 0\nconfidence = 0.9\nmin_sequences = 3\n"
                "baseline = {\"lamp.scores.tau\" = 2, plan.scores = \"high\"}"),
      base_config + "[reference]\nmodel = \"other\"\n",
      base_config + "[store]\nweights = \"mxfp4\"\nlayer.1.scores = \"as-computed\"\n",
      base_config + "[truth]\n",
      base_config +
          "[truth]\nrow_sets = 5\nforward = 9\nend_to_end = [\"one-high\"]\nlocal = "
          "false\nsubset_limit = "
          "0\ntolerance = [0.5, 0]\nlayers = [1, 0]\nheads = [3]\nqueries = "
          "[7]\nsample = 0.25\nrules = []\nbudgets = [1]\ncoarse = false\n",
      "seed = 0\n" +
          with("[tokens]",
               "activation = \"gelu\"\n[tokens]\nsource = \"ids\"\noffset = 5\nshuffle = true")};
  for (const std::string& text : texts) {
    const Result<Config> read = parse(text);
    REQUIRE(read.ok());
    const std::string resolved = resolved_toml(*read);
    INFO(resolved);
    const Result<Config> again = parse_config(resolved, "study.toml", "/elsewhere", {});
    REQUIRE(again.ok());
    CHECK(*again == *read);
    CHECK(resolved_toml(*again) == resolved);
    for (const Field& field :
         fields())  // every key that can have a value and is no alternative of another
      if (field.write != nullptr && field.key.find('*') == std::string_view::npos &&
          (read->continuation || !field.key.starts_with("continuation.")) &&
          (read->stop || !field.key.starts_with("stop.")) &&
          (read->tokens.min_length || field.key != "tokens.min_length") &&
          (read->truth || !field.key.starts_with("truth.")) && field.key != "truth.sample" &&
          !field.key.starts_with("store."))  // absent: as computed
        CHECK(resolved.find(field.key.substr(
                  field.key.find('.') == std::string_view::npos ? 0 : field.key.find('.') + 1)) !=
              std::string::npos);
  }
}

TEST_CASE("config: sequences of other lengths, where they are asked for", "[config]") {
  const auto read = [](const std::string& least) {
    return parse(with("length = 64", "length = 64\nmin_length = " + least));
  };
  CHECK_FALSE(parse(base_config)->tokens.lengths_vary());
  CHECK_FALSE(read("64")->tokens.lengths_vary());
  CHECK(read("63")->tokens.lengths_vary());
  CHECK(error_has(read("65"), {"tokens.min_length: 65 tokens are more than a sequence has",
                               "legal: 1 to tokens.sequence_length, 64"}));
  CHECK(error_has(read("0"), {"tokens.min_length: 0 is out of range", "1 to"}));
}

TEST_CASE("config: `standard` says what a config without the key gets", "[config]") {
  const Result<Config> read = parse(base_config);
  REQUIRE(read.ok());
  const std::vector<std::pair<std::string, std::string>> resolved = resolved_fields(*read);
  for (const auto& [path, value] : resolved) {
    const FieldMatch match = find_field(path);
    REQUIRE(match.field != nullptr);
    if (base_config.find(path.substr(path.rfind('.') + 1) + " =") == std::string::npos &&
        path != "arithmetic.low.via") {
      INFO(path);
      CHECK(value == match.field->standard);
    }
  }
}

TEST_CASE("config: files that are none", "[config]") {
  const ScratchFolder folder;
  CHECK(error_has(load_config(folder / "absent.toml", {}), {"absent.toml: no such config file"},
                  ExitCode::missing_input));
  write(folder / "file", "x");
  CHECK(error_has(load_config(folder / "file" / "c.toml", {}), {"no such config file"},
                  ExitCode::missing_input));
  std::filesystem::create_directory(folder / "folder.toml");
  CHECK(error_has(load_config(folder / "folder.toml", {}), {"is a folder"}));
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(error_has(load_config(folder / "fifo", {}),
                  {"not a regular file"}));  // and does not wait for a writer
  CHECK(error_has(load_config("/dev/zero", {}), {"not a regular file"}));
  write(folder / "large", std::string((std::size_t{1} << 20) + 1, '\n'));
  CHECK(error_has(load_config(folder / "large", {}), {"more than 1 MiB"}));
  write(folder / "empty", "");
  CHECK(error_has(load_config(folder / "empty", {}), {"an empty config"}));
  write(folder / "good", base_config);
  const Result<Config> good = load_config(folder / "good", {});
  REQUIRE(good.ok());
  CHECK(good->model_path == folder / "models" / "gpt2-tiny");
  if (::geteuid() != 0) {  // root reads everything
    REQUIRE(::chmod((folder / "good").c_str(), 0) == 0);
    CHECK(error_has(load_config(folder / "good", {}), {"no permission"}, ExitCode::permission));
  }
}

TEST_CASE("config: the arithmetic of a line of calc", "[config]") {
  const auto read = [](const char* text) { return parse_arithmetic(nlohmann::json::parse(text)); };
  CHECK(*read(R"({"format": "ps7"})") == fused(ps(7)));
  CHECK(
      *read(
          R"({"operands":"as-is","product":"exact","via":"binary32","format":"ps7","rounding":"RNE","order":"sequential"})") ==
      lamp_paper(7));
  CHECK(*read(R"({"preset": "lamp-paper", "mu": 7})") == lamp_paper(7));
  CHECK(*read(R"({"format": {"p": 24, "emin": -126, "emax": 127}})") == fused(binary32));
  CHECK(read(R"({"format": "ps99"})").error().code == ExitCode::bad_data);
  CHECK(read(R"({"fromat": "ps7"})").error().message.find("did you mean \"arith.format\"") !=
        std::string::npos);
  CHECK(read(R"({"format": "ps7", "mu": 7})").error().message.find("both given") !=
        std::string::npos);
  CHECK_FALSE(read(R"({})").ok());
  CHECK_FALSE(read(R"([])").ok());
  CHECK(*parse_format_json(nlohmann::json::parse(R"("e4m3")")) ==
        FloatFormat{.p = 4, .emin = -6, .emax = 7});
}
