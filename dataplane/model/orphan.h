// What an XDP engine leaves in the kernel when its lbd dies, as plain values: `lbctl engine show` and `lbctl engine
// detach` where no daemon answers. Implemented in xdp/, handed to the commands of ctl/ by ctl/lbctl.cc.
//
// A killed lbd's programs go on forwarding with what they have, flow tables included, until the heartbeat is older than
// daemon.xdp's orphan-after; from then on they pass everything to the kernel. The next lbd takes them over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/model/decap.h"
#include "dataplane/net/result.h"

namespace lb::model {

struct OrphanInterface {
  std::string name;      // as it was when lbd attached; the kernel may have renamed it since
  uint32_t ifindex = 0;  // 0: the interface is gone, nothing is attached any more
  uint32_t program = 0;  // kernel id of the attached program
};

struct OrphanState {
  std::string folder;                       // where the pins lie
  bool daemon = false;                      // an lbd lives and has them in use
  uint32_t pid = 0;                         // of the lbd that wrote the heartbeat last, living or dead; 0: not known
  bool forwards = false;                    // programs are attached, and the heartbeat is younger than orphan-after
  std::vector<OrphanInterface> interfaces;  // by name
  // Ages in ms of the machine's running time. Valid when pid is not 0.
  uint64_t started_ago_ms = 0;    // since that lbd started
  uint64_t heartbeat_ago_ms = 0;  // since its last sign of life: so long nobody has been in control
  uint64_t orphan_after_ms = 0;   // so long after the heartbeat forwarding ends; 0: never
  uint64_t memory = 0;            // bytes of the flow tables that wait for the next lbd; 0: there are none
  bool is_empty() const noexcept { return interfaces.empty() && memory == 0; }
};

enum class Force : uint8_t { kNo, kYes };

class Orphans {
 public:
  virtual ~Orphans() = default;
  // socket: as daemon.socket of the lbd. Changes nothing. Nothing there is no error: an empty state. ERRORS:
  // kPermission, kIo.
  virtual net::Result<OrphanState> show(const std::string& socket) = 0;
  // Takes the programs off their interfaces, then forgets the flow tables. RETURNS: what was there. ERRORS:
  // kConflict with a living lbd, forced or not: stop that one, it detaches by itself; kConflict where the programs
  // still forward, unless it is forced; kNotFound: there is nothing; kPermission, kIo.
  virtual net::Result<OrphanState> detach(const std::string& socket, Force force, Run run) = 0;
};

}  // namespace lb::model
