// The features of an interface (offloads), by the names that the kernel has for them: ethtool -k shows some of them by
// others. Control thread only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "dataplane/net/result.h"

namespace lb::xdp {

using Features = std::set<std::string>;

class FeatureTable {
 public:
  // ERRORS: kNotFound, kPermission, kUnsupported (the kernel does not tell), kIo.
  static net::Result<FeatureTable> read(const std::string& ifname);
  // Of these. What the interface does not know is not active.
  Features active(const Features& of) const;
  // Those that the driver can change, and they alone; the kernel takes them all or none.
  // ERRORS: as read(). What did not come to pass is seen by another read().
  net::Status set(const Features& which, bool on) const;

 private:
  explicit FeatureTable(std::string ifname) : ifname_(std::move(ifname)) {}

  std::string ifname_;
  std::vector<std::string> names_;             // by bit
  std::vector<uint32_t> active_, changeable_;  // words of bits
};

}  // namespace lb::xdp
