#include "experiments/fetch/checkpoints.hpp"

#include <array>

namespace lamp::experiments {
namespace {

constexpr std::uint64_t text = std::uint64_t{16} << 20, weights = std::uint64_t{64} << 30;

// A size and a hash stand here only where they are known of the revision in the address.
constexpr std::array gpt2_files{
    PublishedFile{"config.json", text, 665,
                  "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"},
    PublishedFile{"vocab.json", text, 1'042'301,
                  "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"},
    PublishedFile{"merges.txt", text, 456'318,
                  "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"},
    PublishedFile{"model.safetensors", weights, 548'105'171,
                  "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"},
};

constexpr std::array other_files{
    PublishedFile{"config.json", text},
    PublishedFile{"vocab.json", text},
    PublishedFile{"merges.txt", text},
    PublishedFile{"model.safetensors", weights},
};

constexpr std::array checkpoints{
    PublishedCheckpoint{"gpt2",
                        "https://huggingface.co/openai-community/gpt2/resolve/"
                        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
                        gpt2_files},
    PublishedCheckpoint{"gpt2-medium",
                        "https://huggingface.co/openai-community/gpt2-medium/resolve/main",
                        other_files},
    PublishedCheckpoint{"gpt2-large",
                        "https://huggingface.co/openai-community/gpt2-large/resolve/main",
                        other_files},
    PublishedCheckpoint{"gpt2-xl", "https://huggingface.co/openai-community/gpt2-xl/resolve/main",
                        other_files},
    PublishedCheckpoint{"distilgpt2", "https://huggingface.co/distilbert/distilgpt2/resolve/main",
                        other_files},
};

}  // namespace

std::span<const PublishedCheckpoint> published_checkpoints() { return checkpoints; }

}  // namespace lamp::experiments
