// Merge: every value at its place (the oracle computes the place on its own), what is missing is
// NaN and pending, and a mismatch is an error that names the shard and leaves the earlier result
// alone.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <thread>

#include "core/record/hdf5.hpp"
#include "core/record/merge.hpp"
#include "core/record/stored_file.hpp"
#include "core/record/summary.hpp"
#include "tests/core/record/samples.hpp"
#include "tests/support/bits.hpp"

using namespace lamp;
using namespace lamp::record;
using record::test::Folder;
using record::test::sample_cells;
using record::test::sample_plan;
using record::test::sample_shard;
using record::test::slurp;

namespace {

constexpr std::size_t sequences = 4, cells = 12;  // of the sample plan

template <class T>
std::vector<T> read(const std::filesystem::path& file, const std::string& path) {
  const auto lock = hdf5::use_library();
  const hdf5::Handle opened = hdf5::open_file(file);
  const hdf5::Handle dataset = hdf5::open_dataset(opened, path);
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose, "a dataspace");
  std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  hdf5::check(H5Dread(dataset, hdf5::memory_type(Values(std::vector<T>{})), H5S_ALL, H5S_ALL,
                      H5P_DEFAULT, values.data()),
              "read");
  return values;
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                std::filesystem::directory_iterator()));
}

/// Publishes the shards of the plan with the given names.
void publish_all(const Folder& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    REQUIRE(publish_shard(folder.path / (name + ".h5"), sample_shard(name, sample_cells())).ok());
}

}  // namespace

TEST_CASE("merge: every value is at its place", "[record]") {
  const Folder folder;
  const MergePlan plan = sample_plan(folder.path);
  const std::vector<std::string> names{"prose0", "prose1", "code0", "code1"};
  for (const std::string& name : names) {
    std::vector<std::string> order = sample_cells();
    std::reverse(order.begin(), order.end());  // cells are found by identity, not by place
    order.insert(order.begin() + 3, "not in the grid");
    REQUIRE(publish_shard(folder.path / (name + ".h5"), sample_shard(name, order)).ok());
  }
  const auto out = folder.path / "result.h5";
  const Result<MergeSummary> summary = merge(plan, out);
  REQUIRE(summary.ok());
  CHECK(summary->done == sequences * cells);
  CHECK(summary->failed == 0);
  CHECK(summary->pending == 0);
  CHECK(read<std::uint8_t>(out, "/metrics/status") ==
        std::vector<std::uint8_t>(sequences * cells, 1));

  const auto kl_position = read<double>(out, "/metrics/kl_position");
  const auto bins = read<std::uint64_t>(out, "/errors/scores/forward_bins");
  const auto sets = read<std::uint32_t>(out, "/truth/local/min_set");
  const auto tokens = read<std::int64_t>(out, "/reference/tokens");
  constexpr std::size_t positions = record::test::positions,
                        inner_bins = record::test::layers * record::test::bins;
  REQUIRE(kl_position.size() == sequences * cells * positions);
  REQUIRE(sets.size() == sequences * (cells / 3) * positions);
  std::size_t wrong = 0;
  for (std::size_t s = 0; s < sequences; ++s) {
    const Shard shard = sample_shard(names[s], sample_cells());
    for (std::size_t c = 0; c < cells; ++c) {
      const auto& values = shard.cells[c].values;
      const auto row = std::span(kl_position).subspan((s * cells + c) * positions, positions);
      if (!lamp::test::same_bits(row, std::get<std::vector<double>>(values[1]))) ++wrong;
      if (std::memcmp(&bins[(s * cells + c) * inner_bins], bytes(values[3]).data(),
                      bytes(values[3]).size()) != 0)
        ++wrong;
      // constant over tau, the last axis of three points: the first of each three cells
      if (c % 3 == 0 && std::memcmp(&sets[(s * cells + c) / 3 * positions], bytes(values[4]).data(),
                                    bytes(values[4]).size()) != 0)
        ++wrong;
    }
    if (std::memcmp(&tokens[s * positions], bytes(shard.reference[0]).data(),
                    bytes(shard.reference[0]).size()) != 0)
      ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(files_in(folder.path) == 5);  // nothing temporary is left
}

TEST_CASE("merge: what was not computed is NaN, -1, 0 and pending or failed", "[record]") {
  const Folder folder;
  const MergePlan plan = sample_plan(folder.path);
  publish_all(folder, {"prose1"});
  Shard shard = sample_shard("prose0", sample_cells());
  shard.cells[7].status = CellStatus::failed;  // has values, which do not count
  shard.cells[6].values[4] =
      std::vector<std::uint32_t>{};  // not recorded at tau = 2.0, but at 1.1, that of cell 8
  shard.cells[5].values[1] = std::vector<double>{};  // one quantity not recorded
  shard.cells.erase(shard.cells.begin() + 2);
  REQUIRE(publish_shard(plan.shards[0], shard).ok());
  const auto out = folder.path / "result.h5";
  const Result<MergeSummary> summary = merge(plan, out);
  REQUIRE(summary.ok());
  CHECK(summary->done == 22);
  CHECK(summary->failed == 1);
  CHECK(summary->pending == 25);
  std::vector<std::uint8_t> expected(48, 0);
  std::fill_n(expected.begin(), 24, std::uint8_t{1});
  expected[2] = 0, expected[7] = 2;
  CHECK(read<std::uint8_t>(out, "/metrics/status") == expected);
  CHECK(read<std::uint8_t>(out, "/reference/status") == std::vector<std::uint8_t>{1, 1, 0, 0});

  const auto kl = read<double>(out, "/metrics/kl");
  const auto kl_position = read<double>(out, "/metrics/kl_position");
  const auto bins = read<std::uint64_t>(out, "/errors/scores/forward_bins");
  for (std::size_t c = 0; c < 48; ++c) {
    INFO(c);
    CHECK(std::isnan(kl[c]) == (expected[c] != 1));
    CHECK(std::isnan(kl_position[c * 5]) == (expected[c] != 1 || c == 5));
    if (expected[c] != 1)
      CHECK(std::all_of(&bins[c * 8], &bins[c * 8] + 8, [](std::uint64_t x) { return x == 0; }));
  }
  const auto tokens = read<std::int64_t>(out, "/reference/tokens");
  for (std::size_t i = 0; i < tokens.size(); ++i) CHECK((tokens[i] == -1) == (i / 5 >= 2));
  const auto sets = read<std::uint32_t>(out, "/truth/local/min_set");
  const Shard whole = sample_shard("prose0", sample_cells());
  CHECK(std::memcmp(&sets[2 * 5], bytes(whole.cells[8].values[4]).data(),
                    5 * sizeof(std::uint32_t)) == 0);
}

TEST_CASE("merge: the shards of variants meet in one grid, and references have their axes",
          "[record]") {
  const Folder folder;
  MergePlan plan =
      sample_plan(folder.path);  // mu (2), plan (2), tau (3): plan tells variants apart
  const std::vector<std::string> names{"prose0", "prose1", "code0", "code1"};
  const std::vector<std::string> of_shard{"22.0", "21.5", "21.1", "42.0", "41.5", "41.1"};
  plan.reference_axes = {"plan.scores"};
  plan.shards.clear(), plan.sequence_ids.clear();
  for (std::size_t point = 0; point < cells; ++point) {
    plan.variants.push_back(point / 3 % 2);
    plan.cell_ids[point] = record::test::named(of_shard[point / 6 * 3 + point % 3]);  // in both
  }
  const auto shard = [&](std::size_t s, std::size_t v) {
    return sample_shard(names[s] + (v == 0 ? "low" : "high"), of_shard);
  };
  for (std::size_t s = 0; s < sequences; ++s)
    for (std::size_t v = 0; v < 2; ++v) {
      plan.shards.push_back(folder.path / (names[s] + std::to_string(v)));
      plan.sequence_ids.push_back(shard(s, v).sequence_id);
      if (s != 1 || v != 1) REQUIRE(publish_shard(plan.shards.back(), shard(s, v)).ok());
    }
  const auto out = folder.path / "result.h5";
  const Result<MergeSummary> summary = merge(plan, out);
  REQUIRE(summary.ok());
  CHECK(summary->done == sequences * cells - 6);
  CHECK(summary->pending == 6);
  constexpr std::size_t positions = record::test::positions;
  const auto kl = read<double>(out, "/metrics/kl_position");
  const auto entropy = read<double>(out, "/reference/cross_entropy_position");
  const auto status = read<std::uint8_t>(out, "/metrics/status"),
             reference_status = read<std::uint8_t>(out, "/reference/status");
  REQUIRE(kl.size() == sequences * cells * positions);
  REQUIRE(entropy.size() == sequences * 2 * positions);
  for (std::size_t s = 0; s < sequences; ++s) {
    for (std::size_t v = 0; v < 2; ++v) {
      const bool there = s != 1 || v != 1;
      CHECK(reference_status[s * 2 + v] == (there ? 1 : 0));
      const auto row = std::span(entropy).subspan((s * 2 + v) * positions, positions);
      CHECK(lamp::test::same_bits(row, std::get<std::vector<double>>(shard(s, v).reference[1])) ==
            there);
      CHECK(std::isnan(row[0]) == !there);
    }
    for (std::size_t point = 0; point < cells; ++point) {
      const std::size_t v = point / 3 % 2, at = point / 6 * 3 + point % 3;
      const bool there = s != 1 || v != 1;
      CHECK(status[s * cells + point] == (there ? 1 : 0));
      const auto row = std::span(kl).subspan((s * cells + point) * positions, positions);
      const Shard expected = shard(s, v);
      CHECK(lamp::test::same_bits(
                row, std::get<std::vector<double>>(expected.cells[at].values[1])) == there);
      CHECK(std::isnan(row[0]) == !there);
    }
  }
}

TEST_CASE("merge: no shard at all gives a result that says so", "[record]") {
  const Folder folder;
  const Result<MergeSummary> summary = merge(sample_plan(folder.path), folder.path / "result.h5");
  REQUIRE(summary.ok());
  CHECK(summary->pending == 48);
  CHECK(read<std::uint8_t>(folder.path / "result.h5", "/metrics/status") ==
        std::vector<std::uint8_t>(48, 0));
}

TEST_CASE("merge: one cell, one sequence, no grid axes", "[record]") {
  const Folder folder;
  MergePlan plan = sample_plan(folder.path);
  plan.sequence_axes = {{"sequence", std::vector<std::int64_t>{0}}};
  plan.grid_axes = {};
  plan.cell_ids.resize(1), plan.shards.resize(1), plan.sequence_ids.resize(1);
  publish_all(folder, {"prose0"});
  const Result<MergeSummary> summary = merge(plan, folder.path / "result.h5");
  REQUIRE(summary.ok());
  CHECK(summary->done == 1);
  CHECK(read<double>(folder.path / "result.h5", "/metrics/kl_position") ==
        std::get<std::vector<double>>(sample_shard("prose0", sample_cells()).cells[0].values[1]));
}

TEST_CASE("merge: what no single sequence has is over texts and grid points", "[record]") {
  const Folder folder;
  MergePlan plan = sample_plan(folder.path);
  const auto ramp = [](std::size_t n) {
    std::vector<double> values(n);
    std::iota(values.begin(), values.end(), 0.5);
    return values;
  };
  constexpr std::size_t texts = 2;
  plan.of_points = {
      {{"/stop/mean", {}, {}, "nat", "mean over sequences"}, ramp(texts * cells)},
      {{"/stop/ends", {"end"}, {2}, "nat", "ends of its interval"}, ramp(texts * cells * 2)}};
  const auto out = folder.path / "result.h5";
  publish_all(folder, {"prose0", "code1"});
  REQUIRE(merge(plan, out).ok());
  CHECK(read<double>(out, "/stop/mean") == ramp(texts * cells));
  CHECK(read<double>(out, "/stop/ends") == ramp(texts * cells * 2));
  CHECK(read<double>(out, "/stop/lamp.scores.tau") == std::vector{2.0, 1.5, 1.1});

  MergePlan single = plan;  // no text, no grid: one number
  single.sequence_axes.erase(single.sequence_axes.begin());
  single.grid_axes.clear();
  single.cell_ids.resize(1);
  single.shards.resize(2), single.sequence_ids.resize(2);
  single.of_points = {{{"/stop/mean", {}, {}, "nat", "mean over sequences"}, ramp(1)}};
  REQUIRE(merge(single, out).ok());
  CHECK(read<double>(out, "/stop/mean") == ramp(1));
}

TEST_CASE("merge: texts are read off the cells of a sequence", "[record]") {
  const Folder folder;
  MergePlan plan = sample_plan(folder.path);
  Shard shard = sample_shard("prose0", sample_cells());
  shard.quantities.push_back({"/said/ids", {"step"}, {2}, "1", "token ids"});
  shard.quantities.back().prototype = std::vector<std::int64_t>{};
  std::int64_t next = 0;
  for (CellRecord& cell : shard.cells) {
    cell.values.emplace_back(std::vector<std::int64_t>{next, next + 1});
    next += 100;
  }
  shard.cells[3].values.back() = std::vector<std::int64_t>{};  // not recorded
  shard.cells[5].status = CellStatus::failed;
  REQUIRE(publish_shard(plan.shards[1], shard).ok());
  plan.shards = {plan.shards[0], plan.shards[1]};
  plan.sequence_axes = {{"text", std::vector<std::string>{"prose"}},
                        {"sequence", std::vector<std::int64_t>{0, 1}}};
  plan.sequence_ids = {record::test::named("missing"), record::test::named("prose0")};
  const auto spelled = [](std::span<const std::int64_t> ids) {
    std::string text = "\u00fc";
    for (const std::int64_t id : ids) text += std::to_string(id) + ' ';
    return text;
  };
  plan.texts = {{"/said/words", "ids in words", "/said/ids", spelled},
                {"/said/tokens", "tokens in words", "/reference/tokens", spelled},
                {"/said/nothing", "of what no shard has", "/said/nowhere", spelled}};
  const auto out = folder.path / "result.h5";
  REQUIRE(merge(plan, out).ok());
  const auto texts = [&](const char* path) {
    const auto lock = hdf5::use_library();
    return hdf5::read_text_dataset(hdf5::open_file(out), path);
  };
  std::vector<std::string> expected(24);
  for (std::size_t cell = 0; cell < 12; ++cell)
    if (cell != 3 && cell != 5)
      expected[12 + cell] =
          "\u00fc" + std::to_string(100 * cell) + ' ' + std::to_string(100 * cell + 1) + ' ';
  CHECK(texts("/said/words") == expected);
  CHECK(texts("/said/tokens") ==
        std::vector<std::string>{"",
                                 spelled(std::get<std::vector<std::int64_t>>(shard.reference[0]))});
  const Result<StoredFile> stored = StoredFile::open(out);
  REQUIRE(stored.ok());
  const Result<FileSummary> summary = summarise(*stored);
  REQUIRE(summary.ok());
  std::size_t found = 0;
  for (const DatasetSummary& dataset : summary->datasets) {
    CHECK(dataset.path != "/said/nothing");
    if (dataset.path != "/said/words") continue;
    ++found;
    CHECK(dataset.type == "text");
    CHECK(dataset.dims == std::vector<std::string>{"text", "sequence", "arithmetic.low.mu",
                                                   "plan.scores", "lamp.scores.tau"});
  }
  CHECK(found == 1);
  const std::string first = slurp(out);
  REQUIRE(merge(plan, out).ok());
  CHECK(slurp(out) == first);
}

TEST_CASE("merge: equal plans give equal bytes, and provenance changes only its own", "[record]") {
  const Folder folder;
  MergePlan plan = sample_plan(folder.path);
  publish_all(folder, {"prose0", "prose1", "code1"});
  const auto out = folder.path / "result.h5";
  REQUIRE(merge(plan, out).ok());
  const std::string first = slurp(out);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  REQUIRE(merge(plan, out).ok());
  CHECK((slurp(out) == first));
  plan.provenance[1].second = "away";  // as long as "here"
  REQUIRE(merge(plan, out).ok());
  const std::string other = slurp(out);
  CHECK((other != first));
  REQUIRE(other.size() == first.size());
  const auto differs_at =
      std::mismatch(first.begin(), first.end(), other.begin()).first - first.begin();
  CHECK(first.substr(static_cast<std::size_t>(differs_at), 4) == "here");
  const std::size_t after = static_cast<std::size_t>(differs_at) + 4,
                    trailer = first.size() - result_trailer({}).size();
  CHECK((first.substr(after, trailer - after) == other.substr(after, trailer - after)));
}

TEST_CASE("merge: shards of other quantities are named, the earlier result stays", "[record]") {
  const Folder folder;
  MergePlan plan = sample_plan(folder.path);
  publish_all(folder, {"prose0", "prose1"});
  const auto out = folder.path / "result.h5";
  REQUIRE(merge(plan, out).ok());
  const std::string before = slurp(out);
  const auto refused = [&](const std::string& why) {
    const Result<MergeSummary> summary = merge(plan, out);
    REQUIRE_FALSE(summary.ok());
    INFO(summary.error().message);
    CHECK(summary.error().code == ExitCode::bad_data);
    CHECK(summary.error().message.find(plan.shards[1].string() + ": ") == 0);
    CHECK(summary.error().message.find(why) != std::string::npos);
    CHECK((slurp(out) == before));
    CHECK(files_in(folder.path) == 3);
  };
  Shard shard = sample_shard("prose1", sample_cells());
  const auto with = [&](auto&& change) {
    Shard changed = shard;
    change(changed);
    REQUIRE(publish_shard(plan.shards[1], changed).ok());
  };
  with([](Shard& s) { s.quantities[0].units = "bit"; });
  refused("/metrics/kl");
  with([](Shard& s) {
    s.quantities.pop_back(),
        std::for_each(s.cells.begin(), s.cells.end(), [](CellRecord& c) { c.values.pop_back(); });
  });
  refused("5 quantities");
  with([](Shard& s) {
    s.reference_quantities[1].shape = {7};
    s.reference[1] = std::vector<double>(7);
  });
  refused("/reference/cross_entropy_position");
  with([](Shard& s) {
    s.quantities[3].shape = {2, 5};
    for (CellRecord& cell : s.cells) cell.values[3] = std::vector<std::uint64_t>(10);
  });
  refused("bin has 5 points");
  with([](Shard& s) { s.quantities[0].path = "/metrics/status"; });
  refused("written by merge");
}

TEST_CASE("merge: damaged shards and those that do not belong are left out and named", "[record]") {
  const Folder folder;
  MergePlan plan = sample_plan(folder.path);
  publish_all(folder, {"prose0"});
  const auto out = folder.path / "result.h5";
  REQUIRE(merge(plan, out).ok());
  const std::string without = slurp(out);
  const auto left_out = [&](const std::string& why) {
    const Result<MergeSummary> summary = merge(plan, out);
    REQUIRE(summary.ok());
    CHECK((slurp(out) == without));
    REQUIRE(summary->damaged.size() == 1);
    INFO(summary->damaged.front());
    CHECK(summary->damaged.front().starts_with(plan.shards[1].string() + ": "));
    CHECK(summary->damaged.front().find(why) != std::string::npos);
  };
  Shard shard = sample_shard("prose1", sample_cells());
  const auto publish = [&] { REQUIRE(publish_shard(plan.shards[1], shard).ok()); };
  shard.experiment[0] ^= 1, publish(), shard.experiment[0] ^= 1;
  left_out("another experiment");
  shard.sequence_id[0] ^= 1, publish(), shard.sequence_id[0] ^= 1;
  left_out("another sequence");
  publish();
  std::filesystem::resize_file(plan.shards[1], std::filesystem::file_size(plan.shards[1]) - 10);
  left_out("truncated or corrupted");
  publish();
  CHECK(merge(plan, out)->damaged.empty());
  CHECK((slurp(out) != without));
}

TEST_CASE("merge: cells of a sequence come from all of its files", "[record]") {
  const Folder folder, second, third;
  MergePlan plan = sample_plan(folder.path);
  plan.point_name = [](std::size_t point) { return "point " + std::to_string(point); };
  publish_all(folder, {"prose0", "prose1", "code0", "code1"});
  const auto out = folder.path / "result.h5";
  REQUIRE(merge(plan, out).ok());
  const std::string whole = slurp(out);

  for (const Folder* other : {&second, &third})
    plan.more_shards.push_back(sample_plan(other->path).shards);
  Shard shard = sample_shard("prose0", sample_cells()), rest = shard;
  rest.cells.erase(rest.cells.begin() + 1,
                   rest.cells.begin() + 4);  // both have cell 0 and the last 5
  shard.cells.erase(shard.cells.begin() + 4, shard.cells.begin() + 7);
  std::reverse(shard.cells.begin(), shard.cells.end());
  shard.cells.front().values[1] = std::vector<double>{};  // not recorded here, but in the third
  rest.cells.back().values[4] = std::vector<std::uint32_t>{};
  shard.cells[1].status = CellStatus::failed;
  const auto publish = [&] {
    REQUIRE(publish_shard(plan.more_shards[0][0], shard).ok());
    REQUIRE(publish_shard(plan.more_shards[1][0], rest).ok());
    return merge(plan, out);
  };
  std::filesystem::remove(plan.shards[0]);
  std::filesystem::rename(plan.shards[3], plan.more_shards[1][3]);
  Result<MergeSummary> summary = publish();
  REQUIRE(summary.ok());
  CHECK(summary->done == sequences * cells);
  CHECK((slurp(out) == whole));

  const auto conflict = [&](const std::string& what, const std::string& dataset) {
    summary = publish();
    REQUIRE_FALSE(summary.ok());
    INFO(summary.error().message);
    CHECK(summary.error().code == ExitCode::check_failed);
    for (const std::string& words : {plan.more_shards[0][0].string() + " and " +
                                         plan.more_shards[1][0].string() + ": the " + what,
                                     " in " + dataset + ";"})
      CHECK(summary.error().message.find(words) != std::string::npos);
    CHECK((slurp(out) == whole));
  };
  double& value = std::get<std::vector<double>>(rest.cells[0].values[1])[2];
  const double right = value;
  value = std::nextafter(value, 2.0);
  conflict("cell " + to_hex(rest.cells[0].id).substr(0, 12) + " (point 0)", "/metrics/kl_position");
  value = record::test::nan;
  conflict("cell", "/metrics/kl_position");
  value = right;
  std::get<std::vector<double>>(shard.reference[2])[0] += 1.0;
  conflict("reference", "/reference/cross_entropy");
  shard.reference = rest.reference;
  rest.experiment[0] ^= 1;  // left out, and with it the cells that no other file has
  summary = publish();
  REQUIRE(summary.ok());
  CHECK(summary->pending == 3);
  CHECK(summary->failed == 1);
  CHECK(summary->damaged.size() == 1);
}

TEST_CASE("merge: quantities that cannot share the scales of a group are refused", "[record]") {
  const Folder folder;
  const MergePlan plan = sample_plan(folder.path);
  const auto refused = [&](std::size_t quantity, auto&& change) {
    Shard shard = sample_shard("prose0", {});
    change(shard.quantities[quantity]);
    REQUIRE(publish_shard(plan.shards[0], shard).ok());
    const Result<MergeSummary> summary = merge(plan, folder.path / "result.h5");
    return !summary.ok() && summary.error().code == ExitCode::bad_data;
  };
  CHECK_FALSE(refused(2, [](Quantity&) {}));
  CHECK(refused(2, [](Quantity& q) { q.dims = {"layer", "position"}, q.shape = {2, 6}; }));
  CHECK(refused(2, [](Quantity& q) { q.dims = {"layer", "lamp.scores.tau"}; }));
  CHECK(refused(0, [](Quantity& q) { q.path = "/metrics/position"; }));
  CHECK(refused(0, [](Quantity& q) { q.path = "/metrics/sequence"; }));
}
