#include "tests/tools/flood_link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>

#include <array>
#include <fstream>

#include "dataplane/net/headers.h"
#include "tests/tools/flood_frames.h"
#include "tests/tools/socket.h"

namespace lb::tools {
namespace {

constexpr size_t kOuter = sizeof(lb_eth), kInner = kOuter + sizeof(lb_ipv4);
constexpr size_t kOuterProto = kOuter + offsetof(lb_ipv4, proto), kOuterDestination = kOuter + offsetof(lb_ipv4, dst);
constexpr size_t kInnerSource = kInner + offsetof(lb_ipv4, src);
constexpr size_t kHeard = kInnerSource + 4;

int packet_socket(const std::string& interface, uint16_t protocol) {
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) die("packet socket");
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(protocol);
  to.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (to.sll_ifindex == 0) die(interface);
  if (protocol != 0) {
    // IP in IP whose inner source is a flow's that lasts; the flood itself stays in the kernel.
    std::array<sock_filter, 7> code{
        {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kOuterProto), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LB_PROTO_IPIP, 0, 4),
         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kInnerSource), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kLastingMask),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kLasting, 0, 1), BPF_STMT(BPF_RET | BPF_K, kHeard),
         BPF_STMT(BPF_RET | BPF_K, 0)}};
    const sock_fprog program = {static_cast<unsigned short>(code.size()), code.data()};
    const int room = 32 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) die("SO_ATTACH_FILTER");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0) die("SO_RCVBUFFORCE");
  }
  if (bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) die("bind to " + interface);
  return fd;
}

}  // namespace

Link::Link(const std::string& interface)
    : out_(packet_socket(interface, 0)), in_(packet_socket(interface, LB_ETH_IPV4)) {
  const std::string folder = "/sys/class/net/" + interface;
  counter_ = open((folder + "/statistics/rx_packets").c_str(), O_RDONLY | O_CLOEXEC);
  if (counter_ < 0) die(folder + "/statistics/rx_packets");
  std::ifstream(folder + "/address") >> mac_;
}

Link::~Link() {
  for (const int fd : {out_, in_, counter_}) close(fd);
}

void Link::send(std::vector<packet::Bytes>& frames, size_t count) {
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> pieces;
  for (size_t i = 0; i < count; i++) {
    pieces[i] = {frames[i].data(), frames[i].size()};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (size_t done = 0; done < count;) {
    const int n = sendmmsg(out_, messages.data() + done, static_cast<unsigned>(count - done), 0);
    if (n > 0) done += static_cast<size_t>(n);
    if (n < 0 && errno != ENOBUFS && errno != EAGAIN) die("sendmmsg");
  }
}

uint64_t Link::received() const {
  char text[32] = {};
  if (pread(counter_, text, sizeof(text) - 1, 0) <= 0) die("rx_packets");
  return strtoull(text, nullptr, 10);
}

size_t Link::hear(Heard (&out)[kBurst]) {
  std::array<mmsghdr, kBurst> messages{};
  std::array<iovec, kBurst> pieces;
  std::array<std::array<uint8_t, kHeard>, kBurst> bytes;
  for (size_t i = 0; i < kBurst; i++) {
    pieces[i] = {bytes[i].data(), kHeard};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int n = recvmmsg(in_, messages.data(), kBurst, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < n; i++) {
    uint32_t source = 0, destination = 0;
    std::memcpy(&source, &bytes[static_cast<size_t>(i)][kInnerSource], 4);
    std::memcpy(&destination, &bytes[static_cast<size_t>(i)][kOuterDestination], 4);
    out[i] = {lb_ntohl(source) & ~kLastingMask, lb_ntohl(destination)};
  }
  return n < 0 ? 0 : static_cast<size_t>(n);
}

}  // namespace lb::tools
