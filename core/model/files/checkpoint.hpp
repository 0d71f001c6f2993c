// The tensors of one model.safetensors, checked against the table of a network.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/model/files/safetensors.hpp"
#include "core/model/networks/network.hpp"

namespace lamp {

/// The tensors of a file under their names without the network's prefix. check() first, then they
/// are read one by one.
class Checkpoint {
 public:
  /// Config and file must outlive it.
  Checkpoint(const ModelConfig& config, const Safetensors& file, std::string path)
      : config_(config), file_(file), path_(std::move(path)) {}

  /// Checks that every tensor of the network is there with its shape and a dtype within binary32,
  /// and that there is no other. Reads no element.
  Result<void> check();
  /// Whether a tensor of a site is there: false for the logits' where they use the token vectors.
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
    return {ExitCode::bad_data, path_ + ": " + what};
  }
  [[nodiscard]] std::string name_of(const SiteRow& row, const TensorRow& tensor,
                                    std::size_t layer) const {
    return tensor_name(*config_.network, row, tensor, layer);
  }
  Result<void> index();
  Result<void> expect(const std::string& name, const Dimensions& shape);
  Result<void> expect_site(const SiteRow& row, std::size_t layer);
  Result<void> expect_all();
  [[nodiscard]] bool is_ignored(std::string_view name) const;
  [[nodiscard]] Result<void> refuse_others() const;

  const ModelConfig& config_;
  const Safetensors& file_;
  std::string path_;
  std::map<std::string, Item, std::less<>> tensors_;
};

}  // namespace lamp
