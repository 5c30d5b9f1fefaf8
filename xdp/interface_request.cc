#include "xdp/interface_request.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "xdp/interface.h"

namespace lb::xdp {

InterfaceRequest::InterfaceRequest(const std::string& ifname) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  ifname.copy(request_.ifr_name, IFNAMSIZ - 1);
}

InterfaceRequest::~InterfaceRequest() {
  if (fd_ >= 0) close(fd_);
}

bool InterfaceRequest::call(unsigned long code) {
  return ioctl(fd_, code, &request_) >= 0;  // of ETHTOOL_SFEATURES: bits
}

bool InterfaceRequest::ethtool(void* command) {
  request_.ifr_data = static_cast<char*>(command);
  return call(SIOCETHTOOL);
}

net::Error InterfaceRequest::error(const std::string& what) const {
  if (errno == ENODEV) return no_such_interface(request_.ifr_name);
  return bpf_error(fmt::format("{}: {}", request_.ifr_name, what), errno);
}

}  // namespace lb::xdp
