// Writes FOLDER/result.h5 and FOLDER/prose0.h5 for check_python.py: sample shards, one sequence
// missing, one cell pending, one failed.
#include <cstdio>
#include <filesystem>

#include "tests/core/record/samples.hpp"

int main(int argc, char** argv) {
  using namespace lamp::record;
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::vector<std::string> cells = test::sample_cells();
  for (const char* name : {"prose0", "prose1", "code0"}) {
    Shard shard = test::sample_shard(name, cells);
    for (std::size_t i = 0; i < shard.cells.size(); ++i)
      shard.cells[i].values[0] = std::vector<double>{100.0 * name[0] + static_cast<double>(i)};
    if (std::string(name) == "prose1")
      shard.cells.erase(shard.cells.begin() + 1), shard.cells[4].status = CellStatus::failed;
    if (const auto done = publish_shard(folder / (std::string(name) + ".h5"), shard); !done)
      return std::puts(done.error().message.c_str()), 1;
  }
  const auto merged = merge(test::sample_plan(folder), folder / "result.h5");
  if (!merged) return std::puts(merged.error().message.c_str()), 1;
  std::printf("%zu done, %zu failed, %zu pending\n", merged->done, merged->failed, merged->pending);
  return 0;
}
