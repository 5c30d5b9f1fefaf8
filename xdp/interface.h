// What the filters need to know of a kernel interface, and sentences for what the kernel answers.
#pragma once

#include <string>

#include "dataplane/model/owned_filter.h"
#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::xdp {

net::Result<net::Mac> interface_mac(const std::string& ifname);
net::Error no_such_interface(const std::string& ifname);
// "xsk_def_prog, id 12": the XDP program that is attached now; "unknown" when the kernel does not tell.
std::string attached_program(const std::string& ifname);
// Another XDP program is attached, and what to do. program: as attached_program() says.
std::string busy_with(const std::string& ifname, const std::string& program);
// Whether a program of ours could be attached, without a try. An interface that is not there is nobody's.
model::XdpUse xdp_use(const std::string& ifname);
// what: "wan: attaching the filter"; error: a positive errno. kPermission, kUnsupported or kIo.
net::Error bpf_error(const std::string& what, int error);

}  // namespace lb::xdp
