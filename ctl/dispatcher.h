// One request line to one answer line: JSON-RPC 2.0 without batches and notifications. Knows no socket, so that tests
// and the fuzzer can call it. The one place where a caller's role is held against what a method needs, and where
// changes and refusals get their line in the audit log. Control thread only.
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

  Role role_of(const Peer& peer) const { return node_.access.role_of(peer); }
  // The answer to one without a role, whose requests are not even read; audited.
  Reply turn_away(const Peer& peer);

 private:
  struct Request;
  Reply run(const Method& method, const Request& request, Call& call);
  Reply refuse(const Method& method, const Request& request, const Peer& peer, Role needed);
  AuditEntry audit_entry(const Peer& peer) const;

  Node& node_;
};

// Answers to what never becomes a request.
Reply fault_reply(int rpc_code, net::Code code, std::string_view message);

}  // namespace lb::ctl
