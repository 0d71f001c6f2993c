#include "core/record/strict.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace lamp::record {
namespace {

using hdf5::check;

constexpr std::uint64_t most_chunk = std::uint64_t{64} << 20;  // bytes; lamp's have about 1 MiB
constexpr std::size_t most_links = 100'000;
constexpr std::ptrdiff_t most_levels = 16;  // lamp's have about 4

struct Link {
  std::string path;
  H5L_type_t type;
};

/// What is visited: stops at the first link that is too deep or one too many.
struct Found {
  std::vector<Link> links{};
  std::string excess{};
};

herr_t collect(hid_t, const char* name, const H5L_info_t* info, void* data) {
  auto& found = *static_cast<Found*>(data);
  found.links.push_back({std::string("/").append(name), info->type});
  const std::string& path = found.links.back().path;
  if (std::count(path.begin(), path.end(), '/') > most_levels)
    found.excess = "groups nested deeper than " + std::to_string(most_levels);
  else if (found.links.size() >= most_links)
    found.excess = "more than " + std::to_string(most_links) + " links";
  return found.excess.empty() ? 0 : 1;
}

void check_filters(hid_t properties, const std::string& path) {
  const int filters = check(H5Pget_nfilters(properties), "filters");
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(properties, static_cast<unsigned>(i), &flags,
                                               &values, nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE &&
        filter != H5Z_FILTER_FLETCHER32)
      throw hdf5::Failure(path + " has a filter (" + std::to_string(filter) +
                              ") that is not shuffle, deflate or fletcher32",
                          0);
  }
}

void check_dataset(hid_t file, const std::string& path, std::uint64_t size) {
  const hdf5::Handle dataset = hdf5::open_dataset(file, path);
  const hdf5::Handle properties(H5Dget_create_plist(dataset), H5Pclose, "dataset properties");
  if (check(H5Pget_external_count(properties), "external files") > 0)
    throw hdf5::Failure(path + " has its data in another file", 0);
  const H5D_layout_t layout = H5Pget_layout(properties);
  if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
    throw hdf5::Failure(path + " has its data elsewhere (a virtual dataset)", 0);
  check_filters(properties, path);
  if (H5Dget_storage_size(dataset) > size)
    throw hdf5::Failure(path + " has more bytes than the file", 0);
  if (layout != H5D_CHUNKED) return;
  std::array<hsize_t, H5S_MAX_RANK> chunk{};
  const int rank = check(H5Pget_chunk(properties, H5S_MAX_RANK, chunk.data()), "chunks");
  const hdf5::Handle type(H5Dget_type(dataset), H5Tclose, "a type");
  std::uint64_t bytes = H5Tget_size(type);
  for (int i = 0; i < rank; ++i)
    bytes = hdf5::saturating_product(bytes, chunk[static_cast<unsigned>(i)]);
  if (bytes > most_chunk) throw hdf5::Failure(path + " has chunks above 64 MiB", 0);
}

}  // namespace

void check_structure(hid_t file, std::uint64_t size) {
  Found found;
  check(H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, collect, &found), "cannot list the links");
  if (!found.excess.empty()) throw hdf5::Failure(found.excess, 0);
  const std::vector<Link>& links = found.links;
  for (const auto& [path, type] : links)
    if (type != H5L_TYPE_HARD)
      throw hdf5::Failure(path + " is a link to another place" +
                              (type == H5L_TYPE_EXTERNAL ? ", in another file" : ""),
                          0);
  for (const auto& [path, type] : links) {
    H5O_info_t info{};
    check(H5Oget_info_by_name2(file, path.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT),
          "cannot look at an object");
    if (info.type == H5O_TYPE_DATASET)
      check_dataset(file, path, size);
    else if (info.type != H5O_TYPE_GROUP)
      throw hdf5::Failure(path + " is neither a group nor a dataset", 0);
  }
}

}  // namespace lamp::record
