// A pass that is asked to stop ends at the next site, whoever makes it, and leaves nothing that a
// later pass with the same memory would see.
#include "core/base/stop.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "core/model/greedy.hpp"
#include "core/model/suffix.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

constexpr std::size_t length = 5;

/// Asks to stop while it is shown the values number `after`, counted from 1.
class Stopping final : public TapSink {
 public:
  Stopping(std::size_t after, StopRequest& request) : after_(after), request_(request) {}
  void values(const TapPoint&, MatrixView<const double> x) override {
    if (++shown == after_) request_ = 2;
    last.assign(x.row(0).begin(), x.row(0).begin() + 1);
  }
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}

  std::size_t shown = 0;
  std::vector<double> last;

 private:
  std::size_t after_;
  StopRequest& request_;
};

std::vector<TokenId> some_tokens() { return {3, 1, 4, 1, 5}; }

using MakePass = std::function<void(const PassOptions&, TapSink&)>;

/// However far it is when it is asked, the pass evaluates no other site; unasked it evaluates all.
void check_stops(const MakePass& pass) {
  StopRequest request{0};
  PassOptions options{.activation = Activation::silu, .stop = &request};
  Stopping whole(0, request);
  pass(options, whole);
  REQUIRE(whole.shown > 20);
  for (std::size_t after = 1; after < whole.shown; ++after) {
    Stopping sink(after, request);
    CHECK_THROWS_AS(pass(options, sink), Stopped);
    CHECK(sink.shown == after);
    CHECK_THROWS_AS(pass(options, sink), Stopped);  // nor does it begin
    CHECK(sink.shown == after);
    request = 0;
  }
  Stopping again(0, request);
  pass(options, again);
  CHECK(again.shown == whole.shown);
  CHECK(again.last == whole.last);
}

}  // namespace

TEST_CASE("a pass that is asked to stop ends at the next site", "[model]") {
  const Model model = test::random_llama();
  const std::vector<TokenId> tokens = some_tokens();
  for (const std::size_t threads : {1U, 3U}) {
    Workspace workspace;
    workspace.team = Team(threads, 0.0);
    const PrecisionPlan plan(fused(binary32));
    check_stops([&](const PassOptions& options, TapSink& sink) {
      forward(model, tokens, plan, options, sink, workspace);
    });
  }
}

TEST_CASE("a pass of unlimited numbers that is asked to stop ends at the next site", "[model]") {
  const Model model = test::random_llama();
  const std::vector<TokenId> tokens = some_tokens();
  Workspace workspace;
  const PrecisionPlan plan(unlimited(40));
  check_stops([&](const PassOptions& options, TapSink& sink) {
    forward(model, tokens, plan, options, sink, workspace);
  });
}

TEST_CASE("a pass that is asked to stop ends at the next block of logits", "[model]") {
  constexpr std::size_t rows = logit_rows + 2;
  const Model model = test::random_llama(rows);
  const std::vector<TokenId> tokens(rows, TokenId{7});
  struct Logits final : TapSink {
    void values(const TapPoint& point, MatrixView<const double> x) override {
      if (point.site != Site::logits) return;
      request = 2;
      shown = point.first_row + x.rows;
    }
    void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
    StopRequest request{0};
    std::size_t shown = 0;
  };
  for (const Arithmetic& arithmetic : {fused(binary32), unlimited(24)}) {
    Logits sink;
    const PassOptions options{.activation = Activation::silu, .stop = &sink.request};
    Workspace workspace;
    CHECK_THROWS_AS(forward(model, tokens, PrecisionPlan(arithmetic), options, sink, workspace),
                    Stopped);
    CHECK(sink.shown == logit_rows);
  }
}

TEST_CASE("rows that were not computed to the end are not known", "[model]") {
  const Model model = test::random_llama();
  const std::vector<TokenId> tokens = some_tokens();
  for (const Arithmetic& arithmetic : {fused(binary32), unlimited(40)}) {
    const PrecisionPlan plan(arithmetic);
    Workspace workspace;
    EarlierRows earlier(model.config, length);
    check_stops([&](const PassOptions& options, TapSink& sink) {
      earlier.rows = 0;
      try {
        forward_from(model, earlier, std::span(tokens).first(3), plan, options, sink, workspace);
      } catch (const Stopped&) {
        CHECK(earlier.rows == 0);
        throw;
      }
      CHECK(earlier.rows == 3);
    });
  }
}

TEST_CASE("a continuation and the rest of a pass stop where passes do", "[model]") {
  const Model model = test::random_llama();
  const std::vector<TokenId> tokens = some_tokens();
  const PrecisionPlan plan(fused(binary32));
  Workspace workspace;
  StopRequest request{0};
  const PassOptions options{.activation = Activation::silu, .stop = &request};
  const auto continued = [&] {
    return greedy_continuation(model, std::span(tokens).first(2), 3, plan, options, workspace);
  };
  const std::vector<TokenId> whole = continued();
  KeptPass base(model.config, length);
  forward(model, tokens, plan, options, base, workspace);
  Suffix suffix(model, plan, options, base, Site::scores);
  const std::vector<double> y(2, 0.5);
  const std::vector<ChangedRow> change{{.head = Head{1}, .row = 1, .y = y}};
  std::size_t shown = 0;
  const auto show = [&](std::size_t, std::size_t, MatrixView<const double>) { ++shown; };
  suffix.evaluate(Layer{0}, change, show);
  REQUIRE(shown > 0);
  request = 15;
  CHECK_THROWS_AS(continued(), Stopped);
  const std::size_t before = shown;
  CHECK_THROWS_AS(suffix.evaluate(Layer{0}, change, show), Stopped);
  CHECK(shown == before);
  request = 0;
  CHECK(continued() == whole);
}

}  // namespace lamp
