#include "ctl/host_machine.h"

#include "ctl/nic_netlink.h"

namespace lb::ctl {

host::Machine this_machine() {
  host::Machine machine;
  machine.mtu_range = mtu_range;
  return machine;
}

}  // namespace lb::ctl
