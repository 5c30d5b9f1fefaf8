// The client half of docs/protocol.md: one connection, blocking calls, one deadline for each. Plain POSIX sockets.
//
// Every failure is a sentence that names the socket and what to do, with the exit code that it means: nobody there
// (kNoDaemon), no answer in time (kTimedOut), the daemon refused (kRefused).
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "ctl/command.h"
#include "ctl/unique_fd.h"
#include "ctl/version.h"

namespace lb::ctl {

inline constexpr size_t kMaxRequestBytes = 1 << 20;  // a line, docs/protocol.md
inline constexpr size_t kMaxTextBytes = 16 << 20;    // what travels by descriptor
inline constexpr size_t kInlineTextBytes = 128
                                           << 10;  // longer texts travel by descriptor; JSON grows a byte to 6 at most
inline constexpr size_t kMaxAnswerBytes = 256 << 20;  // 65,535 backends are 40 MB; what sends more is no lbd

// A result or a failure.
using Answer = std::variant<nlohmann::json, Failure>;

class Client {
 public:
  Client(std::string socket, std::chrono::milliseconds timeout);

  // Connects at the first call and checks the daemon's protocol version with `hello`. A "text" parameter longer than
  // kInlineTextBytes travels by descriptor. May block until the timeout.
  Answer call(std::string_view method, nlohmann::json params);

 private:
  using Clock = std::chrono::steady_clock;
  using Problem = std::optional<Failure>;

  Problem connect(Clock::time_point deadline);
  Problem check_hello(Clock::time_point deadline);
  Answer exchange(std::string_view method, const nlohmann::json& params, int attached, Clock::time_point deadline);
  Problem send(std::string_view line, int attached, Clock::time_point deadline);
  Problem receive(std::string* line, Clock::time_point deadline);
  bool has_said_why() const;
  Problem wait(short events, Clock::time_point deadline, std::string_view what);
  Failure connect_failure(int error) const;
  Failure no_protocol(std::string_view got) const;
  Failure gone(std::string_view how) const;

  std::string socket_;
  std::chrono::milliseconds timeout_;
  UniqueFd fd_;
  int last_id_ = 0;
  std::string buffer_;  // bytes after the last answer line
};

}  // namespace lb::ctl
