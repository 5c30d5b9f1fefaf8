// The set of owned addresses of one kernel-side filter: the BPF hash map `owned` of xdp/owned.bpf.h. Control thread.
#pragma once

#include <set>
#include <span>

#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::xdp {

class OwnedSet {
 public:
  explicit OwnedSet(int map_fd) : map_fd_(map_fd) {}  // the map outlives it
  // New addresses enter before old ones leave; those that stay are not touched. ERRORS: kInvalid when there are more
  // than the map takes, kIo; what was done is undone as far as the kernel lets us.
  net::Status replace(std::span<const net::Address> addresses);

 private:
  net::Status insert(const net::Address& address);
  net::Status erase(const net::Address& address);

  int map_fd_;
  std::set<net::Address> present_;
};

}  // namespace lb::xdp
