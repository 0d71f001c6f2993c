// A bar stays on one line of a terminal, however narrow. Oracle: its length, counted here.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "experiments/run/bar.hpp"

using lamp::experiments::bar_line;

namespace {

/// Columns at least: two of every character that is not ASCII.
std::size_t columns_taken(const std::string& line) {
  std::size_t columns = 0;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    columns += byte < 0x80 ? 1 : byte >= 0xC0 ? 2 : 0;
  }
  return columns;
}

const std::vector<std::string> words{"12345/40320 cells", "12 min 05 s left", "1 min 05 s a cell"};

}  // namespace

TEST_CASE("bar_line: shorter than the terminal at every width", "[progress]") {
  for (const std::string& where :
       {std::string(), std::string("text prose, sequence 3"),
        std::string("text \xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE6\x97\xA5\xE6\x9C\xAC, 1")})
    for (const double share : {-1.0, 0.0, 0.31, 1.0})
      for (std::size_t columns = 1; columns <= 200; ++columns) {
        INFO(columns << ": " << bar_line(share, words, where, columns));
        CHECK(columns_taken(bar_line(share, words, where, columns)) < columns);
      }
}

TEST_CASE("bar_line: what is left at some widths", "[progress]") {
  const std::string where = "text prose, sequence 3";
  CHECK(bar_line(0.25, words, where, 120) ==
        "[######..................] 12345/40320 cells, 12 min 05 s left, 1 min 05 s a cell  text "
        "prose, sequence 3");
  CHECK(bar_line(0.25, words, where, 100) ==
        "[######..................] 12345/40320 cells, 12 min 05 s left, 1 min 05 s a cell  text "
        "prose, sequ");
  CHECK(bar_line(0.25, words, where, 80) ==
        "[###.........] 12345/40320 cells, 12 min 05 s left, 1 min 05 s a cell");
  CHECK(bar_line(0.25, {"144/2304 cells", "12 min 05 s left", "3.1 cells/s"}, where, 50) ==
        "144/2304 cells, 12 min 05 s left, 3.1 cells/s");
  CHECK(bar_line(0.25, {"144/2304 cells", "12 min 05 s left"}, where, 50) ==
        "[###.........] 144/2304 cells, 12 min 05 s left");
  CHECK(bar_line(0.25, words, where, 50) == "12345/40320 cells, 12 min 05 s left");
  CHECK(bar_line(0.25, words, where, 20) == "12345/40320 cells");
  CHECK(bar_line(0.25, words, where, 10) == "12345/403");
  CHECK(bar_line(1.0, {"3/3 cells"}, where, 50) == "[########################] 3/3 cells");
}
