// Accepts clients at a listening Unix socket and answers their lines, in order, one at a time each. What one client can
// take from the daemon is bounded: bytes of a line, seconds for a line and for taking an answer, descriptors, and the
// number of clients. Who has no role is turned away before a byte is read; viewers leave some places, and half of the
// control thread's time, to operators. Control thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <map>
#include <memory>

#include "ctl/dispatcher.h"

namespace lb::ctl {

struct ServerLimits {
  size_t clients = 64;
  size_t viewers = 48;     // of the clients: the rest of the places is for operators
  size_t per_viewer = 16;  // of one user that is no operator
  // Bytes of answers to one such user that are not taken: as long as there are more, his requests wait.
  size_t viewer_unsent = size_t{16} << 20;
  std::chrono::milliseconds first_time = std::chrono::seconds(30);  // until the first line's first byte
  std::chrono::milliseconds line_time = std::chrono::seconds(30);   // from the first byte of a line to its end
  std::chrono::milliseconds write_time = std::chrono::seconds(30);  // without progress
  std::chrono::milliseconds idle_time = std::chrono::minutes(10);   // between lines
};

// Who is connected, and the viewers' share of the time.
struct Places {
  size_t clients = 0, viewers = 0;
  struct Viewer {
    size_t connections = 0, unsent = 0;  // unsent: bytes of answers
  };
  std::map<uint32_t, Viewer> by_viewer;  // by uid, while there are connections
  // Before it no viewer's request is handled. Each one's end puts it off by as long as the request took, so that all
  // viewers together never have more than half of the control thread.
  std::chrono::steady_clock::time_point viewers_turn;
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
  std::shared_ptr<Places> places_ = std::make_shared<Places>();  // shared with connections: they may outlive us
};

}  // namespace lb::ctl
