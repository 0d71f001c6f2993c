// What study.toml says of the files that were read: written and read back, also as older versions
// wrote it.
#include "experiments/run/study_inputs.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "tests/core/model/files.hpp"

using namespace lamp;
using namespace lamp::experiments;

namespace {

std::optional<RecordedInputs> read_back(const std::string& comment) {
  const test::TemporaryFolder folder;
  return read_inputs(folder.write("study.toml", "# lamp experiment 00\n" + comment + "seed = 1\n"));
}

const Inputs inputs{
    .models = {{.content = sha256("a"), .activation = Activation::gelu_new},
               {.content = sha256("b"), .activation = Activation::silu, .reference = sha256("c")}},
    .tokenizer = sha256("tokenizer"),
    .texts = {sha256("one"), sha256("two")}};

bool same(const Inputs& a, const Inputs& b) {
  const auto same_model = [](const ModelInputs& x, const ModelInputs& y) {
    return x.content == y.content && x.activation == y.activation && x.reference == y.reference;
  };
  return std::equal(a.models.begin(), a.models.end(), b.models.begin(), b.models.end(),
                    same_model) &&
         a.tokenizer == b.tokenizer && a.texts == b.texts;
}

}  // namespace

TEST_CASE("study inputs: what is written is read back", "[study_inputs]") {
  const std::string comment = inputs_comment(inputs, 1796050780);
  CHECK(comment.find('\n') == comment.size() - 1);
  const std::optional<RecordedInputs> found = read_back(comment);
  REQUIRE(found);
  CHECK(same(*found, inputs));
  CHECK(found->semantics == semantics);
  CHECK(found->read_at == 1796050780);
}

TEST_CASE("study inputs: own rules, and what evaluated them", "[study_inputs]") {
  Inputs with = inputs;
  with.rules = {sha256("f"), sha256("g")};
  const std::optional<RecordedInputs> found =
      read_back(inputs_comment(with, 5, PythonVersions{"3.11.2", "1.24.2"}));
  REQUIRE(found);
  CHECK(found->rules == with.rules);
  REQUIRE(found->python);
  CHECK(found->python->python == "3.11.2");
  CHECK(found->python->numpy == "1.24.2");
  CHECK_FALSE(read_back(inputs_comment(inputs, 5))->python);
}

TEST_CASE("study inputs: comments of older versions", "[study_inputs]") {
  std::string comment = inputs_comment(inputs, 5);
  const std::string newer = " semantics " + std::to_string(semantics), newest = " read 5";
  REQUIRE(comment.ends_with(newer + newest + "\n"));
  const std::optional<RecordedInputs> old =
      read_back(comment.substr(0, comment.size() - (newer + newest).size() - 1) + "\n");
  REQUIRE(old);
  CHECK(same(*old, inputs));
  CHECK_FALSE(old->semantics);
  CHECK_FALSE(old->read_at);
}

TEST_CASE("study inputs: what is no such comment", "[study_inputs]") {
  const std::string model = "# inputs: model " + to_hex(sha256("a")) + " activation gelu_new";
  CHECK(read_back(model + "\n"));
  for (const std::string& bad :
       {std::string(), std::string("# inputs:\n"), std::string("# input: model\n"),
        model + " read 5x\n", model + " read 99999999999999999999\n", model + " semantics x\n",
        model + " text 12\n", model + " activation none\n",
        "# inputs: activation gelu_new tokenizer " + to_hex(sha256("a")) + "\n",
        "# inputs: tokenizer " + to_hex(sha256("a")) + " semantics 2\n"}) {
    INFO(bad);
    CHECK_FALSE(read_back(bad));
  }
  CHECK_FALSE(read_inputs("/nowhere/study.toml"));
}
