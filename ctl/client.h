// The client half of docs/protocol.md: one connection, blocking calls, one deadline for each. Plain POSIX sockets.
//
// Every failure is a sentence that names the socket and what to do, with the exit code that it means: nobody there
// (kNoDaemon), no answer in time (kTimedOut), the daemon refused (kRefused).
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "ctl/command.h"

namespace lb::ctl {

inline constexpr int kProtocolVersion = 1;
inline constexpr size_t kMaxRequestBytes = 1 << 20;  // a line, docs/protocol.md
inline constexpr size_t kMaxTextBytes = 16 << 20;    // what travels by descriptor
inline constexpr size_t kInlineTextBytes = 256
                                           << 10;  // larger texts travel by descriptor; escapes can at most triple it
inline constexpr size_t kMaxAnswerBytes = 256 << 20;  // 20,000 backends are 10 MB; more than this is no lbd

// A result or a failure.
using Answer = std::variant<nlohmann::json, Failure>;

class Client {
 public:
  Client(std::string socket, std::chrono::milliseconds timeout);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Connects at the first call and checks the daemon's protocol version with `hello`. A "text" parameter longer than
  // kInlineTextBytes travels by descriptor.
  Answer call(std::string_view method, nlohmann::json params);

 private:
  using Clock = std::chrono::steady_clock;
  struct Fd;

  std::optional<Failure> connect(Clock::time_point deadline);
  std::optional<Failure> check_hello(Clock::time_point deadline);
  std::optional<Failure> send(std::string_view line, int fd, Clock::time_point deadline);
  std::variant<std::string, Failure> receive(Clock::time_point deadline);
  Answer exchange(std::string_view method, const nlohmann::json& params, int fd, Clock::time_point deadline);
  Failure connect_failure(int error) const;
  Failure timed_out(std::string_view doing) const;
  Failure gone(std::string_view why) const;

  std::string socket_;
  std::chrono::milliseconds timeout_;
  int fd_ = -1;
  int next_id_ = 1;
  std::string buffer_;  // bytes after the last answer line
};

}  // namespace lb::ctl
