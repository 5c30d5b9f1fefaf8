// A process that keeps the descriptor of lbd-vip, and so its routes, when lbd is killed: the XDP programs go on
// forwarding (docs/xdp.md), and routers shall go on sending. It does nothing while lbd lives. Then it ends, and the
// routes with it, as soon as the programs forward no more: orphan-after is over, or they were detached. The next lbd
// takes the descriptor over from it, so that the routes stay without a gap.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "ctl/unique_fd.h"
#include "dataplane/model/orphan.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

// The holder of this lbd. Control thread only.
class VipHolder {
 public:
  // path: of its socket, where only our user may connect; socket: of lbd. It is this executable, run with kHoldOption.
  // ERRORS: kIo, kInvalid: the path is too long for a socket.
  static net::Result<std::unique_ptr<VipHolder>> start(int device, const std::string& path, const std::string& socket);
  ~VipHolder();  // ends it
  VipHolder(const VipHolder&) = delete;
  VipHolder& operator=(const VipHolder&) = delete;
  bool is_alive();

 private:
  VipHolder(pid_t process, UniqueFd life, std::string path);
  pid_t process_;
  UniqueFd life_;  // a pipe's end: its other end tells the holder when we are gone
  std::string path_;
};

inline constexpr const char* kHoldOption = "--hold-announcement";

// The descriptor that the holder of a dead lbd keeps at that path; the holder ends. None: there is no such holder.
std::optional<UniqueFd> take_from_holder(const std::string& path);

// What `lbd --hold-announcement SOCKET` does. RETURNS: the exit status.
int hold_announcement(const std::string& socket, model::Orphans& orphans);

}  // namespace lb::ctl
