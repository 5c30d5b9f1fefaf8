// Receive offloads that make an XDP program see what was not on the wire, or not see what was: frames that were merged,
// VLAN tags that were taken away. Off while the engine is attached, restored afterwards.
//   generic mode  gro, lro, rx-gro-hw, rxvlan (and the tag of a service provider's)
//   native mode   the same without gro, which comes behind the program
// What was on stands in a file, one line `IFNAME FEATURE...` for each interface, so that the lbd after one that was
// killed restores it all the same. Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/net/result.h"

namespace lb::xdp {

using Log = std::function<void(std::string_view)>;

class Offloads {
 public:
  // To be called before programs are attached. What a former lbd had turned off of other interfaces, or for another
  // mode, is restored now. What the driver does not let go is told to the log and left.
  // file: <folder of the socket>/offloads. ERRORS: kIo (the file), kNotFound (interface), kPermission.
  static net::Result<std::unique_ptr<Offloads>> turn_off(std::string file,
                                                         const std::vector<model::XdpInterface>& interfaces, Log log);
  ~Offloads();  // restore()
  Offloads(const Offloads&) = delete;
  Offloads& operator=(const Offloads&) = delete;

  void restore();  // after programs were detached; the file goes

 private:
  using Features = std::set<std::string>;  // the kernel's names: ethtool -k shows most of them by others

  Offloads(std::string file, Log log) : file_(std::move(file)), log_(std::move(log)) {}
  net::Status turn_off_of(const model::XdpInterface& interface);
  net::Status write_file() const;

  std::string file_;
  Log log_;
  std::map<std::string, Features> was_on_;  // by interface
};

}  // namespace lb::xdp
