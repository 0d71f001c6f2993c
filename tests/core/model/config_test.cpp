// config.json: what is read, and what each wrong one is told.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "core/model/files/config.hpp"
#include "core/model/networks/network.hpp"
#include "tests/core/model/files.hpp"

namespace {

using lamp::ExitCode;
using lamp::ModelConfig;
using lamp::test::says;
using lamp::test::source;
using lamp::test::TemporaryFolder;

constexpr std::string_view good =
    R"({"model_type":"gpt2","vocab_size":100,"n_positions":16,"n_embd":12,"n_layer":2,"n_head":3,"resid_pdrop":0.1,"n_inner":null})";

std::string with(std::string_view from, std::string_view to) {
  std::string text(good);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}
std::string adding(std::string_view more) { return with("}", "," + std::string(more) + "}"); }

struct Reading {
  TemporaryFolder folder;
  lamp::Result<ModelConfig> config;
  explicit Reading(std::string_view text)
      : config(lamp::read_model_config(folder.write("config.json", text))) {}
};

bool refused(std::string_view text, std::initializer_list<std::string_view> words) {
  const Reading reading(text);
  return !reading.config && says(reading.config.error(), ExitCode::bad_data, words);
}

}  // namespace

TEST_CASE("config: the shipped models are read as their files say", "[model][config]") {
  const auto tiny = lamp::read_model_config(source("data/models/gpt2-tiny/config.json"));
  REQUIRE(tiny);
  ModelConfig expected;
  expected.network = lamp::networks().front();
  CHECK(expected.network->model_type == "gpt2");
  expected.vocab_size = 4096, expected.n_positions = 512, expected.n_embd = 256,
  expected.n_layer = 6, expected.n_head = 4;
  expected.n_inner = 1024, expected.end_of_text = 4095;
  CHECK(*tiny == expected);
  const auto nano = lamp::read_model_config(source("tests/golden/gpt-nano-sort/config.json"));
  REQUIRE(nano);
  CHECK_FALSE(nano->tied);
  CHECK_FALSE(nano->end_of_text.has_value());
  CHECK(nano->d_head() == 16);
}

TEST_CASE("config: defaults, and keys that change nothing", "[model][config]") {
  const Reading plain{good};
  REQUIRE(plain.config);
  CHECK(plain.config->n_inner == 48);
  CHECK(plain.config->layer_norm_epsilon == 1e-5);
  CHECK(plain.config->activation == lamp::Activation::gelu_new);
  CHECK(plain.config->tied);
  const Reading same{adding(
      R"("scale_attn_weights":true,"add_cross_attention":false,"reorder_and_upcast_attn":true,"x":[{}])")};
  REQUIRE(same.config);
  CHECK(*same.config == *plain.config);
  CHECK(lamp::canonical_text(*same.config) == lamp::canonical_text(*plain.config));
  const Reading other{adding(
      R"("n_ctx":7,"n_embd_":1,"activation_function":"gelu","tie_word_embeddings":false,"layer_norm_epsilon":1e-6)")};
  REQUIRE(other.config);
  CHECK(other.config->activation == lamp::Activation::gelu);
  CHECK(lamp::canonical_text(*other.config) != lamp::canonical_text(*plain.config));
}

TEST_CASE("config: what a file leaves out, other names, an end of text outside the vocabulary",
          "[model][config]") {
  const Reading smallest{R"({"model_type":"gpt2"})"};
  REQUIRE(smallest.config);
  CHECK(smallest.config->vocab_size == 50257);
  CHECK(smallest.config->n_positions == 1024);
  CHECK(smallest.config->n_embd == 768);
  CHECK(smallest.config->n_layer == 12);
  CHECK(smallest.config->n_head == 12);
  const Reading renamed{
      R"({"model_type":"gpt2","vocab_size":100,"max_position_embeddings":16,"hidden_size":12,"num_hidden_layers":2,"num_attention_heads":3})"};
  REQUIRE(renamed.config);
  CHECK(*renamed.config == *Reading{good}.config);
  const Reading twice{adding(R"("hidden_size":12)")};
  REQUIRE(twice.config);
  CHECK(*twice.config == *renamed.config);
  for (const char* const tanh_form :
       {"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate"})
    CHECK(Reading{adding(R"("activation_function":")" + std::string(tanh_form) + '"')}
              .config->activation == lamp::Activation::gelu_new);
  for (const char* const erf_form : {"gelu", "gelu_python"})
    CHECK(Reading{adding(R"("activation_function":")" + std::string(erf_form) + '"')}
              .config->activation == lamp::Activation::gelu);
  for (const char* const name : {"silu", "swish"})
    CHECK(Reading{adding(R"("activation_function":")" + std::string(name) + '"')}
              .config->activation == lamp::Activation::silu);
  CHECK(Reading{adding(R"("activation_function":"relu")")}.config->activation ==
        lamp::Activation::relu);
  CHECK(Reading{adding(R"("eos_token_id":99)")}.config->end_of_text == lamp::TokenId{99});
  CHECK_FALSE(Reading{adding(R"("eos_token_id":100)")}.config->end_of_text.has_value());
}

TEST_CASE("config: scores divided by the layer's number, or not", "[model][config]") {
  const Reading plain{good}, said{adding(R"("scale_attn_by_inverse_layer_idx":false)")},
      by_layer{adding(R"("scale_attn_by_inverse_layer_idx":true,"reorder_and_upcast_attn":true)")};
  CHECK(*said.config == *plain.config);
  CHECK(lamp::canonical_text(*said.config).find("scale_attn") == std::string::npos);
  CHECK(plain.config->score_divisor(lamp::Layer{4}) == 1.0);
  CHECK(by_layer.config->score_divisor(lamp::Layer{4}) == 5.0);
  CHECK(lamp::canonical_text(*by_layer.config) ==
        lamp::canonical_text(*plain.config) + " scale_attn_by_inverse_layer_idx=true");
}

TEST_CASE("config: a wrong value is named with its legal range", "[model][config][bad-input]") {
  CHECK(refused(with("\"gpt2\"", "\"bert\""),
                {"config.json", "model_type", "bert", "legal: \"gpt2\""}));
  CHECK(refused(with("\"model_type\":\"gpt2\",", ""), {"model_type is missing"}));
  CHECK(refused(with(":2,", ":0,"), {"n_layer is 0", "1 to 65536"}));
  CHECK(refused(with(":2,", ":-1,"), {"n_layer is -1"}));
  CHECK(refused(with(":2,", ":2.0,"), {"n_layer is 2.0", "integer"}));
  CHECK(refused(with(":2,", ":\"2\","), {"n_layer is \"2\""}));
  CHECK(refused(with(":2,", ":18446744073709551616,"), {"n_layer is 1.8446744073709552e+19"}));
  CHECK(refused(with("\"n_head\":3", "\"n_head\":5"), {"n_embd is 12", "multiple of n_head, 5"}));
  CHECK(refused(with("\"n_inner\":null", "\"n_inner\":0"), {"n_inner is 0"}));
  CHECK(refused(adding(R"("layer_norm_epsilon":0)"), {"layer_norm_epsilon is 0", "above 0"}));
  CHECK(refused(adding(R"("layer_norm_epsilon":"1e-5")"), {"layer_norm_epsilon is \"1e-5\""}));
  CHECK(refused(adding(R"("activation_function":"quick_gelu")"),
                {"activation_function is \"quick_gelu\"", "gelu_new", "silu", "relu"}));
  CHECK(
      refused(adding(R"("tie_word_embeddings":1)"), {"tie_word_embeddings is 1", "true or false"}));
  CHECK(refused(adding(R"("eos_token_id":-1)"), {"eos_token_id is -1", "0 to 4294967295"}));
  CHECK(refused(adding(R"("hidden_size":13)"), {"hidden_size is 13", "what n_embd is, 12"}));
  CHECK(refused(with("n_layer\":2", "num_hidden_layers\":0"), {"num_hidden_layers is 0", "1 to"}));
  CHECK(refused(adding(R"("scale_attn_by_inverse_layer_idx":1)"),
                {"scale_attn_by_inverse_layer_idx is 1", "true or false"}));
  CHECK(refused(with("\"gpt2\"", "\"gpt_bigcode\""), {"gpt_bigcode", "multi-query attention"}));
  CHECK(refused(adding(R"("add_cross_attention":true)"), {"add_cross_attention is true"}));
  CHECK(refused(adding(R"("scale_attn_weights":false)"),
                {"scale_attn_weights is false", "legal: true"}));
}

TEST_CASE("config: a file that is no JSON object is told where it fails",
          "[model][config][bad-input]") {
  CHECK(refused("", {"config.json:1:1", "not JSON"}));
  CHECK(refused("{\n \"a\": 1,\n \"b\" 2}", {"config.json:3:6", "not JSON"}));
  CHECK(refused("[1]", {"an array", "legal: an object"}));
  CHECK(refused(adding(R"("n_layer":2)"), {"\"n_layer\" is given twice"}));
  CHECK(refused(adding(R"("deep":{"k":1,"k":1})"), {"\"k\" is given twice"}));
  CHECK(refused("\xEF\xBB\xBF" + std::string(good), {"byte order mark"}));
  CHECK(refused("{\"a\": \"\xFF\"}", {"not UTF-8 at byte offset 7"}));
  CHECK(refused(std::string(5000, '['), {"nesting deeper than 32"}));
  CHECK(refused(adding(R"("x":1e400)"), {"not JSON"}));
  CHECK(refused(std::string((1U << 20) + 1, ' '), {"1048577 bytes", "at most 1048576"}));
  CHECK(refused(std::string(good) + "{}", {"not JSON"}));
}

TEST_CASE("config: a file that cannot be read has its own exit code",
          "[model][config][bad-input]") {
  const TemporaryFolder folder;
  const auto missing = lamp::read_model_config(folder.path() / "config.json");
  REQUIRE_FALSE(missing);
  CHECK(says(missing.error(), ExitCode::missing_input, {"config.json", "No such file"}));
  const auto directory = lamp::read_model_config(folder.path());
  REQUIRE_FALSE(directory);
  CHECK(says(directory.error(), ExitCode::bad_data, {"is a directory"}));
  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  const auto fifo =
      lamp::read_model_config(folder.path() / "fifo");  // returns: nobody writes to it
  REQUIRE_FALSE(fifo);
  CHECK(says(fifo.error(), ExitCode::bad_data, {"pipe or device"}));
  if (::geteuid() != 0) {
    const auto file = folder.write("secret.json", good);
    std::filesystem::permissions(file, std::filesystem::perms::none);
    const auto secret = lamp::read_model_config(file);
    REQUIRE_FALSE(secret);
    CHECK(says(secret.error(), ExitCode::permission, {"secret.json", "Permission denied"}));
  }
}
