// The client's end of one test transfer, see transfer.h.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "tests/tools/socket.h"
#include "tests/tools/transfer.h"

namespace lb::tools {

enum class State { kLive, kDone, kReset, kTimeout, kCorrupt, kCut, kError };
std::string_view to_string(State s);

class Connection {
 public:
  // Begins to connect; never blocks.
  Connection(const std::string& address, const std::string& port, const Hello& hello);
  ~Connection() { close_socket(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void readable();
  void tick(uint64_t now_ms);  // sends what is due
  void finish();               // no more pieces; the server answers with the end
  void give_up() { over(State::kTimeout); }
  bool finishing() const { return finishing_; }

  int fd() const { return fd_; }
  State state() const { return state_; }
  const std::string& error() const { return error_; }
  std::string_view backend() const { return {name_.data(), strnlen(name_.data(), name_.size())}; }
  const Hello& hello() const { return hello_; }
  uint64_t pieces() const { return pieces_; }  // whole ones that arrived: here, or there and back came word of it
  const std::string& source() const { return source_; }
  const std::string& destination() const { return destination_; }

 private:
  void over(State s);
  void failed(int error);
  void close_socket();
  bool take(const uint8_t* bytes, size_t n);
  bool take_record();
  bool take_piece();
  void learn_source();

  Hello hello_;
  int fd_ = -1;
  State state_ = State::kLive;
  std::string error_, source_, destination_;
  Name name_{};
  Record record_{};
  Content payload_{}, expected_{};
  size_t header_bytes_ = 0, payload_bytes_ = 0;
  uint64_t pieces_ = 0, sent_ = 0, next_ms_ = 0;
  bool finishing_ = false, shut_ = false, ended_ = false;
  Outbox out_;
};

}  // namespace lb::tools
