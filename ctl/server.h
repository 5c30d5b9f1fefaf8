// Accepts clients at a listening Unix socket and answers their lines, in order, one at a time each. What one client can
// take from the daemon is bounded: bytes of a line, seconds for a line and for taking an answer, descriptors, and the
// number of clients. Control thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <memory>

#include "ctl/dispatcher.h"

namespace lb::ctl {

struct ServerLimits {
  size_t clients = 64;
  std::chrono::milliseconds line_time = std::chrono::seconds(30);   // from the first byte of a line to its end
  std::chrono::milliseconds write_time = std::chrono::seconds(30);  // without progress
  std::chrono::milliseconds idle_time = std::chrono::minutes(10);   // between lines
};

class Server {
 public:
  // listener: a listening socket, adopted. The dispatcher outlives the io_context's run.
  Server(boost::asio::io_context& io, int listener, Dispatcher& dispatcher, ServerLimits limits = {});
  void start();
  void stop();  // no new clients

 private:
  boost::asio::io_context& io_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
  Dispatcher& dispatcher_;
  ServerLimits limits_;
  std::shared_ptr<size_t> clients_ = std::make_shared<size_t>(0);  // shared with connections: they may outlive us
};

}  // namespace lb::ctl
