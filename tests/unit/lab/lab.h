// Three network namespaces in a row, client - lbd - backend, and an lbd engine in a process of its own in the middle
// one. The service address 192.0.2.10 is on lo of the middle and of the backend's namespace: a kernel that gets to see
// an owned packet there answers it with an ICMP error, which the client's socket reports.
//
//   client 10.1.0.2 -- wan 10.1.0.1 [ lbd ] lan 10.2.0.1 -- 10.2.0.2 backend
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/reach.h"
#include "dataplane/model/snapshot.h"

namespace lb::lab {

// Empty when this machine and user can run it, else why not.
std::string why_no_lab();

class Lab {
 public:
  // queues: receive and transmit queues of lbd's interfaces; mtu: of all links.
  Lab(int queues, int mtu);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // A shell command in a namespace: "client", "lbd", "backend". RETURNS: its exit status.
  int run(const std::string& where, const std::string& command) const;
  // A UDP socket in a namespace.
  int udp_socket(const std::string& where) const;
  int udp_client() const;  // in "client", connected to the service
  // One that gets the outer packets of `ipip`.
  int tunnel_socket(const std::string& where) const;
  std::string name(const std::string& where) const;
  uint16_t mtu() const { return static_cast<uint16_t>(mtu_); }

 private:
  int socket_in(const std::string& where, const std::function<int()>& make) const;
  void shell(const std::string& command) const;

  std::string prefix_;
  int mtu_;
};

// A child process in the lab's middle: runs a function there, tells what it says, and keeps what it returned until it
// is asked to end.
class ChildInLab {
 public:
  // What to tell, and what to do at the end (may be empty).
  using Body = std::function<std::pair<std::string, std::function<void()>>()>;
  ChildInLab(const Lab& lab, const Body& body);
  ~ChildInLab();  // asks it to end, and waits
  ChildInLab(const ChildInLab&) = delete;
  ChildInLab& operator=(const ChildInLab&) = delete;

  const std::string& said() const { return said_; }
  void kill();  // SIGKILL
  void end();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int to_child_ = -1, from_child_ = -1;
  std::string said_;
};

// What is configured and reachable there: a service on 192.0.2.10:53/udp by way of port 1. Without a daemon's settings.
struct World {
  model::Config config;
  model::Topology topology;
};
World make_world(model::Forward forward, uint16_t mtu);
std::shared_ptr<const model::Snapshot> compile(const World& world, uint64_t generation);

inline constexpr lb_hash_key kLabKey = {1, 2};

[[noreturn]] void die(const std::string& what);

}  // namespace lb::lab
