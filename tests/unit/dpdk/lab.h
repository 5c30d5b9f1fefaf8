// Three network namespaces in a row, client - lbd - backend, and an lbd engine in a process of its own in the middle
// one. The service address 192.0.2.10 is on lo of the middle and of the backend's namespace: a kernel that gets to see
// an owned packet there answers it with an ICMP error, which the client's socket reports.
//
//   client 10.1.0.2 -- wan 10.1.0.1 [ lbd ] lan 10.2.0.1 -- 10.2.0.2 backend
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/model/config.h"

namespace lb::dpdk::testing {

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
  // One that gets the outer packets of `ipip`.
  int tunnel_socket(const std::string& where) const;
  uint16_t mtu() const { return static_cast<uint16_t>(mtu_); }

 private:
  std::string name(const std::string& where) const;
  int socket_in(const std::string& where, const std::function<int()>& make) const;
  void shell(const std::string& command) const;

  std::string prefix_;
  int mtu_;
};

// An engine in a child process in the lab's middle, with ports wan and lan, and a service on 192.0.2.10:53/udp.
class EngineProcess {
 public:
  EngineProcess(const Lab& lab, std::vector<uint32_t> workers, model::Forward forward);
  ~EngineProcess();  // asks it to end, and waits
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  // What it said when it was ready: the driver of its first port, or "error: " and the sentence.
  const std::string& said() const { return said_; }
  void kill();  // SIGKILL
  void end();

 private:
  pid_t pid_ = -1;
  int to_child_ = -1, from_child_ = -1;
  std::string said_;
};

}  // namespace lb::dpdk::testing
