// Files of strangers: whatever they are made of, they are one error, and nothing of another file is
// read. And what befalls the child that reads a file.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/base/sanitized.hpp"
#include "core/record/apart.hpp"
#include "core/record/merge.hpp"
#include "core/record/strict.hpp"
#include "core/record/summary.hpp"
#include "tests/core/record/samples.hpp"

namespace lamp::record {
namespace {

using test::Folder;
using test::slurp;
using test::spill;

/// A result without its trailer, opened by HDF5 for `change`; then, where `mended`, the digest of
/// what it has become.
template <class Change>
std::filesystem::path result_with(const Folder& folder, bool mended, const Change& change) {
  const MergePlan plan = test::sample_plan(folder.path);
  std::filesystem::path file = folder.path / "result.h5";
  REQUIRE(publish_shard(plan.shards[0], test::sample_shard("prose0", test::sample_cells())).ok());
  REQUIRE(merge(plan, file).ok());
  {
    const auto lock = hdf5::use_library();
    const hdf5::Handle opened(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "open");
    change(opened);
  }
  if (mended) {
    std::string bytes = slurp(file);
    bytes += result_trailer(sha256(bytes));
    spill(file, bytes);
  }
  return file;
}

Result<FileSummary> summary_of(const std::filesystem::path& file) {
  const Result<StoredFile> stored = StoredFile::open(file);
  return stored ? summarise(*stored) : Result<FileSummary>(stored.error());
}

hid_t with_chunks(hsize_t size) {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, 1, &size);
  return properties;
}

void dataset(hid_t file, const char* name, std::vector<hsize_t> extent, hid_t type,
             hid_t properties) {
  const hid_t space = H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr);
  const hid_t made = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  REQUIRE(made >= 0);
  H5Dclose(made), H5Sclose(space);
  if (properties != H5P_DEFAULT) H5Pclose(properties);
}

}  // namespace

TEST_CASE("result: its last line is the digest of the bytes before", "[record]") {
  const Folder folder;
  const auto untouched = [](hid_t) {};
  const auto file = result_with(folder, true, untouched);
  CHECK(summary_of(file)->verified);
  const std::string good = slurp(file);
  int unnoticed = 0;
  for (std::size_t at = 8; at < good.size(); at += 397) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    spill(file, bytes);
    const Result<FileSummary> summary = summary_of(file);
    const bool in_trailer = at >= good.size() - result_trailer({}).size();
    if (summary ? summary->verified || !in_trailer : summary.error().code != ExitCode::bad_data)
      ++unnoticed;
  }
  CHECK(unnoticed == 0);
  spill(file, good.substr(0, good.size() - result_trailer({}).size()));
  REQUIRE(summary_of(file).ok());
  CHECK_FALSE(summary_of(file)->verified);
  spill(file, good + good);
  CHECK_FALSE(summary_of(file).ok());
  const std::string body = good.substr(0, good.size() - result_trailer({}).size());
  spill(file, body + result_trailer(sha256(body), 1));  // an earlier lamp's
  REQUIRE(summary_of(file).ok());
  CHECK(summary_of(file)->verified);
  spill(file, body + result_trailer(sha256(body), 3));
  REQUIRE_FALSE(summary_of(file).ok());
  CHECK(summary_of(file).error().message.find(
            "a result of schema version 3; this lamp reads 1 to 2") != std::string::npos);
}

TEST_CASE("files of strangers: links, other files, filters and sizes are refused", "[record]") {
  const bool mended = GENERATE(true, false);
  const Folder folder;
  const auto refused = [&](const char* words, const auto& change) {
    const auto file = result_with(folder, mended, change);
    const Result<FileSummary> summary = summary_of(file);
    REQUIRE_FALSE(summary.ok());
    INFO(summary.error().message);
    CHECK(summary.error().code == ExitCode::bad_data);
    CHECK(summary.error().message.starts_with(file.string() + ": "));
    CHECK(summary.error().message.find(words) != std::string::npos);
  };
  refused("link to another place, in another file", [](hid_t file) {
    REQUIRE(H5Lcreate_external("/etc/passwd", "/", file, "/metrics/there", H5P_DEFAULT,
                               H5P_DEFAULT) >= 0);
  });
  refused("link to another place", [](hid_t file) {
    REQUIRE(H5Lcreate_soft("/metrics/loop", file, "/metrics/loop", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  });
  refused("data in another file", [](hid_t file) {
    H5Ldelete(file, "/metrics/status", H5P_DEFAULT);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, "/etc/passwd", 0, 100);
    dataset(file, "/metrics/status", {100}, H5T_STD_U8LE, properties);
  });
  refused("a virtual dataset", [](hid_t file) {
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t four = 4;
    const hid_t space = H5Screate_simple(1, &four, nullptr);
    H5Pset_virtual(properties, space, "other.h5", "/x", space);
    dataset(file, "/metrics/there", {4}, H5T_STD_U8LE, properties);
    H5Sclose(space);
  });
  refused("that is not shuffle, deflate or fletcher32", [](hid_t file) {
    const hid_t properties = with_chunks(4);
    H5Pset_scaleoffset(properties, H5Z_SO_INT, 2);
    dataset(file, "/metrics/scaled", {4}, H5T_STD_U8LE, properties);
  });
  refused("chunks above 64 MiB", [](hid_t file) {
    dataset(file, "/metrics/wide", {hsize_t{1} << 27}, H5T_STD_U8LE, with_chunks(hsize_t{1} << 27));
  });
  refused("neither a group nor a dataset", [](hid_t file) {
    const hid_t type = H5Tcopy(H5T_STD_U8LE);
    REQUIRE(H5Tcommit2(file, "/metrics/type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Tclose(type);
  });
  refused("more than its bytes in the file can hold", [](hid_t file) {
    H5Ldelete(file, "/metrics/status", H5P_DEFAULT);
    dataset(file, "/metrics/status", {hsize_t{1} << 36}, H5T_STD_U8LE, with_chunks(4096));
  });
  refused("nested deeper than 16", [](hid_t file) {
    std::string path;
    for (int level = 0; level < 2000; ++level) path += "/g";
    const hid_t properties = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(properties, 1);
    const hid_t group = H5Gcreate2(file, path.c_str(), properties, H5P_DEFAULT, H5P_DEFAULT);
    REQUIRE(group >= 0);
    H5Gclose(group), H5Pclose(properties);
  });
  refused("not a whole result", [](hid_t file) {
    H5Ldelete(file, "/metrics/status", H5P_DEFAULT);
    dataset(file, "/metrics/status", {4}, H5T_IEEE_F64LE, H5P_DEFAULT);
  });
}

TEST_CASE("files of strangers: what reads numbers refuses sizes too", "[record]") {
  const Folder folder;
  const auto file = result_with(folder, true, [](hid_t opened) {
    dataset(opened, "/metrics/huge", {hsize_t{1} << 20, hsize_t{1} << 44}, H5T_IEEE_F64LE, [] {
      const std::array<hsize_t, 2> chunk{8, 8};
      const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
      H5Pset_chunk(properties, 2, chunk.data());
      return properties;
    }());
    dataset(opened, "/metrics/long", {hsize_t{1} << 40}, H5T_STD_I64LE, with_chunks(8));
    dataset(opened, "/metrics/words", {hsize_t{1} << 40}, hdf5::text_type(), with_chunks(8));
  });
  const Result<StoredFile> stored = StoredFile::open(file);
  REQUIRE(stored);
  REQUIRE(summarise(*stored).ok());  // which reads none of them
  const std::string words = "more than its bytes in the file can hold";
  CHECK(read_numbers(*stored, "/metrics/huge").error().message.find(words) != std::string::npos);
  CHECK(read_axis(*stored, "/metrics", "long").error().message.find(words) != std::string::npos);
  CHECK(read_labels(*stored, "/metrics/words").error().message.find(words) != std::string::npos);
}

TEST_CASE("shards of strangers: a digest that fits makes no shard", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  const auto changed = [&](const auto& change) {
    REQUIRE(publish_shard(file, test::sample_shard("prose0", test::sample_cells())).ok());
    {
      const auto lock = hdf5::use_library();
      const hdf5::Handle opened(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "open");
      change(opened);
    }
    const std::string rest = slurp(file).substr(shard_header_size);
    const auto header = shard_header(sha256(rest));
    spill(file, std::string(header.begin(), header.end()) + rest);
    const Result<Shard> shard = read_shard(file);
    REQUIRE_FALSE(shard.ok());
    INFO(shard.error().message);
    CHECK(shard.error().code == ExitCode::bad_data);
    return shard.error().message;
  };
  CHECK(changed([](hid_t opened) {
          H5Ldelete(opened, "/metrics/kl_position", H5P_DEFAULT);
          dataset(opened, "/metrics/kl_position", {5, hsize_t{1} << 39}, H5T_IEEE_F64LE, [] {
            const std::array<hsize_t, 2> chunk{1, 8};
            const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
            H5Pset_chunk(properties, 2, chunk.data());
            return properties;
          }());
        }).find("s.h5: ") != std::string::npos);
  CHECK(changed([](hid_t opened) {
          H5Ldelete(opened, "/cells/status", H5P_DEFAULT);
          dataset(opened, "/cells/status", {hsize_t{1} << 40}, H5T_STD_U8LE, with_chunks(4096));
        }).find("more than its bytes in the file can hold") != std::string::npos);
  CHECK(changed([](hid_t opened) {
          H5Lcreate_soft("/metrics", opened, "/again", H5P_DEFAULT, H5P_DEFAULT);
        }).find("link to another place") != std::string::npos);
}

TEST_CASE("a child that reads: what befalls it is one error", "[record]") {
  const Folder folder;
  const auto file = folder.path / "s.h5";
  REQUIRE(publish_shard(file, test::sample_shard("prose0", {"a"})).ok());
  const Result<StoredFile> stored = StoredFile::open(file, FileKind::shard);
  REQUIRE(stored);
  const auto fate = [&](const auto& read) {
    const auto answer = read_apart(*stored, read);
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == ExitCode::bad_data);
    CHECK(answer.error().message.starts_with(file.string() + ": "));
    return answer.error().message;
  };
  using Bytes = std::vector<std::uint8_t>;
  CHECK(fate([](hid_t) -> Bytes { std::abort(); }).find("crashes on it (Aborted)") !=
        std::string::npos);
  CHECK(fate([](hid_t) -> Bytes { std::raise(SIGSEGV), std::abort(); }).find("crashes on it") !=
        std::string::npos);
  CHECK(fate([](hid_t) -> Bytes { ::_exit(3); }).find("cannot read it") != std::string::npos);
  CHECK(fate([](hid_t) -> Bytes {
          throw hdf5::Failure("no such thing", 0);
        }).find("no such thing") != std::string::npos);
  CHECK(*read_apart(*stored, [](hid_t) { return std::string(300'000, 'x'); }) ==
        std::string(300'000, 'x'));
  if (sanitized) {
    WARN("skipped: where a sanitizer watches, the child has no limits");
    return;
  }
  CHECK(fate([](hid_t) -> Bytes {
          volatile bool forever = true;
          while (forever) {
          }
          return {};
        }).find("more than 3 s of processor time") != std::string::npos);
  CHECK(fate([](hid_t) { return Bytes(std::size_t{1} << 40); }).find("asks for more memory") !=
        std::string::npos);
  CHECK(*read_apart(*stored, [](hid_t) {
    return Bytes{static_cast<std::uint8_t>(::open("/etc/passwd", O_RDONLY) >= 0)};
  }) == Bytes{0});
}

TEST_CASE("an answer that is torn is not believed", "[record]") {
  std::vector<std::byte> sent;
  wire::Sender sender{[&](std::span<const std::byte> bytes) {
    sent.insert(sent.end(), bytes.begin(), bytes.end());
  }};
  const Shard shard = test::sample_shard("prose0", test::sample_cells());
  sender.send(shard);
  const auto received = [](std::span<const std::byte> bytes) {
    wire::Receiver receiver{[&](std::span<std::byte> out) {
      if (out.size() > bytes.size()) throw wire::Torn();
      std::copy_n(bytes.begin(), out.size(), out.begin());
      bytes = bytes.subspan(out.size());
    }};
    Shard found;
    receiver.receive(found);
    return found;
  };
  CHECK(content_hash(received(sent)) == content_hash(shard));
  for (std::size_t size = 0; size < sent.size(); size += 13)
    CHECK_THROWS_AS(received(std::span(sent).first(size)), wire::Torn);
  for (std::size_t at = 0; at + 8 < sent.size(); at += 61) {  // sizes that nobody sent
    std::vector<std::byte> bytes = sent;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 8, std::byte{0xff});
    try {
      received(bytes);
    } catch (const wire::Torn&) {
    }
  }
}

}  // namespace lamp::record
