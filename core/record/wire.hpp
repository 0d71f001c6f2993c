// Values as bytes, from a process to another of the same program: the numbers and texts of
// contents.hpp and summary.hpp, field by field. Nothing of what arrives is believed: a size takes
// memory only as its bytes arrive.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"
#include "core/record/summary.hpp"

namespace lamp::record::wire {

/// What arrives is not what such a sender sends: it died, or worse.
struct Torn : std::runtime_error {
  Torn() : std::runtime_error("the message is torn") {}
};

template <class T, class U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

// The fields of each type, for both directions.
auto fields(Is<Quantity> auto& q) {
  return std::tie(q.path, q.dims, q.shape, q.units, q.long_name, q.flag_meanings, q.prototype,
                  q.constant_over);
}
auto fields(Is<CellRecord> auto& c) { return std::tie(c.id, c.status, c.values); }
auto fields(Is<Shard> auto& s) {
  return std::tie(s.experiment, s.sequence_id, s.quantities, s.cells, s.reference_quantities,
                  s.reference);
}
auto fields(Is<Axis> auto& a) { return std::tie(a.name, a.values, a.units, a.long_name); }
auto fields(Is<DatasetSummary> auto& d) {
  return std::tie(d.path, d.type, d.dims, d.shape, d.units, d.long_name, d.scale);
}
auto fields(Is<FileSummary> auto& s) {
  return std::tie(s.kind, s.verified, s.schema_version, s.experiment, s.sequence_id, s.done,
                  s.pending, s.failed, s.datasets, s.provenance);
}
auto fields(Is<Numbers> auto& n) { return std::tie(n.dims, n.shape, n.values); }
auto fields(Is<Error> auto& e) { return std::tie(e.code, e.message); }
template <class A, class B>
auto fields(std::pair<A, B>& p) {
  return std::tie(p.first, p.second);
}
template <class A, class B>
auto fields(const std::pair<A, B>& p) {
  return std::tie(p.first, p.second);
}

/// Numbers, enumerations and digests: their bytes.
template <class T>
concept Plain = std::is_arithmetic_v<T> || std::is_enum_v<T> || std::same_as<T, Digest>;

/// `put(span of bytes)` takes the bytes of x.
template <class Put>
class Sender {
 public:
  explicit Sender(Put put) : put_(std::move(put)) {}

  template <Plain T>
  void send(const T& x) {
    put_(std::as_bytes(std::span(&x, 1)));
  }
  void send(const std::string& x) {
    send(x.size());
    put_(std::as_bytes(std::span(x)));
  }
  template <class T>
  void send(const std::vector<T>& x) {
    send(x.size());
    if constexpr (Plain<T>)
      put_(std::as_bytes(std::span(x)));
    else
      for (const T& each : x) send(each);
  }
  template <class... T>
  void send(const std::variant<T...>& x) {
    send(x.index());
    std::visit([&](const auto& held) { send(held); }, x);
  }
  template <class T>
  requires requires(const T& t) { fields(t); }
  void send(const T& x) {
    std::apply([&](const auto&... field) { (send(field), ...); }, fields(x));
  }

 private:
  Put put_;
};

/// `get(span of bytes)` fills the span, or throws Torn.
template <class Get>
class Receiver {
 public:
  explicit Receiver(Get get) : get_(std::move(get)) {}

  template <Plain T>
  void receive(T& x) {
    get_(std::as_writable_bytes(std::span(&x, 1)));
  }
  void receive(bool& x) {
    std::uint8_t byte = 0;
    receive(byte);
    x = byte != 0;
  }
  void receive(std::string& x) { receive_bytes(x); }
  template <class T>
  void receive(std::vector<T>& x) {
    if constexpr (Plain<T>) {
      receive_bytes(x);
    } else {
      for (std::size_t left = size(); left > 0; --left) receive(x.emplace_back());
    }
  }
  template <class... T>
  void receive(std::variant<T...>& x) {
    receive_alternative(x, size(), std::index_sequence_for<T...>{});
  }
  template <class T>
  requires requires(T& t) { fields(t); }
  void receive(T& x) {
    std::apply([&](auto&... field) { (receive(field), ...); }, fields(x));
  }

 private:
  std::size_t size() {
    std::size_t n = 0;
    receive(n);
    return n;
  }
  template <class Container>
  void receive_bytes(Container& x) {
    constexpr std::size_t at_once = std::size_t{1} << 20;  // elements
    for (std::size_t left = size(); left > 0;) {
      const std::size_t count = std::min(left, at_once), had = x.size();
      x.resize(had + count);
      get_(std::as_writable_bytes(std::span(x).subspan(had)));
      left -= count;
    }
  }
  template <class Variant, std::size_t... I>
  void receive_alternative(Variant& x, std::size_t index, std::index_sequence<I...>) {
    if (!((index == I && (receive(x.template emplace<I>()), true)) || ...)) throw Torn();
  }

  Get get_;
};

}  // namespace lamp::record::wire
