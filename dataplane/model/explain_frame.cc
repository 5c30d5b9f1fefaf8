#include "dataplane/model/explain_frame.h"

#include <cstring>

#include <fmt/format.h>

#include "dataplane/model/config.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"

namespace lb::model {
namespace {

constexpr uint16_t kWindow = 64240;

uint32_t l4_size(net::IpProto proto) {
  return proto == net::IpProto::kTcp ? sizeof(lb_tcp) : sizeof(lb_udp);  // ICMP's is 8 too
}

void fill_l4(uint8_t* at, uint32_t size, const ExplainRequest& r) {
  const lb_be16 sport = lb_htons(r.source.port), dport = lb_htons(r.destination.port);
  if (r.proto == net::IpProto::kTcp) {
    lb_tcp tcp = {};
    tcp.sport = sport;
    tcp.dport = dport;
    tcp.data_offset = 5 << 4;
    tcp.flags = LB_TCP_SYN;
    tcp.window = lb_htons(kWindow);
    memcpy(at, &tcp, sizeof(tcp));
  } else if (r.proto == net::IpProto::kUdp) {
    const lb_udp udp = {sport, dport, lb_htons(static_cast<uint16_t>(size)), 0};
    memcpy(at, &udp, sizeof(udp));
  } else {
    lb_icmp echo = {};
    echo.type = r.proto == net::IpProto::kIcmp ? 8 : 128;
    memcpy(at, &echo, sizeof(echo));
  }
}

// Where the checksum lies in the L4 header.
size_t csum_offset(net::IpProto proto) {
  return proto == net::IpProto::kTcp ? offsetof(lb_tcp, csum)
                                     : (proto == net::IpProto::kUdp ? offsetof(lb_udp, csum) : offsetof(lb_icmp, csum));
}

void fill_l4_csum(uint8_t* l4, uint32_t size, const ExplainRequest& r) {
  uint32_t sum = lb_csum_bytes(l4, size);
  if (r.proto != net::IpProto::kIcmp) {  // the pseudo header
    const uint32_t skip = r.source.address.is_ipv4() ? 12 : 0;
    sum += lb_csum_bytes(r.source.address.bytes().data() + skip, 16 - skip);
    sum += lb_csum_bytes(r.destination.address.bytes().data() + skip, 16 - skip);
    sum += lb_htons(static_cast<uint16_t>(size)) + lb_htons(net::raw(r.proto));
  }
  auto csum = static_cast<lb_be16>(~lb_csum_fold(sum));
  if (csum == 0 && r.proto == net::IpProto::kUdp) csum = 0xffff;
  memcpy(l4 + csum_offset(r.proto), &csum, sizeof(csum));
}

void fill_ip(uint8_t* at, uint32_t size, const ExplainRequest& r) {
  if (r.source.address.is_ipv4()) {
    lb_ipv4 ip = {};
    ip.version_ihl = 0x45;
    ip.total_length = lb_htons(static_cast<uint16_t>(size));
    if (!r.may_fragment) ip.frag = lb_htons(LB_IPV4_DF);
    ip.ttl = 64;
    ip.proto = net::raw(r.proto);
    memcpy(ip.src, r.source.address.ipv4_bytes(), 4);
    memcpy(ip.dst, r.destination.address.ipv4_bytes(), 4);
    ip.csum = lb_csum_ipv4(&ip, sizeof(ip));
    memcpy(at, &ip, sizeof(ip));
    return;
  }
  lb_ipv6 ip = {};
  ip.vtc_flow[0] = 0x60;
  ip.payload_length = lb_htons(static_cast<uint16_t>(size - sizeof(ip)));
  ip.next = net::raw(r.proto);
  ip.hop_limit = 64;
  memcpy(ip.src, r.source.address.bytes().data(), 16);
  memcpy(ip.dst, r.destination.address.bytes().data(), 16);
  memcpy(at, &ip, sizeof(ip));
}

}  // namespace

net::Result<std::vector<uint8_t>> build_frame(const ExplainRequest& r, const std::array<uint8_t, 6>& mac) {
  if (r.source.address.family() != r.destination.address.family())
    return net::Error{net::Code::kInvalid,
                      fmt::format("a packet from {} to {}: both addresses must be IPv4, or both IPv6",
                                  r.source.address.to_string(), r.destination.address.to_string())};
  const bool ipv4 = r.source.address.is_ipv4();
  const auto ip_header = static_cast<uint32_t>(ipv4 ? sizeof(lb_ipv4) : sizeof(lb_ipv6));
  const uint32_t least = ip_header + l4_size(r.proto);
  const uint32_t size = r.size == 0 ? least : r.size;
  if (size < least || size > kMaxMtu)
    return net::Error{net::Code::kInvalid, fmt::format("a packet of {} bytes: {} to {} are possible for this protocol",
                                                       size, least, kMaxMtu)};
  std::vector<uint8_t> frame(sizeof(lb_eth) + size);
  lb_eth eth = {};
  memcpy(eth.dst, mac.data(), mac.size());
  eth.type = lb_htons(ipv4 ? LB_ETH_IPV4 : LB_ETH_IPV6);
  memcpy(frame.data(), &eth, sizeof(eth));
  uint8_t* ip = frame.data() + sizeof(eth);
  fill_ip(ip, size, r);
  fill_l4(ip + ip_header, size - ip_header, r);
  fill_l4_csum(ip + ip_header, size - ip_header, r);
  return frame;
}

FrameFront front_of(std::span<const uint8_t> frame) noexcept {
  constexpr uint32_t kTagged = sizeof(lb_eth) + sizeof(lb_vlan);
  if (frame.size() < sizeof(lb_eth)) return {};
  if (lb_load_be16(&frame[12]) != LB_ETH_VLAN || frame.size() < kTagged) return {.bytes = sizeof(lb_eth)};
  return {.bytes = kTagged, .vlan = static_cast<uint16_t>(lb_load_be16(&frame[14]) & 0xfff)};
}

}  // namespace lb::model
