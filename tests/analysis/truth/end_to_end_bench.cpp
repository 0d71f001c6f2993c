// Runs a second of single-score truth, and the products a run of it needs.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "analysis/truth/end_to_end.hpp"

int main(int argc, char** argv) {
  using namespace lamp;
  const std::size_t length = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 32,
                    threads = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1,
                    stride = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 10;
  const Result<Model> model = read_model(LAMP_SOURCE_DIR "/data/models/gpt2-tiny");
  std::vector<TokenId> tokens;
  for (std::size_t t = 0; t < length; ++t)
    tokens.push_back(static_cast<TokenId>(t * t * 37 % 4096));
  const PassOptions options{.activation = model->config.activation};
  const PrecisionPlan reference(fused(binary64)), low(lamp_paper(4));
  const Arithmetic high = fused(binary32);
  const truth::Question question{*model, tokens, options, reference, low, high};
  const truth::Background base = truth::Background::reference(question);
  std::vector<std::uint32_t> keys(length);
  for (std::size_t j = 0; j < length; ++j) keys[j] = static_cast<std::uint32_t>(j);
  std::vector<truth::Change> changes;
  std::size_t n = 0;
  double macs = 0;
  const ModelConfig& c = model->config;
  for (const truth::Row& row : truth::all_rows(c, Site::scores, length))
    for (std::size_t j = 0; j <= row.query; ++j)
      if (n++ % stride == 0) {
        changes.push_back({row, std::span(keys).subspan(j, 1)});
        const double above = static_cast<double>(c.n_layer - 1 - row.layer.value),
                     rows = static_cast<double>(length - row.query), d = 256;
        macs += 9 * d * d + above * rows * (12 * d * d + 2 * d * static_cast<double>(length)) +
                (above > 0 ? rows : 1) * 4096 * d;
      }
  const auto start = std::chrono::steady_clock::now();
  const std::vector<truth::Effect> effects = base.effects(changes, threads, {});
  const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  double sum = 0;
  for (const truth::Effect& e : effects) sum += e.kl;
  std::printf(
      "T %zu: %zu of %zu scores, %.3g MAC, %.3f s, %.4f ns a MAC and core, all of them: %.1f s, "
      "sum %.17g\n",
      length, changes.size(), n, macs, s, s * 1e9 / macs * static_cast<double>(threads),
      s * static_cast<double>(n) / static_cast<double>(changes.size()), sum);
}
