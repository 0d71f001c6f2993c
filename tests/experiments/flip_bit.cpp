// Publishes a shard with one bit changed and every digest right: what `lamp verify` is for.
// flip_bit SHARD DATASET [CELL]
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>

#include "core/record/shard.hpp"

int main(int argc, char** argv) {
  using namespace lamp::record;
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  if (arguments.size() < 3) return 2;
  const std::string file = arguments[1], dataset = arguments[2];
  auto shard = read_shard(file);
  if (!shard) return std::cerr << shard.error().message << '\n', 1;
  Values* values = nullptr;
  for (std::size_t q = 0; q < shard->quantities.size(); ++q)
    if (shard->quantities[q].path == dataset)
      values = &shard->cells.at(arguments.size() > 3 ? std::stoul(arguments[3]) : 0).values.at(q);
  for (std::size_t q = 0; q < shard->reference_quantities.size(); ++q)
    if (shard->reference_quantities[q].path == dataset) values = &shard->reference.at(q);
  if (values == nullptr || bytes(*values).empty()) return std::cerr << "no such value\n", 1;
  bytes(*values)[0] ^= std::byte{1};
  const auto published = publish_shard(file, *shard);
  return published ? 0 : 1;
}
