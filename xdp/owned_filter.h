// The kernel-side filters of ports by kernel interface name (model/owned_filter.h), as BPF. Both vanish with the
// process, however it ends: the XDP program is attached by a BPF link, the tc program too where the kernel has tcx
// (6.6); elsewhere it is a clsact filter that the next start recognises by its name and replaces when its owner is
// gone.
#pragma once

#include <memory>

#include "dataplane/model/owned_filter.h"

namespace lb::xdp {

// ERRORS of attach_xdp, attach_tc:
//   kUnavailable  somebody else's program is attached, or a running lbd's: the sentence names it and how to end that
//   kPermission   BPF is not allowed to this process
//   kUnsupported  kernel or driver can't do it (attach_tc is what remains)
//   kNotFound     no such interface
std::unique_ptr<model::OwnedFilterFactory> owned_filter_factory();

// The two ways of attach_tc, apart for tests: kernels with tcx use the first.
net::Result<std::unique_ptr<model::OwnedFilter>> attach_tcx(const std::string& ifname);
net::Result<std::unique_ptr<model::OwnedFilter>> attach_clsact(const std::string& ifname);

}  // namespace lb::xdp
