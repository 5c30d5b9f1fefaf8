// Receive offloads that make an XDP program see what was not on the wire, or not see what was: frames that were merged,
// VLAN tags that were taken away. Off while the engine is attached, restored afterwards.
//   generic mode  rx-gro, rx-lro, rx-gro-hw, rx-vlan-hw-parse, rx-vlan-stag-hw-parse
//   native mode   the same without rx-gro, which comes behind the program
// What was on stands in a file, one line `IFNAME FEATURE...` for each interface, so that the lbd after one that was
// killed restores it all the same. Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/net/result.h"
#include "xdp/interface_features.h"

namespace lb::xdp {

using Log = std::function<void(std::string_view)>;

class Offloads {
 public:
  // To be called before programs are attached. What a former lbd turned off and this one need not have off (another
  // interface, another mode) is restored now. What a driver does not let go is told to the log and left.
  // file: <folder of the socket>/offloads. ERRORS: kIo (the file), kNotFound (interface), kPermission, kUnsupported;
  // what this call turned off is on again then, what a former lbd did stays as it was.
  static net::Result<std::unique_ptr<Offloads>> turn_off(std::string file,
                                                         const std::vector<model::XdpInterface>& interfaces, Log log);
  ~Offloads() { restore(); }
  Offloads(const Offloads&) = delete;
  Offloads& operator=(const Offloads&) = delete;

  void restore();  // once programs were detached; the file goes

 private:
  Offloads(std::string file, Log log) : file_(std::move(file)), log_(std::move(log)) {}
  void read_file();
  net::Status write_file() const;
  void restore_others(const std::vector<model::XdpInterface>& interfaces);
  net::Status turn_off_all(const std::vector<model::XdpInterface>& interfaces);
  void undo(const std::map<std::string, Features>& before);
  net::Status remember(const model::XdpInterface& interface);
  net::Status turn_off_of(const model::XdpInterface& interface);
  void turn_on(const std::string& ifname, const Features& features) const;

  std::string file_;
  Log log_;
  std::map<std::string, Features> was_on_;  // by interface
};

}  // namespace lb::xdp
