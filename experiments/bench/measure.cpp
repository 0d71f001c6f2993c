#include "experiments/bench/measure.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace lamp::experiments::bench {
namespace {

/// A row, its work once it is prepared, and the ns of a unit in each repetition.
struct Running {
  const Row& row;
  std::optional<Work> work{};
  std::vector<double> repetitions{};
};

void run(Running& running, benchmark::State& state) {
  if (!running.work) running.work = running.row.prepare();
  const Work& work = *running.work;
  for ([[maybe_unused]] const auto call : state) {
    if (work.run) work.run();
    if (work.seconds) state.SetIterationTime(work.seconds());
  }
}

/// Collects the repetitions; benchmarks are named by the numbers of their rows.
class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::vector<Running>& rows) : rows_(rows) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& report) override {
    for (const Run& run : report) {
      if (run.run_type != Run::RT_Iteration) continue;
      Running& running = rows_[std::stoul(run.run_name.function_name)];
      const double seconds = running.row.clock == Clock::processor ? run.cpu_accumulated_time
                                                                   : run.real_accumulated_time;
      running.repetitions.push_back(1e9 * seconds / static_cast<double>(run.iterations) /
                                    running.work->units);
    }
  }

 private:
  std::vector<Running>& rows_;
};

/// Between the two order statistics that it lies between. Pre: x is sorted, not empty.
double quantile(const std::vector<double>& x, double q) {
  const double place = q * static_cast<double>(x.size() - 1);
  const auto low = static_cast<std::size_t>(std::floor(place));
  const std::size_t high = std::min(low + 1, x.size() - 1);
  return x[low] + (place - std::floor(place)) * (x[high] - x[low]);
}

}  // namespace

std::vector<Measurement> measure(const std::vector<Row>& rows, const MeasureOptions& options) {
  std::array<std::string, 2> words{"lamp-bench", "--benchmark_enable_random_interleaving=true"};
  std::array<char*, 2> arguments{words[0].data(), words[1].data()};
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());

  std::vector<Running> running;
  for (const Row& row : rows) running.push_back({row});
  for (std::size_t i = 0; i < running.size(); ++i) {
    const Row& row = rows[i];
    benchmark::internal::Benchmark* registered = benchmark::RegisterBenchmark(
        std::to_string(i).c_str(),
        [one = &running[i]](benchmark::State& state) { run(*one, state); });
    registered->Repetitions(static_cast<int>(row.calls == 0 ? options.repetitions : options.few));
    if (row.calls == 0)
      registered->MinTime(options.seconds);
    else
      registered->Iterations(static_cast<benchmark::IterationCount>(row.calls));
    if (row.clock == Clock::elapsed) registered->UseRealTime();
    if (row.clock == Clock::own) registered->UseManualTime();
  }
  Collector collector(running);
  benchmark::RunSpecifiedBenchmarks(&collector);

  std::vector<Measurement> all;
  for (Running& one : running) {
    std::sort(one.repetitions.begin(), one.repetitions.end());
    all.push_back({.median = quantile(one.repetitions, 0.5),
                   .first_quartile = quantile(one.repetitions, 0.25),
                   .third_quartile = quantile(one.repetitions, 0.75),
                   .repetitions = one.repetitions.size(),
                   .detail = one.work->detail});
  }
  return all;
}

}  // namespace lamp::experiments::bench
