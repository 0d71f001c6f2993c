// Dimension scales: every group that holds datasets gets its own copy of the scales it uses, named
// as the dimension, so that xarray can open the group alone and select by coordinate.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/record/contents.hpp"
#include "core/record/hdf5.hpp"

namespace lamp::record {

class Scales {
 public:
  /// Scales of dims by name, or by group and name ("/continuations/position"), which goes before.
  /// Without values, and of dims that are not there, 0, 1, .. are the coordinates.
  explicit Scales(const std::map<std::string, Axis>& inner_axes) : inner_axes_(inner_axes) {}

  /// What keeps the shard's quantities from sharing scales: a dimension of two sizes in one group,
  /// one named as an axis or as a dataset of its group; or "".
  static std::string conflict(const std::vector<Axis>& sequence_axes,
                              const std::vector<Axis>& grid_axes, const Shard& shard);

  /// Makes the missing scales of the dataset's group; labels and attaches all, `lead` first.
  void attach(hid_t file, hid_t dataset, const Quantity& quantity,
              const std::vector<const Axis*>& lead);
  void close();
  /// The path of a scale of the reopened file that is not what was written; "" if there is none.
  [[nodiscard]] std::string first_difference(hid_t file) const;

 private:
  struct Scale {
    Axis axis;
    hdf5::Handle dataset;
  };
  [[nodiscard]] Axis inner_axis(const std::string& group, const std::string& name,
                                std::size_t count) const;

  const std::map<std::string, Axis>& inner_axes_;
  std::map<std::string, Scale> scales_;  // by path
};

}  // namespace lamp::record
