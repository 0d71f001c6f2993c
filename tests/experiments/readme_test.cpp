// The worked examples of the folders' READMEs: every ```calc block is lines for `lamp calc`, each followed by its answer.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "experiments/calc.hpp"

namespace lamp::experiments {
namespace {

struct Example {
  std::string line, answer;
};

std::vector<Example> examples(const std::filesystem::path& file) {
  std::vector<Example> found;
  std::ifstream in(file);
  bool inside = false, complete = true;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      REQUIRE(complete);
      inside = line == "```calc";
    } else if (inside && complete) {
      found.push_back({.line = line, .answer = {}});
      complete = false;
    } else if (inside) {
      found.back().answer = line;
      complete = true;
    }
  }
  return found;
}

}  // namespace

TEST_CASE("READMEs of core: the answers of their calc blocks", "[calc][readme]") {
  std::size_t count = 0;
  for (const auto& folder : std::filesystem::directory_iterator(LAMP_SOURCE_DIR "/core")) {
    for (const Example& example : examples(folder.path() / "README.md")) {
      INFO(folder.path() << ": " << example.line);
      CHECK(calc_line(example.line).json == example.answer);
      ++count;
    }
  }
  CHECK(count >= 17);
}

}  // namespace lamp::experiments
