// One client: lines in, answers out, in order.
#pragma once

#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "ctl/dispatcher.h"
#include "ctl/server.h"

namespace lb::ctl {

class Connection {
 public:
  // places, unsent: outlive the connection. unsent: bytes of answers to that user; null: they are not counted.
  Connection(boost::asio::local::stream_protocol::socket socket, Dispatcher& dispatcher, const ServerLimits& limits,
             Peer peer, Places& places, size_t* unsent);
  // Until the client closes, is too slow, or sends what is no request. Never throws.
  boost::asio::awaitable<void> run();

 private:
  enum class Received { kBytes, kNothingYet, kEnd };

  boost::asio::awaitable<std::optional<std::string>> read_line();
  boost::asio::awaitable<bool> write(std::string text);
  boost::asio::awaitable<void> wait_for_turn();
  boost::asio::awaitable<Reply> handle(std::string line);
  boost::asio::awaitable<bool> answer(Reply reply);  // RETURNS: whether the connection goes on
  void keep_fds(msghdr& message, bool trusted);
  std::string_view fd_fault() const;  // why the connection ends; empty: it does not
  std::optional<std::string> take_line();
  Received receive();
  void arm(std::chrono::milliseconds time);
  void say(const Reply& reply);  // one try, for a client that is closed next

  // The socket, shared with the timer that may close it after we are gone.
  struct Line {
    explicit Line(boost::asio::local::stream_protocol::socket s) : socket(std::move(s)) {}
    boost::asio::local::stream_protocol::socket socket;
    bool late = false;
  };
  std::shared_ptr<Line> line_;
  boost::asio::steady_timer timer_;
  Dispatcher& dispatcher_;
  const ServerLimits limits_;
  const Peer peer_;
  Places& places_;
  size_t* const unsent_;
  std::string buffer_;        // received, not handled; at most a line and one read
  size_t scanned_ = 0;        // bytes of buffer_ known to hold no newline
  std::deque<UniqueFd> fds_;  // not yet taken by a request
  bool too_many_fds_ = false, foreign_fd_ = false;
  bool asked_ = false;  // a line came already
};

}  // namespace lb::ctl
