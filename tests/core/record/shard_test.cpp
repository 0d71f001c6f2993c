// Shards: what is read is what was written, to the bit; equal contents give equal bytes; no damage
// goes unnoticed.
#include <sys/stat.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/record/hdf5.hpp"
#include "core/record/shard.hpp"
#include "tests/core/record/samples.hpp"
#include "tests/support/bits.hpp"

using namespace lamp;
using namespace lamp::record;
using record::test::Folder;
using record::test::sample_cells;
using record::test::sample_shard;
using record::test::slurp;
using record::test::spill;

namespace {

/// Field by field, numbers by their bits with all NaN equal: an oracle that does not use
/// content_hash.
bool same(const Values& a, const Values& b) {
  if (a.index() != b.index()) return false;
  if (const auto* x = std::get_if<std::vector<double>>(&a))
    return lamp::test::same_bits(*x, std::get<std::vector<double>>(b));
  return a == b;
}

bool same(const std::vector<Values>& a, const std::vector<Values>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Values& x, const Values& y) { return same(x, y); });
}

bool same(const Shard& a, const Shard& b) {
  const auto same_cell = [](const CellRecord& x, const CellRecord& y) {
    return x.id == y.id && x.status == y.status && same(x.values, y.values);
  };
  return a.experiment == b.experiment && a.sequence_id == b.sequence_id &&
         a.quantities == b.quantities && a.reference_quantities == b.reference_quantities &&
         same(a.reference, b.reference) &&
         std::equal(a.cells.begin(), a.cells.end(), b.cells.begin(), b.cells.end(), same_cell);
}

/// Every special value, an absent value, a failed cell without values.
Shard sample() {
  Shard shard = sample_shard("prose0", sample_cells());
  for (std::size_t i = 0; i < 5; ++i) {
    std::get<std::vector<double>>(shard.cells[0].values[1])[i] = lamp::test::special_values[i];
    std::get<std::vector<double>>(shard.cells[2].values[1])[i] = lamp::test::special_values[i + 5];
  }
  shard.cells[2].values[0] = std::vector<double>{-record::test::nan};
  std::get<std::vector<std::uint64_t>>(shard.cells[0].values[3])[0] = ~std::uint64_t{0};
  shard.cells[3].values[1] = std::vector<double>{};
  shard.cells[3].values[4] = std::vector<std::uint32_t>{};
  shard.cells[4].status = CellStatus::failed;
  for (Values& v : shard.cells[4].values) v = zeros_like(v, 0);
  return shard;
}

}  // namespace

TEST_CASE("shard: what is read is what was written", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  const Shard shard = sample();
  REQUIRE(publish_shard(file, shard).ok());
  const Result<Shard> found = read_shard(file);
  REQUIRE(found.ok());
  CHECK(same(*found, shard));
  CHECK(std::get<std::vector<double>>(found->cells[3].values[1]).empty());
  CHECK(content_hash(*found) == content_hash(shard));

  SECTION("negative control: the checker sees -0 for +0, one ulp, a NaN, an absent value") {
    Shard other = *found;
    double& x = std::get<std::vector<double>>(other.cells[0].values[1])[0];
    x = lamp::test::off_by_one_bit(x);
    CHECK_FALSE(same(other, shard));
    CHECK(content_hash(other) != content_hash(shard));
    other = *found;
    std::get<std::vector<double>>(other.cells[5].values[2])[3] = record::test::nan;
    CHECK_FALSE(same(other, shard));
    CHECK(content_hash(other) != content_hash(shard));
    other = *found;
    other.cells[0].values[0] = std::vector<double>{};
    CHECK_FALSE(same(other, shard));
    CHECK(content_hash(other) != content_hash(shard));
  }
  SECTION("published again, with fewer cells, it is replaced") {
    const Shard fewer = sample_shard("prose0", {"a"});
    REQUIRE(publish_shard(file, fewer).ok());
    CHECK(same(*read_shard(file), fewer));
  }
}

TEST_CASE("shard: without cells, quantities or positions", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  Shard shard = sample_shard("prose0", {});
  REQUIRE(publish_shard(file, shard).ok());
  CHECK(same(*read_shard(file), shard));
  shard.quantities[1].shape = {0};
  shard.cells.push_back({record::test::named("a"), CellStatus::done, {}});
  for (const Quantity& q : shard.quantities)
    shard.cells[0].values.push_back(zeros_like(q.prototype, elements(q)));
  REQUIRE(publish_shard(file, shard).ok());
  CHECK(same(*read_shard(file), shard));
  REQUIRE(publish_shard(file, Shard{}).ok());
  CHECK(same(*read_shard(file), Shard{}));
}

TEST_CASE("shard: large cells are split into chunks, many small ones share them", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  Shard shard{record::test::named("e"), record::test::named("s"), {}, {}, {}, {}};
  shard.quantities = {{"/metrics/small", {}, {}, "1", "small"},
                      {"/activations/large/run", {"query", "component"}, {300, 700}, "1", "large"}};
  shard.quantities.push_back({"/metrics/row", {"position"}, {256}, "nat", "row"});
  lamp::test::Random random(1);
  for (int i = 0; i < 70; ++i) {
    CellRecord cell{record::test::named(std::to_string(i)), CellStatus::done, {}};
    for (const Quantity& q : shard.quantities)
      cell.values.push_back(q.path.starts_with("/act") && i % 35 != 3
                                ? zeros_like(q.prototype, 0)
                                : record::test::random_values(q, random));
    shard.cells.push_back(std::move(cell));
  }
  REQUIRE(publish_shard(file, shard).ok());
  CHECK(same(*read_shard(file), shard));
  CHECK(std::filesystem::file_size(file) <
        2 * 300 * 700 * 8 + 70 * 257 * 8 + 200'000);  // absent values take no room
}

TEST_CASE("shard: equal contents give equal bytes", "[record]") {
  const Shard shard = sample();
  const auto first = shard_bytes(shard);
  REQUIRE(first.ok());
  std::this_thread::sleep_for(
      std::chrono::milliseconds(1100));  // HDF5's times have a resolution of one second
  const auto second = shard_bytes(shard);
  REQUIRE(second.ok());
  CHECK((*first == *second));

  const Folder folder;  // and so does what was read back, and a NaN of another sign
  REQUIRE(publish(folder.path / "s.h5", *first).ok());
  Shard again = *read_shard(folder.path / "s.h5");
  again.cells[2].values[0] = std::vector<double>{std::copysign(record::test::nan, 1.0)};
  CHECK((*shard_bytes(again) == *first));
  again.cells[0].values[0] = std::vector<double>{0.25};
  CHECK((*shard_bytes(again) != *first));
}

TEST_CASE("shard: every flipped bit and every truncation on a stride is found", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  REQUIRE(publish_shard(file, sample_shard("prose0", {"a", "b"})).ok());
  const std::string good = slurp(file);
  REQUIRE(read_shard(file).ok());
  int unnoticed = 0, tried = 0;
  const auto damaged = [&](const std::string& bytes) {
    spill(file, bytes);
    const Result<Shard> found = read_shard(file);
    ++tried;
    if (found.ok() || found.error().code != ExitCode::bad_data ||
        found.error().message.find("s.h5: ") == std::string::npos ||
        found.error().message.find('\n') != std::string::npos)
      ++unnoticed;
  };
  for (std::size_t at = 0; at < good.size(); at += at < 700 ? 1 : 193) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    damaged(bytes);
  }
  for (std::size_t size = 0; size < good.size(); size += size < 700 ? 5 : 431)
    damaged(good.substr(0, size));
  damaged(good.substr(0, good.size() - 1));
  damaged(good + '\0');
  damaged(good + good);
  CHECK(unnoticed == 0);
  CHECK(tried > 1000);
}

TEST_CASE("shard: foreign and missing files are named errors", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  const auto code = [&] {
    const Result<Shard> found = read_shard(file);
    REQUIRE_FALSE(found.ok());
    CHECK(found.error().message.find(file.string()) != std::string::npos);
    return found.error().code;
  };
  CHECK(code() == ExitCode::missing_input);
  spill(file, std::string(2000, 'x'));
  CHECK(code() == ExitCode::bad_data);
  spill(file,
        slurp(LAMP_SOURCE_DIR "/tests/golden/gpt2-small-outputs/outputs.h5"));  // HDF5, not ours
  CHECK(code() == ExitCode::bad_data);
  REQUIRE(publish_shard(file, sample()).ok());
  std::string bytes = slurp(file);
  bytes.replace(bytes.find("schema 2"), 8, "schema 3");
  spill(file, bytes);
  CHECK(code() == ExitCode::bad_data);
  CHECK(read_shard(file).error().message.find(
            "a shard of schema version 3; this lamp reads 1 to 2") != std::string::npos);
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  CHECK(code() == ExitCode::bad_data);
  std::filesystem::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  CHECK(code() == ExitCode::bad_data);  // and does not wait for a writer
}

TEST_CASE("shard: token ids of schema 1 are read as those of today", "[record]") {
  constexpr double none = record::test::nan;
  const auto with = [](const std::string& words, const Values& run, const Values& reference,
                       const Values& tokens) {
    const auto ids = [&](const std::string& name, const Values& type) {
      Quantity q{"/continuations/" + name, {"position"}, {3}, "1", words};
      q.prototype = zeros_like(type, 0);
      return q;
    };
    Shard shard = sample();
    shard.quantities.push_back(ids("run", run));
    for (CellRecord& cell : shard.cells)
      cell.values.push_back(cell.status == CellStatus::done ? run : zeros_like(run, 0));
    shard.reference_quantities[0].prototype = zeros_like(tokens, 0);
    shard.reference[0] = tokens;
    shard.reference_quantities.push_back(ids("reference", reference));
    shard.reference.push_back(reference);
    return shard;
  };
  const auto earlier = [&](const Values& run) {
    return with("ids; NaN from where a logit was NaN", run,
                std::vector<double>{4294967295.0, 0.0, none},
                std::vector<std::uint32_t>{0, 1, 2, 3, 4294967295U});
  };
  const Folder folder;
  const auto file = folder.path / "s.h5";
  const auto read_as_schema_1 = [&](const Shard& shard) {
    REQUIRE(publish_shard(file, shard).ok());
    {
      const auto lock = hdf5::use_library();
      const hdf5::Handle opened(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "open");
      H5Adelete(opened, "schema_version");
      hdf5::write_number(opened, "schema_version", 1);
    }
    const std::string rest = slurp(file).substr(shard_header_size);
    const auto header = shard_header(sha256(rest), 1);
    spill(file, std::string(header.begin(), header.end()) + rest);
    return read_shard(file);
  };
  const Result<Shard> found = read_as_schema_1(earlier(std::vector<double>{5.0, none, none}));
  REQUIRE(found.ok());
  CHECK(
      same(*found, with("ids; -1 from where a logit was NaN", std::vector<std::int64_t>{5, -1, -1},
                        std::vector<std::int64_t>{4294967295, 0, -1},
                        std::vector<std::int64_t>{0, 1, 2, 3, 4294967295})));
  for (const double no_id : {0.5, -1.0, 4294967296.0, 1e300, -HUGE_VAL}) {
    const Result<Shard> refused = read_as_schema_1(earlier(std::vector<double>{5.0, no_id, 5.0}));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ExitCode::bad_data);
    CHECK(refused.error().message.find("/continuations/run holds something that is no token id") !=
          std::string::npos);
  }
}

TEST_CASE("shard: several threads publish and read at once", "[record]") {
  const Folder folder;
  std::array<bool, 4> right{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&, t] {
      const Shard shard = sample_shard("sequence" + std::to_string(t), sample_cells());
      const auto file = folder.path / (std::to_string(t) + ".h5");
      right[t] = true;
      for (int i = 0; i < 5; ++i) {
        const bool published = publish_shard(file, shard).ok();
        const Result<Shard> found = read_shard(file);
        right[t] = right[t] && published && found.ok() && same(*found, shard);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(right == std::array{true, true, true, true});
}

TEST_CASE("shard: contents that cannot be stored are named", "[record]") {
  const Shard good = sample();
  REQUIRE(defect(good).empty());
  const auto spoilt = [&](auto&& change) {
    Shard shard = good;
    change(shard);
    return !defect(shard).empty();
  };
  CHECK(spoilt([](Shard& s) { s.cells[0].values.pop_back(); }));
  CHECK(spoilt([](Shard& s) { s.cells[0].values[1] = std::vector<double>(4); }));
  CHECK(spoilt([](Shard& s) { s.cells[0].values[1] = std::vector<std::uint32_t>(5); }));
  CHECK(spoilt([](Shard& s) { s.cells[0].id = s.cells[1].id; }));
  CHECK(spoilt([](Shard& s) { s.cells[0].status = CellStatus::pending; }));
  CHECK(spoilt([](Shard& s) { s.quantities[0].path = s.quantities[1].path; }));
  CHECK(spoilt([](Shard& s) { s.quantities[0].path = "/kl"; }));
  CHECK(spoilt([](Shard& s) { s.quantities[0].path = "/cells/id"; }));
  CHECK(spoilt([](Shard& s) { s.quantities[0].units.clear(); }));
  CHECK(spoilt([](Shard& s) { s.quantities[1].dims.clear(); }));
  CHECK(spoilt([](Shard& s) { s.quantities[1].dims = {"two words"}; }));
  CHECK(spoilt([](Shard& s) {
    s.quantities[2].shape = {std::size_t{1} << 40, std::size_t{1} << 40};
  }));
  CHECK(spoilt([](Shard& s) { s.quantities[5].flag_meanings[0] = "not tried"; }));
  CHECK(spoilt([](Shard& s) { s.reference.pop_back(); }));
  CHECK(spoilt([](Shard& s) { s.reference[0] = zeros_like(s.reference[0], 0); }));
}
