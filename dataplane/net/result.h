// Result<T>: a value or an Error, with the member names of std::expected, which g++ 12 does not have.
// Error: a code for programs and one sentence for people: which thing, which value, which rule, what to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace lb::net {

enum class Code : uint8_t {
  kInvalid,      // the request is wrong: a value, a name, a rule
  kNotFound,     // names something that does not exist
  kExists,       // already there
  kConflict,     // the state is another one than expected (revision, guard)
  kUnsupported,  // not in this version
  kPermission,   // not allowed, or privileges are missing
  kUnavailable,  // device, kernel facility or daemon is not there or busy
  kTimeout,
  kIo,        // the system refused: errno is in the sentence
  kInternal,  // a rule of our own is broken
};

struct Error {
  Code code = Code::kInternal;
  std::string message;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  // REQUIRES: has_value()
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // REQUIRES: !has_value()
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace lb::net
