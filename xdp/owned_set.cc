#include "xdp/owned_set.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <bpf/bpf.h>
#include <fmt/format.h>

namespace lb::xdp {

namespace {
constexpr size_t kMaxOwned = 65536;  // LB_MAX_OWNED of owned.bpf.h
}

net::Status OwnedSet::insert(const net::Address& address) {
  const lb_addr key = address.raw();
  const uint8_t value = 1;
  if (bpf_map_update_elem(map_fd_, &key, &value, BPF_ANY) != 0)
    return net::Error{net::Code::kIo,
                      fmt::format("owned address {}: the kernel refuses it: {}", address.to_string(), strerror(errno))};
  present_.insert(address);
  return {};
}

net::Status OwnedSet::erase(const net::Address& address) {
  const lb_addr key = address.raw();
  if (bpf_map_delete_elem(map_fd_, &key) != 0 && errno != ENOENT)
    return net::Error{net::Code::kIo,
                      fmt::format("owned address {}: the kernel keeps it: {}", address.to_string(), strerror(errno))};
  present_.erase(address);
  return {};
}

net::Status OwnedSet::replace(std::span<const net::Address> addresses) {
  const std::set<net::Address> wanted(addresses.begin(), addresses.end());
  if (wanted.size() > kMaxOwned)
    return net::Error{net::Code::kInvalid,
                      fmt::format("{} listener addresses: at most {} fit a port's filter", wanted.size(), kMaxOwned)};
  std::vector<net::Address> entering, leaving;
  std::set_difference(wanted.begin(), wanted.end(), present_.begin(), present_.end(), std::back_inserter(entering));
  std::set_difference(present_.begin(), present_.end(), wanted.begin(), wanted.end(), std::back_inserter(leaving));
  for (size_t i = 0; i < entering.size(); i++) {
    net::Status inserted = insert(entering[i]);
    if (inserted) continue;
    for (size_t undo = 0; undo < i; undo++) (void)erase(entering[undo]);
    return inserted;
  }
  for (const net::Address& a : leaving)
    if (net::Status erased = erase(a); !erased) return erased;
  return {};
}

}  // namespace lb::xdp
