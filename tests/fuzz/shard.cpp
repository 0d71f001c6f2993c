// A shard: core/record/stored_file with the bytes as they are, then core/record/shard with the
// digest that these bytes should have, in a child process (apart) as ever. libhdf5, which is not
// instrumented, may crash in it: then there is an error like any other.
#include "core/record/shard.hpp"

#include <algorithm>
#include <span>

#include "core/record/stored_file.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

using record::shard_header_size;

std::string with_header(std::string_view body, int schema = record::shard_schema) {
  const auto header = record::shard_header(sha256(body), schema);
  return std::string(header.data(), header.size()).append(body);
}

/// What is opened carries the digest of its bytes.
void check_outside(std::string_view bytes) {
  const Result<record::StoredFile> stored =
      record::StoredFile::open(file_with(bytes, "shard.h5"), record::FileKind::shard);
  if (!stored) return law_of_message(stored.error().message);
  bool carried = false;
  for (int schema = 1; schema <= record::shard_schema; ++schema)
    carried = carried || bytes == with_header(bytes.substr(shard_header_size), schema);
  law(stored->verified() && carried, "a shard that is opened carries the digest of its bytes");
}

bool run(std::string_view bytes) {
  check_outside(bytes);
  const std::string_view body = bytes.substr(std::min(bytes.size(), shard_header_size));
  const Result<record::Shard> shard = record::read_shard(file_with(with_header(body), "shard.h5"));
  if (!shard) return count_death(shard.error()), false;
  law(record::defect(*shard).empty(), "a shard that is read is whole");
  const Result<std::vector<std::byte>> written = record::shard_bytes(*shard);
  law(written.ok(), "a shard that is read can be written");
  const std::string_view text(reinterpret_cast<const char*>(written->data()), written->size());
  const Result<record::Shard> again = record::read_shard(file_with(text, "again.h5"));
  law(again.ok() && record::content_hash(*again) == record::content_hash(*shard),
      "what is written is read as the same");
  return true;
}

const Listed listed({.name = "shard", .run = run});

}  // namespace
}  // namespace lamp::fuzz
