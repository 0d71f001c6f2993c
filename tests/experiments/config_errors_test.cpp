// Every way to get a config wrong. Oracle: the place and the words that an error must hold.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/orders/order_text.hpp"
#include "core/fp/number_system.hpp"
#include "core/model/files/strict_json.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/suggestions.hpp"

#include "config_text.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::base_config;
using lamp::test::error_has;
using lamp::test::parse;
using lamp::test::with;
using lamp::test::with_grid;

namespace {

struct BadConfig {
  std::string what;
  std::string text;
  std::vector<std::string> words;
};

}  // namespace

TEST_CASE("one_line: what a terminal would act on is escaped, the rest stays", "[config]") {
  CHECK(one_line("a\tb\n\x7f") == "a\\u0009b\\u000A\\u007F");
  CHECK(one_line("\xC2\x9B"
                 "31m \xC2\x80\xC2\xA0") == "\\u009B31m \\u0080\xC2\xA0");  // C1, then U+00A0
  CHECK(one_line("\xFFx\xC2") == "\\xFFx\\xC2");
  CHECK(one_line("\xC2y\x9B\xE2\x82") == "\\xC2y\\x9B\\xE2\\x82");
  CHECK(one_line("\xE2\x82\xAC \xF0\x9F\x99\x82") == "\xE2\x82\xAC \xF0\x9F\x99\x82");
  CHECK(one_line("").empty());
  CHECK(json_text(nlohmann::json("\x7f\xC2\x9B\xC3\xA9\xFF\n")) ==
        "\"\\u007f\\u009b\xC3\xA9\xEF\xBF\xBD\\n\"");
  CHECK(toml_string("\"\x1b\xC2\x9B") == "\"\\\"\\u001B\xC2\x9B\"");  // which TOML reads back
}

TEST_CASE("config: the error checker sees a missing word, another code, and success", "[config]") {
  const Result<Config> bad = parse(with("mu = 7", "mu = 0"));
  CHECK(error_has(bad, {"mu"}));
  CHECK_FALSE(error_has(bad, {"tau"}));
  CHECK_FALSE(error_has(bad, {"mu"}, ExitCode::usage));
  CHECK_FALSE(error_has(parse(base_config), {}));
}

TEST_CASE("config: every bad config is refused with its place and the legal values", "[config]") {
  const std::vector<BadConfig> list{
      {"unknown key",
       with("sequence_length", "sequence_lenght"),
       {"c.toml:7:1: tokens.sequence_lenght: unknown key",
        "did you mean \"tokens.sequence_length\"?"}},
      {"unknown section",
       with("[tokens]", "[token]"),
       {"c.toml:6:1: token.path: unknown key", "tokens.path"}},
      {"unknown key of an arithmetic",
       with("preset", "prest"),
       {"arithmetic.low.prest", "did you mean \"arithmetic.low.preset\"?"}},
      {"unknown site",
       with("scores = \"low\"", "score = \"low\""),
       {"c.toml:15:9: plan.score: unknown site \"score\"", "did you mean \"scores\"?"}},
      {"unknown site of a selection",
       with("[lamp.scores]", "[lamp.score]"),
       {"unknown site \"score\"", "did you mean \"scores\"?"}},
      {"selection elsewhere",
       with("[lamp.scores]", "[lamp.qkv]"),
       {"c.toml:17:13: lamp.qkv.recompute: there is no selection at \"qkv\"",
        "legal: scores, values, attn_proj, mlp_fc, mlp_proj, logits, gate"}},
      {"budget of a layer without its site",
       base_config + "[lamp.layer.3.values]\ntau = 1\n",
       {"c.toml:19:7: lamp.layer.3.values.tau: there is no [lamp.values]"}},
      {"budget of a layer that is none",
       base_config + "[lamp.layer.x.scores]\ntau = 1\n",
       {"lamp.layer.x.scores.tau: \"x\" is no layer"}},
      {"budget of a head where there is none",
       base_config + "[lamp.layer.3.head.1.mlp_fc]\nrate = 0.5\n[lamp.mlp_fc]\n",
       {"lamp.layer.3.head.1.mlp_fc.rate: site mlp_fc is not part of a head"}},
      {"budget of a layer at a site without",
       base_config + "[lamp.layer.3.logits]\nrate = 0.5\n",
       {"site logits is not part of a layer"}},
      {"budget of a layer without selection",
       base_config + "[lamp.layer.3.qkv]\nrate = 0.5\n",
       {"lamp.layer.3.qkv.rate: there is no selection at \"qkv\""}},
      {"two budgets of a layer",
       base_config + "[lamp.layer.3.scores]\nrate = 0.5\ntau = 1\n",
       {"lamp.layer.3.scores.tau: tau and rate are both given"}},
      {"no budget of a layer",
       base_config + "[lamp.layer.3.scores]\n",
       {"c.toml:18:15: lamp.layer.3.scores: an empty table; legal: tau or rate"}},
      {"other keys of a layer",
       base_config + "[lamp.layer.3.scores]\nrule = \"all\"\n",
       {"lamp.layer.3.scores.rule: unknown key"}},
      {"infinite budget of a layer",
       base_config + "[lamp.layer.3.scores]\ntau = inf\n",
       {"lamp.layer.3.scores.tau: inf is out of range; legal: a number, 0.0 to 4194304.0"}},
      {"axis over a layer's budget without its site",
       with_grid("\"lamp.layer.0.values.tau\" = [1]"),
       {"grid.lamp.layer.0.values.tau: there is no [lamp.values]"}},
      {"plan of a layer that is none",
       with("scores = \"low\"", "\"layer.x\" = \"low\""),
       {"plan.layer.x: \"x\" is no layer; legal: layer.N, counted from 0"}},
      {"plan of a layer with an unknown arithmetic",
       with("scores = \"low\"", "\"layer.0\" = \"lwo\""),
       {"plan.layer.0: there is no arithmetic \"lwo\"", "did you mean \"low\"?"}},
      {"plan of a layer twice",
       with("scores = \"low\"", "\"layer.0\" = \"low\"\nlayer = {0 = \"low\"}"),
       {"key \"0\" is given twice"}},
      {"storage of a layer",
       base_config + "[store]\n\"layer.0\" = \"binary16\"\n",
       {"store.layer.0: a layer and no site"}},
      {"empty fallback",
       with("recompute", "fallback = {}\nrecompute"),
       {"lamp.scores.fallback: an empty table; legal: tolerance, and what"}},
      {"fallback without tolerance",
       with("recompute", "fallback = {what = \"row\"}\nrecompute"),
       {"lamp.scores.fallback.what: a fallback has a tolerance"}},
      {"negative tolerance",
       with("recompute", "fallback.tolerance = -1e-3\nrecompute"),
       {"lamp.scores.fallback.tolerance: -0.001 is out of range"}},
      {"fallback of what",
       with("recompute", "fallback = {tolerance = 1, what = \"pass\"}\nrecompute"),
       {"lamp.scores.fallback.what", "legal: row, layer"}},
      {"fallback of a layer at logits",
       base_config +
           "[lamp.logits]\nrecompute = \"high\"\nfallback = {tolerance = 1, what = \"layer\"}\n",
       {"lamp.logits.fallback.what: \"layer\": logits is not part of a layer; legal: row"}},
      {"fallback of a layer in a continuation",
       with("recompute", "fallback = {tolerance = 1, what = \"layer\"}\nrecompute") +
           "[continuation]\n",
       {"lamp.scores.fallback.what: \"layer\" looks at all rows of a pass", "row"}},
      {"cost of no arithmetic",
       base_config + "[cost]\nlow = 1\nhigh = 2\nhigher = 3\n",
       {"c.toml:21:10: cost.higher: there is no arithmetic \"higher\"", "did you mean \"high\"?"}},
      {"cost of some arithmetics",
       base_config + "[cost]\nlow = 1\n",
       {"cost.high: absent, and [cost] has other arithmetics"}},
      {"cost of nothing",
       base_config + "[cost]\nlow = 0\nhigh = 1\n",
       {"cost.low: 0.0 is out of range; legal: a number above 0"}},
      {"cost as an axis", with_grid("\"cost.low\" = [1, 2]"), {"grid.cost.low: no axis"}},
      {"truth beside another selection",
       base_config + "[lamp.mlp_fc]\nrecompute = \"high\"\n[truth]\n",
       {"truth: evaluates scores, selected alone", "there is [lamp.mlp_fc]"}},
      {"truth beside a layer's budget",
       base_config + "[lamp.layer.0.scores]\ntau = 1\n[truth]\n",
       {"truth: evaluates scores", "there is [lamp.layer.0.scores]"}},
      {"rule that knows the pass beside another selection",
       with("recompute", "rule = \"fisher\"\nrecompute") + "[lamp.mlp_fc]\nrecompute = \"high\"\n",
       {"lamp.scores.rule: \"fisher\" ranks scores, selected alone", "[lamp.mlp_fc]"}},
      {"rule that knows the pass with a fallback",
       with("recompute", "rule = \"fisher\"\nfallback.tolerance = 1\nrecompute"),
       {"there is lamp.scores.fallback"}},
      {"layer without number",
       with("scores =", "layer.x.scores ="),
       {"\"x\" is no layer", "counted from 0"}},
      {"layer of a site without",
       with("scores =", "layer.0.embed ="),
       {"site embed is not part of a layer"}},
      {"head of a site without",
       with("scores =", "layer.0.head.0.ln_1 ="),
       {"site ln_1 is not part of a head"}},
      {"layer with leading zero", with("scores =", "layer.00.scores ="), {"\"00\" is no layer"}},
      {"site goes on", with("scores =", "scores.x ="), {"goes on after its site"}},
      {"unknown arithmetic",
       with("scores = \"low\"", "scores = \"lwo\""),
       {"c.toml:15:10: plan.scores: there is no arithmetic \"lwo\"", "legal: low, high",
        "did you mean \"low\"?"}},
      {"unknown reference",
       base_config + "[reference]\narithmetic = \"binary32\"\n",
       {"reference.arithmetic", "no arithmetic \"binary32\""}},
      {"mpfr:1",
       base_config + "[reference]\narithmetic = \"mpfr:1\"\n",
       {"reference.arithmetic: the string \"mpfr:1\"", "2 to 10000"}},
      {"mpfr:10001",
       base_config + "[reference]\narithmetic = \"mpfr:10001\"\n",
       {"the string \"mpfr:10001\"", "2 to 10000"}},
      {"mpfr: without bits",
       base_config + "[reference]\narithmetic = \"mpfr:\"\n",
       {"the string \"mpfr:\"", "2 to 10000"}},
      {"mpfr:064",
       base_config + "[reference]\narithmetic = \"mpfr:064\"\n",
       {"the string \"mpfr:064\"", "2 to 10000"}},
      {"wrong type: title",
       with("\"a title\"", "7"),
       {"c.toml:2:9: title: the integer 7 is not legal here"}},
      {"wrong type: table", with("title = \"a title\"", "title = {a = 1}"), {"title: a table"}},
      {"title with slash", with("a title", "a/b"), {"title", "legal"}},
      {"wrong type: sequence_length",
       with("= 64", "= \"64\""),
       {"the string \"64\" is not legal here", "legal: an integer, 1 to"}},
      {"sequence_length 0", with("= 64", "= 0"), {"0 is out of range"}},
      {"date", with("= 64", "= 2026-01-01"), {"a date"}},
      {"mu 0",
       with("mu = 7", "mu = 0"),
       {"c.toml:10:6: arithmetic.low.mu: 0 is out of range; legal: an integer, 1 to 23"}},
      {"mu 24", with("mu = 7", "mu = 24"), {"24 is out of range", "1 to 23"}},
      {"mu -1", with("mu = 7", "mu = -1"), {"-1 is out of range", "1 to 23"}},
      {"mu 4.0", with("mu = 7", "mu = 4.0"), {"the number 4.0 is not legal here", "1 to 23"}},
      {"mu \"4\"", with("mu = 7", "mu = \"4\""), {"the string \"4\" is not legal here", "1 to 23"}},
      {"mu and format",
       with("mu = 7", "mu = 7\nformat = \"ps7\""),
       {"mu and format are both given"}},
      {"no format", with("mu = 7", ""), {"c.toml:8", "arithmetic.low: no format"}},
      {"empty arithmetic", base_config + "[arithmetic.more]\n", {"arithmetic.more: no format"}},
      {"unknown format",
       with("\"binary32\"", "\"binary33\""),
       {"c.toml:12:10: arithmetic.high.format", "binary33"}},
      {"format object without p",
       with("\"binary32\"", "{emin = -3, emax = 3}"),
       {"a format needs p"}},
      {"format object, unknown key",
       with("\"binary32\"", "{p = 3, emin = -3, emax = 3, subnormal = true}"),
       {"unknown key \"subnormal\"", "did you mean \"subnormals\"?"}},
      {"format object upside down",
       with("\"binary32\"", "{p = 3, emin = 3, emax = -3}"),
       {"emin must be an integer in -1000000000..-3, got 3"}},
      {"format wider than binary64",
       with("\"binary32\"", "{p = 113, emin = -16382, emax = 16383}"),
       {"wider than binary64", "p <= 53"}},
      {"name of an arithmetic",
       with("[arithmetic.high]", "[arithmetic.\"h h\"]"),
       {"cannot name an arithmetic"}},
      {"reserved name",
       with("[arithmetic.high]", "[arithmetic.binary64]"),
       {"cannot name an arithmetic"}},
      {"format beyond MPFR",
       with("\"binary32\"", "{p = 10001, emin = -3, emax = 3}"),
       {"p is the integer 10001", "1 to 10000"}},
      {"format that overflows to what it has not",
       with("\"binary32\"", "{p = 4, emin = -6, emax = 8, infinities = false}"),
       {"overflow must be \"max\" or \"nan\""}},
      {"format in a string",
       with("\"binary32\"", "\"{p = 4, emin = -6}\""),
       {"a format needs emax"}},
      {"two keys in a string",
       with("\"binary32\"", "\"{p = 4, emin = -6, emax = 8}\\nx = {}\""),
       {"is no format"}},
      {"order without parameter",
       with("mu = 7", "mu = 7\norder = \"blocked\""),
       {"order is \"blocked\"; legal: blocked:B with an integer"}},
      {"order, parameter 0",
       with("mu = 7", "mu = 7\norder = \"blocked:0\""),
       {"c.toml:11:9: arithmetic.low.order", "from 1 to"}},
      {"order, no power of two",
       with("mu = 7", "mu = 7\norder = \"lanes:3\""),
       {"L a power of two"}},
      {"order, a parameter too many",
       with("mu = 7", "mu = 7\norder = \"kahan:2\""),
       {"kahan alone"}},
      {"order, tree",
       with("mu = 7", "mu = 7\norder = \"tree:(0 0)\""),
       {"arithmetic.low.order: order: "}},
      {"order of wrong type",
       with("mu = 7", "mu = 7\norder = 3"),
       {"the integer 3", "sequential, reverse, blocked:B"}},
      {"unknown order",
       with("mu = 7", "mu = 7\norder = \"sequental\""),
       {"did you mean \"sequential\"?"}},
      {"unknown order that has a parameter",
       with("mu = 7", "mu = 7\norder = \"numpysum\""),
       {"did you mean \"numpy-sum:B\"?"}},
      {"unknown order, parameter",
       with("mu = 7", "mu = 7\norder = \"numpy_sum:64\""),
       {"did you mean \"numpy-sum:64\"?"}},
      {"unknown order, a parameter too many",
       with("mu = 7", "mu = 7\norder = \"kahn:64\""),
       {"did you mean \"kahan\"?"}},
      {"numpy-sum without B",
       with("mu = 7", "mu = 7\norder = \"numpy-sum\""),
       {"numpy-sum:B", "8192 up to numpy 2.2"}},
      {"unknown rounding",
       with("mu = 7", "mu = 7\nrounding = \"RNZ\""),
       {"legal: RNE, RNA, RTZ, RTP, RTN, RTO, SR, SRE"}},
      {"random_bits 0",
       with("mu = 7", "mu = 7\nrandom_bits = 0"),
       {"arithmetic.low.random_bits: 0 is out of range", "1 to 32"}},
      {"random_bits 33", with("mu = 7", "mu = 7\nrandom_bits = 33"), {"33 is out of range"}},
      {"random_bits 8.0", with("mu = 7", "mu = 7\nrandom_bits = 8.0"), {"the number 8.0"}},
      {"block is no table",
       with("mu = 7", "mu = 7\nblock = \"binary32\""),
       {"c.toml:11:9: arithmetic.low.block: the string \"binary32\""}},
      {"block without format",
       with("mu = 7", "mu = 7\nblock = {}"),
       {"c.toml:11:1: arithmetic.low.block: no format"}},
      {"block with mu and format",
       with("mu = 7", "mu = 7\nblock = {mu = 2, format = \"ps2\"}"),
       {"arithmetic.low.block.mu: mu and format"}},
      {"block, unknown key",
       with("mu = 7", "mu = 7\nblock = {format = \"ps2\", viaa = \"ps3\"}"),
       {"c.toml:11:26: arithmetic.low.block.viaa: unknown key",
        "did you mean \"arithmetic.low.block.via\"?"}},
      {"block, wrong value",
       with("mu = 7", "mu = 7\nblock = {format = \"ps2\", rounding = \"up\"}"),
       {"arithmetic.low.block.rounding: the string \"up\""}},
      {"block, wide format",
       with("mu = 7", "mu = 7\nblock.format = {p = 113, emin = -1, emax = 1}"),
       {"arithmetic.low.block.format", "wider"}},
      {"block, another order",
       with("mu = 7", "mu = 7\nblock = {mu = 3, order = \"kahan\"}"),
       {"block.order", "legal: sequential"}},
      {"engine beside a preset",
       with("mu = 7", "mu = 7\nengine = \"h100\""),
       {"c.toml:9:10: arithmetic.low.preset: given beside engine = \"h100\"",
        "legal: engine, operands, format"}},
      {"engine with mu",
       with("preset = \"lamp-paper\"\nmu = 7", "mu = 7\nengine = \"h100\""),
       {"no operands binary16 with format bfloat16"}},
      {"engine with an order",
       with("preset = \"lamp-paper\"\nmu = 7", "engine = \"h100\"\norder = \"sequential\""),
       {"c.toml:10:9: arithmetic.low.order: given beside engine", "order = \"split:S\""}},
      {"engine with a block",
       with("preset = \"lamp-paper\"\nmu = 7", "engine = \"h100\"\nblock = {mu = 3}"),
       {"arithmetic.low.block: given beside engine"}},
      {"engine with other operands",
       with("preset = \"lamp-paper\"\nmu = 7", "engine = \"v100\"\noperands = \"bfloat16\""),
       {"c.toml:9:10: arithmetic.low.engine: \"v100\" has no operands bfloat16 with format "
        "binary32",
        "legal: binary16 to binary32, binary16 to binary16"}},
      {"engine, operands as-is",
       with("preset = \"lamp-paper\"\nmu = 7", "engine = \"h100\"\noperands = \"as-is\""),
       {"arithmetic.low.operands: \"as-is\" beside engine"}},
      {"engine, operands of a block format",
       with("preset = \"lamp-paper\"\nmu = 7", "engine = \"h100\"\noperands = \"mxfp4\""),
       {"c.toml:9:10: arithmetic.low.engine: \"h100\" has no operands mxfp4 with format binary32",
        "legal: binary16 to binary32"}},
      {"storage, no site",
       base_config + "[store]\ngelo = \"bfloat16\"\n",
       {"store.gelo: unknown site \"gelo\"", "did you mean \"gelu\"?"}},
      {"storage, a mistyped default",
       base_config + "[store]\ndefalut = \"bfloat16\"\n",
       {"store.defalut: ", "did you mean \"default\"?"}},
      {"storage of one head",
       base_config + "[store]\nlayer.1.head.0.scores = \"bfloat16\"\n",
       {"store.layer.1.head.0.scores: the heads of a layer are stored alike", "legal: SITE or"}},
      {"storage, no system",
       base_config + "[store]\nweights = \"bf17\"\n",
       {"store.weights: ", "\"as-computed\", a format"}},
      {"storage, a wide format",
       base_config + "[store]\nlayer.1.gelu = {p = 113, emin = -1, emax = 1}\n",
       {"store.layer.1.gelu: a format wider than binary64"}},
      {"weights that are no binary32 numbers",
       base_config + "[store]\nweights = {p = 30, emin = -9, emax = 9}\n",
       {"store.weights: ", "gives weights that are no binary32 numbers"}},
      {"a cache that reads keys to come",
       base_config +
           "[store]\ncache.values = {element = \"e2m1fn\", scale = \"e4m3fn\", size = 16, "
           "tensor_scale = \"auto\"}\n",
       {"store.cache.values: ", "keys to come"}},
      {"storage beside the ground truth",
       base_config + "[store]\ndefault = \"bfloat16\"\n[truth]\n",
       {"truth: evaluates scores within the reference pass, and there is [store]"}},
      {"storage as an axis beside the ground truth",
       base_config + "[truth]\n[grid]\n\"store.weights\" = [\"bfloat16\"]\n",
       {"grid.store.weights: truth: evaluates scores"}},
      {"storage beside a rule that knows the pass",
       with("recompute", "rule = \"fisher\"\nrecompute") + "[store]\ncache.keys = \"e4m3fn\"\n",
       {"lamp.scores.rule: \"fisher\" ranks scores within the reference pass"}},
      {"another reference model beside the ground truth",
       base_config + "[reference]\nmodel = \"other\"\n[truth]\n",
       {"truth: evaluates scores within the reference pass, and there is reference.model"}},
      {"operands of a block format, rounded otherwise",
       with("mu = 7", "mu = 7\noperands = \"nvfp4\"\noperand_rounding = \"RTZ\""),
       {"c.toml:12:20: arithmetic.low.operand_rounding: \"RTZ\" with operands nvfp4, a block "
        "format",
        "legal: \"RNE\" there"}},
      {"the same in a block",
       with("mu = 7", "mu = 7\nblock = {mu = 3, operands = \"mxfp4\", operand_rounding = \"RNA\"}"),
       {"arithmetic.low.block.operand_rounding: \"RNA\" with operands mxfp4"}},
      {"operands rounded at random",
       with("mu = 7", "mu = 7\noperands = \"tf32\"\noperand_rounding = \"SR\""),
       {"arithmetic.low.operand_rounding: the string \"SR\"", "legal: RNE, RNA, RTZ"}},
      {"part, a wide format",
       with("mu = 7", "mu = 7\norder = \"split:2\"\npart = {p = 113, emin = -1, emax = 1}"),
       {"arithmetic.low.part: a format wider than binary64"}},
      {"part of a block format",
       with("mu = 7", "mu = 7\norder = \"split:2\"\npart = \"mxfp4\""),
       {"arithmetic.low.part: \"mxfp4\" is a block format"}},
      {"a block format for an accumulator",
       with("mu = 7", "format = \"mxfp4\""),
       {"c.toml:10:10: arithmetic.low.format: \"mxfp4\" is a block format, which rounds rows",
        "legal: a float format"}},
      {"a block format for a product",
       with("mu = 7", "mu = 7\nproduct = {element = \"e2m1fn\", scale = \"e8m0fnu\", size = 8}"),
       {"arithmetic.low.product: {element = \"e2m1fn\"", "is a block format"}},
      {"a block format for a first rounding",
       with("mu = 7", "mu = 7\nvia = \"nvfp4\""),
       {"arithmetic.low.via: \"nvfp4\" is a block format"}},
      {"a block format of size 0",
       with("mu = 7", "mu = 7\noperands = {element = \"e2m1fn\", scale = \"e8m0fnu\", size = 0}"),
       {"arithmetic.low.operands: size is 0", "legal: an integer, 1 to"}},
      {"a block format with an unknown key",
       with("mu = 7", "mu = 7\noperands = {element = \"e2m1fn\", scale = \"e8m0fnu\", sise = 8}"),
       {"c.toml:11:52: arithmetic.low.operands: unknown key \"sise\"", "did you mean \"size\"?"}},
      {"engine unknown",
       with("mu = 7", "mu = 7\nengine = \"h10\""),
       {"legal: v100, a100", "did you mean \"h100\"?"}},
      {"unknown preset", with("lamp-paper", "paper"), {"legal: lamp-paper"}},
      {"tau nan",
       with("recompute", "tau = nan\nrecompute"),
       {"lamp.scores.tau: nan is out of range; legal: a number, 0.0 to"}},
      {"tau inf", with("recompute", "tau = inf\nrecompute"), {"inf is out of range"}},
      {"tau negative", with("recompute", "tau = -0.5\nrecompute"), {"-0.5 is out of range"}},
      {"tau 1e400", with("recompute", "tau = 1e400\nrecompute"), {"c.toml:17:", "1e400"}},
      {"tau text", with("recompute", "tau = \"1\"\nrecompute"), {"the string \"1\""}},
      {"tau and rate",
       with("recompute", "tau = 1\nrate = 0.1\nrecompute"),
       {"tau and rate are both given"}},
      {"rate above 1", with("recompute", "rate = 1.5\nrecompute"), {"1.5 is out of range"}},
      {"rule truth",
       with("recompute", "rule = \"truth\"\nrecompute"),
       {"lamp.scores.rule", "\"truth\" is not legal", "truth:one-low", "largest-logit"}},
      {"an own rule without a function",
       with("recompute", "rule = \"python:rules.py\"\nrecompute"),
       {"lamp.scores.rule", "\"python:rules.py\" is not legal", "python:FILE:FUNCTION"}},
      {"an own rule without a file",
       with("recompute", "rule = \"python::f\"\nrecompute"),
       {"\"python::f\" is not legal", "python:FILE:FUNCTION"}},
      {"an own rule whose function is none",
       with("recompute", "rule = \"python:rules.py:import os\"\nrecompute"),
       {"\"python:rules.py:import os\" is not legal", "python:FILE:FUNCTION"}},
      {"two own rules of one name",
       base_config + "[grid]\n\"lamp.scores.rule\" = [\"python:a/r.py:f\", \"python:b/r.py:f\"]\n",
       {"grid.lamp.scores.rule: two rules are named \"python:r.py:f\"",
        "files or functions with different names"}},
      {"an own rule twice",
       base_config + "[grid]\n\"lamp.scores.rule\" = [\"python:r.py:f\", \"python:./r.py:f\"]\n",
       {"two rules are named"}},
      {"record.where with another file",
       base_config + "[grid]\n\"lamp.scores.rule\" = [\"python:a/r.py:f\", \"lamp\"]\n[record]\n"
                     "where = {\"lamp.scores.rule\" = [\"python:r.py:f\"]}\n",
       {"record.where.lamp.scores.rule", "is no value of the axis"}},
      {"a rule that knows an unlimited reference",
       with("recompute", "rule = \"fisher\"\nrecompute") +
           "[reference]\narithmetic = \"mpfr:200\"\n",
       {"reference.arithmetic", "\"mpfr:200\" has no ground truth", "rule = \"fisher\"",
        "binary64"}},
      {"a rule that knows the pass, and a continuation",
       base_config + "[continuation]\n[grid]\n\"lamp.scores.rule\" = [\"lamp\", \"truth:local\"]\n",
       {"\"truth:local\" has to know all tokens", "the other rules"}},
      {"a rule that knows the pass, and sequences of other lengths",
       with("length = 64", "length = 64\nmin_length = 9") +
           "[grid]\n\"lamp.scores.rule\" = [\"lamp\", \"fisher\"]\n",
       {"\"fisher\" evaluates all scores of sequences of one length",
        "with tokens.min_length: the other rules"}},
      {"a ground truth of sequences of other lengths",
       with("length = 64", "length = 64\nmin_length = 9") + "[truth]\n",
       {"tokens.min_length: a ground truth has all scores of sequences of one length",
        "with [truth]: absent, or tokens.sequence_length"}},
      {"value-aware with a norm",
       with("recompute", "rule = \"value-aware\"\nnorm = \"normwise1\"\nrecompute"),
       {"c.toml:18:8: lamp.scores.norm: rule \"value-aware\" has its own; leave it out"}},
      {"value-aware with a solver, on axes",
       with("recompute", "solver = \"exact\"\nrecompute") +
           "[grid]\n\"lamp.scores.rule\" = [\"lamp\", \"value-aware\"]\n",
       {"grid.lamp.scores.rule: lamp.scores.solver: the sets of rule \"value-aware\"",
        "leave it out"}},
      {"unknown shift",
       with("recompute", "shift = \"median\"\nrecompute"),
       {"lamp.scores.shift", "legal: none, mean, adaptive"}},
      {"record.selected, no boolean",
       base_config + "[record]\nselected = [\"scores\"]\n",
       {"record.selected", "legal: true, false"}},
      {"record.selected, no selection",
       with("[lamp.scores]\nrecompute = \"high\"\n", "[record]\nselected = true\n"),
       {"c.toml:17:12: record.selected: nothing is selected; legal: false, or a [lamp.SITE]"}},
      {"record.concentration, no selection",
       with("[lamp.scores]\nrecompute = \"high\"\n", "[record]\nconcentration = true\n"),
       {"record.concentration: nothing is selected; legal: false, or a [lamp.SITE]"}},
      {"recompute absent", with("recompute = \"high\"", ""), {"lamp.scores.recompute: required"}},
      {"title absent", with("title = \"a title\"", ""), {"c.toml: title: required, and absent"}},
      {"plan.default absent", with("default = \"high\"", ""), {"plan.default: required"}},
      {"truth of an unlimited reference",
       base_config + "[reference]\narithmetic = \"mpfr:200\"\n[truth]\n",
       {"reference.arithmetic", "\"mpfr:200\" has no ground truth", "binary64"}},
      {"truth of a stochastic reference",
       with("[lamp.scores]", "[arithmetic.odd]\nmu = 5\nrounding = \"SR\"\n[lamp.scores]") +
           "[reference]\narithmetic = \"odd\"\n[truth]\n",
       {"reference.arithmetic", "\"odd\" has no ground truth", "stochastic"}},
      {"truth.local", base_config + "[truth]\nlocal = 1\n", {"truth.local", "true, false"}},
      {"truth.end_to_end",
       base_config + "[truth]\nend_to_end = [\"one-lov\"]\n",
       {"truth.end_to_end", "one-low, one-high", "one-low"}},
      {"truth.end_to_end twice",
       base_config + "[truth]\nend_to_end = [\"one-low\", \"one-low\"]\n",
       {"truth.end_to_end", "given twice"}},
      {"truth.subset_limit",
       base_config + "[truth]\nsubset_limit = 25\n",
       {"truth.subset_limit", "25", "0 to 24"}},
      {"truth.tolerance", base_config + "[truth]\ntolerance = []\n", {"truth.tolerance", ">= 0"}},
      {"truth.budgets", base_config + "[truth]\nbudgets = [1.5]\n", {"truth.budgets", "0 to 1"}},
      {"truth.layers", base_config + "[truth]\nlayers = [-1]\n", {"truth.layers", "from 0 on"}},
      {"truth.queries",
       base_config + "[truth]\nqueries = [64]\n",
       {"truth.queries", "64 is no position", "63"}},
      {"truth.sample", base_config + "[truth]\nsample = 2\n", {"truth.sample", "0.0 to 1.0"}},
      {"truth.rules",
       base_config + "[truth]\nrules = [\"lamp-relativ\"]\n",
       {"truth.rules", "lamp-relative"}},
      {"as-zero with other weights",
       with("recompute", "mask = \"as-zero\"\nweights = \"relative\"\nrecompute"),
       {"c.toml:17:8: lamp.scores.mask: \"as-zero\" is legal with weights \"absolute\" only"}},
      {"as-zero with other weights, on axes",
       with("recompute", "mask = \"as-zero\"\nrecompute") +
           "[grid]\n\"lamp.scores.weights\" = [\"absolute\", \"dot\"]\n",
       {"grid.lamp.scores.weights: lamp.scores.mask: \"as-zero\" is legal with"}},
      {"unknown weights",
       with("recompute", "weights = \"relativ\"\nrecompute"),
       {"legal: absolute, relative, dot", "did you mean \"relative\"?"}},
      {"unknown solver",
       with("recompute", "solver = \"best\"\nrecompute"),
       {"legal: greedy, exact"}},
      {"unknown norm",
       with("recompute", "norm = \"normwise\"\nrecompute"),
       {"did you mean \"normwise1\"?"}},
      {"reference on an axis",
       base_config +
           "[reference]\narithmetic = \"high\"\n[grid]\n\"arithmetic.high.format\" = [\"ps3\"]\n",
       {"grid.arithmetic.high.format: the reference is [arithmetic.high], and one for all cells"}},
      {"record.errors, unknown site",
       base_config + "[record]\nerrors = [\"softmax\", \"sores\"]\n",
       {"c.toml:19:22: record.errors: unknown site \"sores\"", "did you mean \"scores\"?"}},
      {"record.errors, a metric",
       base_config + "[record]\nerrors = [\"kl\"]\n",
       {"record.errors: \"kl\" is no site but a metric, which every run records; legal: a list of "
        "different sites"}},
      {"record.errors, twice",
       base_config + "[record]\nerrors = [\"scores\", \"scores\"]\n",
       {"site \"scores\" is given twice"}},
      {"record.errors, no list",
       base_config + "[record]\nerrors = \"scores\"\n",
       {"record.errors: the string \"scores\""}},
      {"record.activations, unknown site",
       base_config + "[record]\nactivations = [\"logit\"]\n",
       {"did you mean \"logits\"?"}},
      {"record.detail",
       base_config + "[record]\ndetail = \"all\"\n",
       {"record.detail", "legal: summary, full"}},
      {"record.where, no grid",
       base_config + "[record]\nwhere = {\"lamp.scores.tau\" = [1.5]}\n",
       {"c.toml:19:30: record.where.lamp.scores.tau: is no axis of the grid",
        "there is no [grid]"}},
      {"record.where, no axis",
       with_grid("\"lamp.scores.tau\" = [1.5]\n[record]\nwhere = {\"lamp.scores.tua\" = [1.5]}"),
       {"record.where.lamp.scores.tua: is no axis", "did you mean \"lamp.scores.tau\"?"}},
      {"record.where, no value",
       with_grid(
           "\"lamp.scores.tau\" = [1.5, 2]\n[record]\nwhere = {\"lamp.scores.tau\" = [1.5, 1]}"),
       {"record.where.lamp.scores.tau: the number 1.0 is no value of the axis; legal: [1.5, 2.0]"}},
      {"record.where, empty",
       with_grid("\"lamp.scores.tau\" = [1.5]\n[record]\nwhere = {\"lamp.scores.tau\" = []}"),
       {"an empty list"}},
      {"record.where, no list",
       with_grid("\"lamp.scores.tau\" = [1.5]\n[record]\nwhere = {\"lamp.scores.tau\" = 1.5}"),
       {"record.where", "1.5"}},
      {"record.where, no table", base_config + "[record]\nwhere = [1]\n", {"record.where: a list"}},
      {"stop.relative_error",
       base_config + "[stop]\nrelative_error = 1.5\n",
       {"stop.relative_error: 1.5 is out of range; legal: a number, 0.0 to 1.0"}},
      {"stop.confidence",
       base_config + "[stop]\nconfidence = 1\n",
       {"stop.confidence", "0.5 to 0.9999"}},
      {"stop.min_sequences", base_config + "[stop]\nmin_sequences = 1\n", {"stop.min_sequences"}},
      {"stop.metric",
       base_config + "[stop]\nmetric = \"kl_position\"\n",
       {"stop.metric", "legal: kl, flip_rate, cross_entropy"}},
      {"stop.metrics",
       base_config + "[stop]\nmetrics = \"kl\"\n",
       {"did you mean \"stop.metric\""}},
      {"stop.baseline, no axis",
       with_grid(
           "\"lamp.scores.tau\" = [1.5]\n[stop]\nbaseline = {\"lamp.scores.rule\" = \"none\"}"),
       {"stop.baseline.lamp.scores.rule: is no axis"}},
      {"stop.baseline, no value",
       with_grid("\"lamp.scores.tau\" = [1.5, 2]\n[stop]\nbaseline = {\"lamp.scores.tau\" = 1}"),
       {"stop.baseline.lamp.scores.tau: the number 1.0 is no value of the axis; legal: [1.5, "
        "2.0]"}},
      {"stop.baseline, a list",
       with_grid("\"lamp.scores.tau\" = [1.5, 2]\n[stop]\nbaseline = {\"lamp.scores.tau\" = [2]}"),
       {"stop.baseline", "a list is not legal here"}},
      {"list in an axis", with_grid("\"lamp.scores.tau\" = [[1.5]]"), {"a list is not legal here"}},
      {"table in an axis of numbers",
       with_grid("\"arithmetic.low.mu\" = [{p = 4, emin = -6, emax = 8}]"),
       {"a table is not legal here"}},
      {"bad format on an axis",
       with_grid("\"arithmetic.low.format\" = [{p = 4, emin = -6}]"),
       {"grid.arithmetic.low.format: a format needs emax"}},
      {"random_bits on an axis",
       with_grid("\"arithmetic.low.random_bits\" = [8, 64]"),
       {"64 is out of range"}},
      {"axis over a block that is none",
       with_grid("\"arithmetic.low.block.via\" = [\"none\"]"),
       {"arithmetic.low.block: no format"}},
      {"preset axis of a block",
       with_grid("\"arithmetic.low.block.preset\" = [\"lamp-paper\"]"),
       {"cannot be an axis"}},
      {"schema_version", with("schema_version = 1", "schema_version = 2"), {"2 is out of range"}},
      {"seed",
       "seed = 4294967296\n" + base_config,
       {"seed: 4294967296 is out of range; legal: an integer, 0 to 4294967295"}},
      {"texts of one name",
       with("\"texts/prose.txt\"", "[\"a/p.txt\", \"b/p.txt\"]"),
       {"two texts are named \"p\""}},
      {"no texts", with("\"texts/prose.txt\"", "[]"), {"an empty list"}},
      // Grid
      {"empty grid", base_config + "[grid]\n", {"c.toml:18:", "grid: has no axis"}},
      {"empty axis",
       with_grid("\"lamp.scores.tau\" = []"),
       {"grid.lamp.scores.tau: an empty list"}},
      {"axis is no list", with_grid("\"lamp.scores.tau\" = 1"), {"the integer 1"}},
      {"duplicate value",
       with_grid("\"lamp.scores.tau\" = [1.0, 2.0, 1]"),
       {"the integer 1 is given twice"}},
      {"duplicate axis",
       with_grid("\"lamp.scores.tau\" = [1]\n[grid.lamp.scores]\ntau = [2]"),
       {"\"tau\" is given twice"}},
      {"duplicate axis, same spelling",
       with_grid("\"lamp.scores.tau\" = [1]\n\"lamp.scores.tau\" = [2]"),
       {"redefine"}},
      {"bad value on an axis",
       with_grid("\"arithmetic.low.mu\" = [2, 24]"),
       {"grid.arithmetic.low.mu: 24 is out of range; legal: an integer, 1 to 23"}},
      {"nan on an axis", with_grid("\"lamp.scores.tau\" = [nan]"), {"nan is out of range"}},
      {"unknown name on an axis",
       with_grid("\"plan.scores\" = [\"low\", \"hihg\"]"),
       {"there is no arithmetic \"hihg\"", "did you mean \"high\"?"}},
      {"axis elsewhere",
       with_grid("\"tokens.offset\" = [1, 2]"),
       {"grid.tokens.offset: no axis",
        "arithmetic, plan, lamp and store; seed, tokens.shuffle, model.path"}},
      {"the reference's arithmetic is no axis",
       with_grid("\"reference.arithmetic\" = [\"low\", \"high\"]"),
       {"c.toml:19:26: grid.reference.arithmetic: no axis"}},
      {"seed out of range on an axis",
       with_grid("seed = [1, 4294967296]"),
       {"grid.seed: 4294967296 is out of range; legal: an integer, 0 to 4294967295"}},
      {"a seed that is no integer", with_grid("seed = [1.5]"), {"grid.seed: the number 1.5"}},
      {"seed twice on an axis",
       with_grid("seed = [1, 1]"),
       {"grid.seed: the integer 1 is given twice"}},
      {"shuffle that is not boolean",
       with_grid("\"tokens.shuffle\" = [0, 1]"),
       {"grid.tokens.shuffle: the integer 0 is not legal here; legal: true, false"}},
      {"shuffle as words",
       with_grid("\"tokens.shuffle\" = [\"false\", \"true\"]"),
       {"grid.tokens.shuffle: the string \"false\"", "true, false"}},
      {"booleans on another axis",
       with_grid("\"arithmetic.low.mu\" = [true]"),
       {"grid.arithmetic.low.mu: true is not legal here"}},
      {"models in folders of one name",
       with_grid("\"model.path\" = [\"a/nano\", \"b/nano/\"]"),
       {"c.toml:19:16: grid.model.path: two models are in folders named \"nano\"",
        "different names"}},
      {"no path on the axis of models",
       with_grid("\"model.path\" = [\"a\", \"\"]"),
       {"grid.model.path: the string \"\" is not legal here"}},
      {"record.where with words for shuffle",
       with_grid("\"tokens.shuffle\" = [false, true]\n[record]\nwhere = {\"tokens.shuffle\" = "
                 "[\"true\"]}"),
       {"the string \"true\" is no value of the axis", "[false, true]"}},
      {"axis of no key",
       with_grid("\"arithmetic.low.nu\" = [1]"),
       {"unknown key", "did you mean \"arithmetic.low.mu\"?"}},
      {"axis of no arithmetic",
       with_grid("\"arithmetic.lo.mu\" = [1]"),
       {"there is no [arithmetic.lo]", "did you mean \"low\"?"}},
      {"alternatives",
       with_grid("\"arithmetic.low.mu\" = [1]\n\"arithmetic.low.format\" = [\"ps2\"]"),
       {"excludes the axis"}},
      {"preset axis",
       with_grid("\"arithmetic.low.preset\" = [\"lamp-paper\"]"),
       {"cannot be an axis"}},
      // Text
      {"empty", "", {"c.toml: an empty config"}},
      {"comment only", "# nothing\n", {"c.toml: an empty config"}},
      {"duplicate key", "title = \"b\"\n" + base_config, {"c.toml:3:", "redefine"}},
      {"duplicate key, dotted and quoted",
       "\"model.path\" = \"x\"\n" + base_config,
       {"\"path\" is given twice"}},
      {"byte order mark", "\xEF\xBB\xBF" + base_config, {"c.toml:1:1: a byte order mark"}},
      {"UTF-16", std::string("\xFF\xFEt\0i\0", 6), {"UTF-16"}},
      {"invalid UTF-8", with("a title", "a \xC3\x28"), {"c.toml:2:12: invalid UTF-8"}},
      {"overlong UTF-8", with("a title", "\xC0\x80"), {"invalid UTF-8"}},
      {"surrogate", with("a title", "\xED\xA0\x80"), {"invalid UTF-8"}},
      {"truncated UTF-8", "title = \"\xE2\x82", {"invalid UTF-8"}},
      {"zero byte", std::string("title = \"a\0b\"", 13), {"zero byte"}},
      {"not TOML", "title a\n", {"c.toml:1:"}},
      {"unterminated string", "title = \"a\n", {"c.toml:1:"}},
      {"nested brackets", "x = " + std::string(100000, '['), {"nested more than 16 deep"}},
      {"nested tables",
       "x = " +
           [] {
             std::string s;
             for (int i = 0; i < 20000; ++i) s += "{a=";
             return s;
           }(),
       {"nested more than 16 deep"}},
      {"dotted key",
       [] {
         std::string s = "a";
         for (int i = 0; i < 100000; ++i) s += ".a";
         return s + " = 1";
       }(),
       {"a key of more than 16 parts"}},
      {"quoted dotted key",
       [] {
         std::string s = "\"a";
         for (int i = 0; i < 100000; ++i) s += ".a";
         return s + "\" = 1";
       }(),
       {"a key of more than 16 parts"}},
      {"dotted header",
       [] {
         std::string s = "[a";
         for (int i = 0; i < 100000; ++i) s += ".\"a\"";
         return s + "]";
       }(),
       {"a key of more than 16 parts"}},
      {"more than 1 MiB",
       base_config + std::string(std::size_t{1} << 20, '\n'),
       {"more than 1 MiB"}},
      {"long unknown key", std::string(100000, 'k') + " = 1\n" + base_config, {"unknown key"}},
  };
  for (const BadConfig& bad : list) {
    INFO(bad.what);
    CHECK(error_has(parse(bad.text), bad.words));
  }
}

TEST_CASE("nearest: words from elsewhere, slips of a finger, and nothing that is far",
          "[config][suggestions]") {
  struct Row {
    std::string key, value, suggestion;  // of arithmetic.low
  };
  const std::vector<Row> rows{{"format", "fp16", "binary16"},
                              {"format", "half", "binary16"},
                              {"format", "torch.float16", "binary16"},
                              {"format", "bf16", "bfloat16"},
                              {"format", "BFloat16", "bfloat16"},
                              {"format", "float32", "binary32"},
                              {"format", "FP32", "binary32"},
                              {"format", "double", "binary64"},
                              {"format", "TF32", "tf32"},
                              {"format", "E4M3", "e4m3fn"},
                              {"format", "float8_e4m3fn", "e4m3fn"},
                              {"format", "torch.float8_e5m2", "e5m2"},
                              {"format", "E5M2", "e5m2"},
                              {"format", "PS7", "ps7"},
                              {"format", "bflaot16", "bfloat16"},
                              {"operands", "MXFP4", "mxfp4"},
                              {"operands", "mxfp8_e4m3", "mxfp8-e4m3"},
                              {"operands", "fp4", "e2m1fn"},
                              {"via", "fp32", "binary32"},
                              {"rounding", "sr", "SR"},
                              {"rounding", "stochastic", "SR"},
                              {"rounding", "truncate", "RTZ"},
                              {"rounding", "FE_TONEAREST", "RNE"},
                              {"order", "split-k", "split:S"},
                              {"order", "openblas", "panels:Q,U"},
                              {"engine", "H100", "h100"},
                              {"format", "int8", ""},
                              {"rounding", "xyz", ""}};
  for (const Row& row : rows) {
    INFO(row.key << " = " << row.value);
    const std::string line = row.key + " = \"" + row.value + "\"";
    const Result<Config> read =
        parse(row.key == "format" ? with("mu = 7", line) : with("mu = 7", "mu = 7\n" + line));
    const std::string end = "; did you mean \"" + row.suggestion + "\"?";
    REQUIRE_FALSE(read.ok());
    if (row.suggestion.empty())
      CHECK(read.error().message.find("did you mean") == std::string::npos);
    else
      CHECK(read.error().message.ends_with(end));
  }
  const std::vector<std::string> names{"qkv", "scores", "tokens.path", "high"};
  CHECK(nearest("kl", names).empty());
  CHECK(nearest("qvk", names) == "qkv");
  CHECK(nearest("tokens.zzz", names).empty());  // what they have in common counts for nothing
  CHECK(nearest("tokens.pth", names) == "tokens.path");
  const auto key = [](const std::string& line) {
    const Result<Config> read = parse(with("mu = 7", "mu = 7\n" + line));
    return read.ok() ? std::string() : read.error().message;
  };
  CHECK(key("accumulator = \"ps7\"").ends_with("did you mean \"arithmetic.low.format\"?"));
  CHECK(key("dtype = \"ps7\"").ends_with("did you mean \"arithmetic.low.format\"?"));
  CHECK(key("roundingMode = \"SR\"").ends_with("did you mean \"arithmetic.low.rounding\"?"));
  CHECK(key("xyzzy = 1").ends_with("arithmetic.low.xyzzy: unknown key"));
  CHECK(key("format = {p = 4, emin = -6, emax = 8, saturate = true}")
            .ends_with("did you mean \"overflow\"?"));
  CHECK(key("format = {p = 4, emin = -6, emax = 8, overflow = \"saturate\"}")
            .ends_with("legal: inf, max, nan; did you mean \"max\"?"));
  CHECK(error_has(parse(base_config + "[lamp]\ntau = 1\n"),
                  {"lamp.tau: unknown key; did you mean \"lamp.scores.tau\"?"}));
  CHECK(error_has(parse(with("sequence_length", "seq_len")),
                  {"did you mean \"tokens.sequence_length\"?"}));
  CHECK(error_has(parse(base_config + "[reference]\narithmetic = \"float64\"\n"),
                  {"legal: low, high, binary64, mpfr:256; did you mean \"binary64\"?"}));
  CHECK(error_has(parse(base_config + "[record]\nerrors = [\"lm_head\"]\n"),
                  {"did you mean \"logits\"?"}));
}

TEST_CASE("words_elsewhere: each is written plainly, and what it means here is a word here",
          "[config][suggestions]") {
  std::vector<std::string> known = site_names();
  const auto add = [&](const std::vector<std::string>& more) {
    known.insert(known.end(), more.begin(), more.end());
  };
  add(names_in(rounding_names));
  add(names_in(overflow_names));
  add({"p", "overflow", "subnormals", "mpfr:256"});
  for (const Field& field : fields()) {
    known.push_back(split_path(field.key).back());
    for (const Choice& choice : field.choices) known.emplace_back(choice.name);
  }
  const std::string orders = order_forms();
  for (std::size_t at = 0; at < orders.size();
       at = std::min(orders.find(", ", at), orders.size() - 2) + 2)
    known.push_back(orders.substr(at, orders.find_first_of(":,", at) - at));
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const WordElsewhere& row : words_elsewhere()) {
    INFO(row.theirs << " is " << row.ours);
    CHECK(row.theirs.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") ==
          std::string_view::npos);
    CHECK((std::find(known.begin(), known.end(), row.ours) != known.end() ||
           parse_number_system(row.ours).ok()));
    CHECK(seen.emplace(row.theirs, row.ours).second);
  }
}
