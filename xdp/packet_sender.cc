#include "xdp/packet_sender.h"

#include <linux/if_packet.h>
#include <net/if.h>

#include <cerrno>

#include <fmt/format.h>

#include "xdp/interface.h"

namespace lb::xdp {

net::Result<PacketSender> PacketSender::open(const std::string& ifname, int index) {
  const auto failed = [&](const char* what) { return bpf_error(fmt::format("{}: {}", ifname, what), errno); };
  Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));  // protocol 0: receives nothing
  if (!fd.valid()) return failed("opening a packet socket");
  const int on = 1;
  if (setsockopt(fd.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0)
    return failed("PACKET_QDISC_BYPASS of its packet socket");
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = index;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failed("binding a packet socket to it");
  return PacketSender(std::move(fd));
}

Sent PacketSender::send(const uint8_t* frame, size_t length) noexcept {
  if (::send(fd_.get(), frame, length, MSG_DONTWAIT) >= 0) return Sent::kTaken;
  return errno == EMSGSIZE ? Sent::kTooBig : Sent::kFull;
}

}  // namespace lb::xdp
