// A program on an interface, by a pinned BPF link: it stays when lbd dies, and the next lbd replaces it without a
// packet that meets none. Control thread only.
#pragma once

#include <span>
#include <string>

#include "dataplane/model/config.h"
#include "xdp/runtime.h"

namespace lb::xdp {

class Attachment {
 public:
  // Where a former lbd's link is alive and of the same mode, its program is replaced: every packet meets the one or the
  // other. Of another mode: taken off and put on anew, which is logged. Else attached, then pinned. mode is asked for
  // by name: no silent generic. ERRORS: kNotFound (no such interface), kUnavailable (another XDP program is there),
  // kUnsupported (driver), kPermission, kIo; what was attached before stays.
  static net::Result<Attachment> attach(const Runtime& runtime, const std::string& ifname, int program_fd,
                                        model::XdpMode mode, const Log& log);
  Attachment(Attachment&& o) noexcept = default;
  Attachment& operator=(Attachment&& o) noexcept = default;
  ~Attachment() = default;  // the pin stays, and the program attached: detach() ends that

  const std::string& ifname() const noexcept { return ifname_; }
  model::XdpMode mode() const noexcept { return mode_; }
  bool adopted() const noexcept { return adopted_; }  // the link is a former lbd's
  // Another program in place of this one, in one step. ERRORS: kUnavailable (the interface is gone), kIo.
  net::Status replace(int program_fd) const;
  bool is_attached() const;  // false: the interface is gone
  // As take_off().
  net::Status detach();

 private:
  Attachment(const Runtime& runtime, std::string ifname, Fd link, model::XdpMode mode, bool adopted)
      : runtime_(&runtime), ifname_(std::move(ifname)), link_(std::move(link)), mode_(mode), adopted_(adopted) {}

  const Runtime* runtime_;
  std::string ifname_;
  Fd link_;
  model::XdpMode mode_;
  bool adopted_;
};

// The links of a former lbd on interfaces that are not in `keep` end, each with a log line; so do pins of interfaces
// that are gone. For the start.
net::Status detach_others(const Runtime& runtime, std::span<const std::string> keep, const Log& log);

// A link's interface and program, by the kernel.
struct LinkInfo {
  uint32_t ifindex = 0;  // 0: the interface is gone
  uint32_t program = 0;  // id
};
net::Result<LinkInfo> link_info(int link_fd);

// Unpins a link, then detaches and closes it: whoever dies in between leaves nothing attached. link: of that pin.
net::Status take_off(const Runtime& runtime, const std::string& pin, Fd& link);

}  // namespace lb::xdp
