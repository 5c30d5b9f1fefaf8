// One of our two places among an interface's tc filters: first at ingress, first at egress.
#pragma once

#include <optional>
#include <string>

#include "xdp/bpf_util.h"

namespace lb::xdp {

enum class Direction : uint8_t { kIngress, kEgress };

class DecapFilter {
 public:
  DecapFilter(std::string interface, int ifindex, Direction direction);

  // The program of ours that is attached. ERRORS: kUnavailable when somebody else has the place.
  net::Result<std::optional<ProgramInfo>> attached() const;
  // Atomic when a program of ours is there. REQUIRES: attached() has no error.
  net::Status attach(int program_fd) const;
  net::Status detach() const;

 private:
  std::string words() const;  // "ingress of eth0"
  net::Error foreign(std::string_view who) const;

  std::string interface_;
  int ifindex_;
  Direction direction_;
};

// Makes the hooks of an interface where they are missing. They stay: others may have come to use them.
net::Status make_hooks(const std::string& interface, int ifindex);

}  // namespace lb::xdp
