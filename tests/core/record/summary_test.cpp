// The summary of a file says what the plan and the shards that made it said.
#include "core/record/summary.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <string>

#include "tests/core/record/samples.hpp"

namespace lamp::record {
namespace {

Result<FileSummary> summarise(const std::filesystem::path& file) {
  const Result<StoredFile> stored = StoredFile::open(file);
  return stored ? record::summarise(*stored) : Result<FileSummary>(stored.error());
}

std::map<std::string, DatasetSummary> by_path(const FileSummary& summary) {
  std::map<std::string, DatasetSummary> found;
  for (const DatasetSummary& d : summary.datasets) found.emplace(d.path, d);
  return found;
}

}  // namespace

TEST_CASE("summary of a result: counts, datasets with their dimensions, provenance", "[record]") {
  const test::Folder folder;
  const MergePlan plan = test::sample_plan(folder.path);
  Shard shard = test::sample_shard("prose0", test::sample_cells());
  shard.cells.pop_back();
  shard.cells[3].status = CellStatus::failed;
  REQUIRE(publish_shard(plan.shards[0], shard));
  REQUIRE(merge(plan, folder.path / "result.h5"));

  const Result<FileSummary> summary = summarise(folder.path / "result.h5");
  REQUIRE(summary);
  CHECK(summary->kind == FileKind::result);
  CHECK(summary->experiment == to_hex(plan.experiment));
  CHECK(summary->failed == 1);
  CHECK(summary->done == test::sample_cells().size() - 2);
  CHECK(summary->pending == 3 * test::sample_cells().size() + 1);
  CHECK(summary->entry("host") == "here");
  CHECK(summary->entry("nothing").empty());
  CHECK(std::is_sorted(summary->provenance.begin(), summary->provenance.end()));
  CHECK(summary->provenance.size() == plan.provenance.size());

  const auto found = by_path(*summary);
  for (const Quantity& q : test::sample_quantities()) {
    INFO(q.path);
    REQUIRE(found.contains(q.path));
    const DatasetSummary& d = found.at(q.path);
    CHECK(d.units == q.units);
    CHECK(d.long_name == q.long_name);
    CHECK_FALSE(d.scale);
    CHECK(std::equal(q.dims.rbegin(), q.dims.rend(), d.dims.rbegin()));
    CHECK(std::equal(q.shape.rbegin(), q.shape.rend(), d.shape.rbegin()));
    CHECK(d.dims.front() == "text");
  }
  CHECK(found.at("/metrics/kl").dims == std::vector<std::string>{"text", "sequence",
                                                                 "arithmetic.low.mu", "plan.scores",
                                                                 "lamp.scores.tau"});
  CHECK(found.at("/metrics/kl").type == "float64");
  CHECK(found.at("/errors/scores/forward_bins").type == "uint64");
  CHECK(found.at("/metrics/text").scale);
  CHECK(found.at("/metrics/text").type == "text");
}

TEST_CASE("summary of a shard: verified first", "[record]") {
  const test::Folder folder;
  const std::filesystem::path file = folder.path / "s.h5";
  const Shard shard = test::sample_shard("prose0", {"a", "b"});
  REQUIRE(publish_shard(file, shard));
  const Result<FileSummary> summary = summarise(file);
  REQUIRE(summary);
  CHECK(summary->kind == FileKind::shard);
  CHECK(summary->sequence_id == to_hex(shard.sequence_id));
  CHECK(summary->done == 2);
  CHECK(by_path(*summary).at("/metrics/kl_position").dims ==
        std::vector<std::string>{"cell", "position"});

  std::fstream bytes(file, std::ios::binary | std::ios::in | std::ios::out);
  bytes.seekp(2000);
  bytes.put('\x55').put('\x2a');
  bytes.close();
  const Result<FileSummary> damaged = summarise(file);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == ExitCode::bad_data);
}

TEST_CASE("summary of what is no file of results: an error that names it", "[record]") {
  const test::Folder folder;
  const auto code = [](const std::filesystem::path& file) {
    const Result<FileSummary> summary = summarise(file);
    REQUIRE_FALSE(summary);
    CHECK(summary.error().message.starts_with(file.string()));
    return summary.error().code;
  };
  CHECK(code(folder.path / "none") == ExitCode::missing_input);
  CHECK(code(folder.path) == ExitCode::bad_data);
  for (const std::string& text : {std::string(), std::string("lamp"),
                                  std::string("\x89HDF\r\n\x1a\nand then something else", 31)}) {
    std::ofstream(folder.path / "x", std::ios::binary) << text;
    CHECK(code(folder.path / "x") == ExitCode::bad_data);
  }
}

}  // namespace lamp::record
