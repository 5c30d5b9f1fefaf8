// One request line to one answer line: JSON-RPC 2.0 without batches and notifications. Knows no socket, so that tests
// and the fuzzer can call it. Control thread only.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "ctl/call.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {

inline constexpr size_t kMaxLine = size_t{1} << 20;  // bytes of a request, without the newline

struct Reply {
  std::string line;    // without the newline
  bool close = false;  // not JSON: whatever follows is not to be trusted either
};

class Dispatcher {
 public:
  explicit Dispatcher(Node& node) : node_(node) {}
  // fds: descriptors that came with the connection, oldest first; a request that says `fd` takes one.
  Reply handle(std::string_view line, const Peer& peer, std::deque<UniqueFd>& fds);

 private:
  Node& node_;
};

// Answers to what never becomes a request.
Reply fault_reply(int rpc_code, net::Code code, std::string_view message);

}  // namespace lb::ctl
