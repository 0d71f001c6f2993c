// The tensors of one checkpoint, checked against the table of a network.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/model/files/tensor_files.hpp"
#include "core/model/networks/network.hpp"

namespace lamp {

/// The tensors of a checkpoint under their names without the network's prefix, and without what
/// wrappers of PyTorch put before all of them (`module.`, `_orig_mod.`, `model.`). check() first,
/// then they are read one by one.
class Checkpoint {
 public:
  /// Config and files must outlive it.
  Checkpoint(const ModelConfig& config, const TensorFiles& files)
      : config_(config), files_(files) {}

  /// Checks that every tensor of the network is there with its shape and a dtype of numbers, and
  /// that there is no other. In a tied model the head may stand for the token vectors. Where the
  /// network does not say whether a bias (beta) is there, it may be left out, of a site in all
  /// layers. Reads no element.
  Result<void> check();
  /// Whether a tensor of a site is there: false for the logits' where they use the token vectors,
  /// and for a bias that is left out.
  [[nodiscard]] bool has(const SiteRow& row, const TensorRow& tensor, std::size_t layer) const;
  /// Its elements, (rows, cols) as the row says; a vector is (n, 1). NaN or Inf is an error.
  [[nodiscard]] Result<Matrix<float>> read(const SiteRow& row, const TensorRow& tensor,
                                           std::size_t layer) const;

 private:
  using Dimensions = std::vector<std::size_t>;
  struct Item {
    std::string name;  // as in the file
    const Tensor* tensor = nullptr;
    bool used = false;
  };

  [[nodiscard]] Error bad(const std::string& what) const {
    return {ExitCode::bad_data, files_.path() + ": " + what};
  }
  [[nodiscard]] std::string name_of(const SiteRow& row, const TensorRow& tensor,
                                    std::size_t layer) const {
    return tensor_name(*config_.network, row, tensor, layer);
  }
  Result<void> index();
  Result<void> expect(const std::string& name, const Dimensions& shape);
  Result<void> expect_site(const SiteRow& row, std::size_t layer);
  Result<void> expect_all();
  [[nodiscard]] bool is_expected(const SiteRow& row, const TensorRow& tensor) const;
  [[nodiscard]] bool is_ignored(std::string_view name) const;
  [[nodiscard]] bool is_multi_query(const std::string& name, const Dimensions& shape) const;
  [[nodiscard]] Result<void> refuse_others() const;

  const ModelConfig& config_;
  const TensorFiles& files_;
  std::map<std::string, Item, std::less<>> tensors_;
};

}  // namespace lamp
