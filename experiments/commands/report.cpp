#include <iostream>

#include "core/base/whole_number.hpp"
#include "core/model/weights.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

int report(std::string_view command, const Error& error) {
  std::cerr << "lamp " << command << ": " << one_line(error.message) << '\n';
  return static_cast<int>(error.code);
}

void warn_of_head(std::string_view command, const std::filesystem::path& folder,
                  const Model& model) {
  if (model.tie_overruled)
    std::cerr << "lamp " << command << ": warning: " << one_line(folder.string())
              << ": config.json ties the head to the token vectors (tie_word_embeddings), but the "
                 "checkpoint has another head: that one is used\n";
}

std::optional<std::size_t> parse_count(std::string_view text, std::size_t min, std::size_t max) {
  const std::optional<std::size_t> value = whole_number<std::size_t>(text);
  if (!value || *value < min || *value > max) return std::nullopt;
  return value;
}

}  // namespace lamp::experiments
