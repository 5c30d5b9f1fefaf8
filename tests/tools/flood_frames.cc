#include "tests/tools/flood_frames.h"

#include <cstring>

#include "dataplane/net/csum.h"

namespace lb::tools {
namespace {

constexpr size_t kIp = sizeof(lb_eth), kL4 = kIp + sizeof(lb_ipv4);
constexpr size_t kIpCsum = kIp + offsetof(lb_ipv4, csum), kIpSource = kIp + offsetof(lb_ipv4, src);

void patch(uint8_t* frame, size_t at, lb_be16 value, std::initializer_list<size_t> checksums) {
  lb_be16 before = 0;
  std::memcpy(&before, frame + at, 2);
  std::memcpy(frame + at, &value, 2);
  for (const size_t c : checksums) {
    lb_be16 csum = 0;
    std::memcpy(&csum, frame + c, 2);
    csum = lb_csum_update16(csum, before, value);
    std::memcpy(frame + c, &csum, 2);
  }
}

}  // namespace

Template Template::tcp(const Target& to, uint8_t flags) {
  packet::Tcp options;
  options.flags = flags;
  return {packet::eth(to.lbd_mac, to.own_mac).ip4("0.0.0.0", to.vip).tcp(0, to.port, options).bytes(),
          kL4 + offsetof(lb_tcp, csum)};
}

Template Template::udp(const Target& to) {
  return {packet::eth(to.lbd_mac, to.own_mac).ip4("0.0.0.0", to.vip).udp(0, to.port).payload("flood").bytes(),
          kL4 + offsetof(lb_udp, csum)};
}

void Template::make(const Source& from, packet::Bytes& out) const {
  out = frame_;
  patch(out.data(), kIpSource, lb_htons(static_cast<uint16_t>(from.address >> 16)), {kIpCsum, l4_csum_});
  patch(out.data(), kIpSource + 2, lb_htons(static_cast<uint16_t>(from.address)), {kIpCsum, l4_csum_});
  patch(out.data(), kL4, lb_htons(from.port), {l4_csum_});
}

std::optional<std::vector<Template>> flood_kind(std::string_view name, const Target& to) {
  const Template syn = Template::tcp(to, LB_TCP_SYN), ack = Template::tcp(to, LB_TCP_ACK);
  if (name == "syn") return {{syn}};
  if (name == "ack") return {{ack}};
  if (name == "syn+ack") return {{Template::tcp(to, LB_TCP_SYN | LB_TCP_ACK)}};
  if (name == "syn,ack,ack") return {{syn, ack, ack}};
  if (name == "rst") return {{Template::tcp(to, LB_TCP_RST)}};
  if (name == "udp") return {{Template::udp(to)}};
  return std::nullopt;
}

}  // namespace lb::tools
