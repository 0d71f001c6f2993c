// A network of two sites: logits straight from the embedding.
#include <array>

#include "core/model/files/config_reader.hpp"
#include "core/model/networks/network.hpp"

namespace lamp {
namespace {

constexpr Extent vocabulary = [](const ModelConfig& c) { return c.vocab_size; };
constexpr Extent positions = [](const ModelConfig& c) { return c.n_positions; };
constexpr Extent width = [](const ModelConfig& c) { return c.n_embd; };

constexpr std::array<SiteRow, 2> table{{
    {Site::embed,
     Operation::embed,
     width,
     {},
     {{{"vectors", vocabulary, width}, {"places", positions, width}}}},
    {Site::logits,
     Operation::logits,
     vocabulary,
     {residual_stream},
     {{{"head", vocabulary, width}}}},
}};
static_assert(is_network(table));

ModelConfig read(ConfigReader& reader) {
  ModelConfig config;
  config.vocab_size = reader.shape("vocab_size");
  config.n_positions = reader.shape("n_positions");
  config.n_embd = reader.shape("n_embd");
  config.tied = reader.boolean("tie_word_embeddings", true);
  return config;
}

}  // namespace

extern const Network toy;
const Network toy{.model_type = "toy", .title = "toy", .sites = table, .read = read};

}  // namespace lamp
