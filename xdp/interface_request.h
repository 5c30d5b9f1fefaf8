// One ioctl about one interface, by a plain datagram socket, the handle that such calls want; nothing is sent or
// received by it. Control thread only.
#pragma once

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

#include <string>

#include "dataplane/net/result.h"

namespace lb::xdp {

class InterfaceRequest {
 public:
  explicit InterfaceRequest(const std::string& ifname);
  ~InterfaceRequest();
  InterfaceRequest(const InterfaceRequest&) = delete;
  InterfaceRequest& operator=(const InterfaceRequest&) = delete;

  bool call(unsigned long code);  // SIOC...; false: errno says why
  bool ethtool(void* command);    // a struct of linux/ethtool.h, answered in place
  ifreq& value() { return request_; }
  // After a call that failed: "veth0: its MTU: ...". kNotFound, kPermission, kUnsupported or kIo.
  net::Error error(const std::string& what) const;

 private:
  int fd_;
  ifreq request_ = {};
};

}  // namespace lb::xdp
