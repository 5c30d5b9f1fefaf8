#include "dataplane/dpdk/explain.h"

#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "dataplane/dpdk/flow_clock.h"
#include "dataplane/model/counters.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"
#include "dataplane/stages/pipeline.h"

namespace lb::dpdk {
namespace {

constexpr size_t kRoom = 128;  // in front, as in a packet buffer
constexpr uint16_t kWindow = 64240;

uint32_t l4_size(net::IpProto proto) {
  return proto == net::IpProto::kTcp ? sizeof(lb_tcp) : sizeof(lb_udp);  // ICMP's is 8 too
}

// One's complement sum of any number of bytes.
uint32_t sum_bytes(const uint8_t* p, size_t n) {
  uint32_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += i % 2 == 0 ? p[i] : static_cast<uint32_t>(p[i]) << 8;
  return sum;
}

void fill_l4(uint8_t* at, uint32_t size, const model::ExplainRequest& r) {
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

void fill_l4_csum(uint8_t* l4, uint32_t size, const model::ExplainRequest& r) {
  uint32_t sum = sum_bytes(l4, size);
  if (r.proto != net::IpProto::kIcmp) {  // the pseudo header
    const size_t skip = r.source.address.is_ipv4() ? 12 : 0;
    sum += sum_bytes(r.source.address.bytes().data() + skip, 16 - skip);
    sum += sum_bytes(r.destination.address.bytes().data() + skip, 16 - skip);
    sum += lb_htons(static_cast<uint16_t>(size)) + lb_htons(net::raw(r.proto));
  }
  auto csum = static_cast<lb_be16>(~lb_csum_fold(sum));
  if (csum == 0 && r.proto == net::IpProto::kUdp) csum = 0xffff;
  memcpy(l4 + csum_offset(r.proto), &csum, sizeof(csum));
}

void fill_ip(uint8_t* at, uint32_t size, const model::ExplainRequest& r) {
  if (r.source.address.is_ipv4()) {
    lb_ipv4 ip = {};
    ip.version_ihl = 0x45;
    ip.total_length = lb_htons(static_cast<uint16_t>(size));
    ip.frag = lb_htons(LB_IPV4_DF);
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

std::string_view verdict_name(stages::Verdict v) {
  switch (v) {
    case stages::Verdict::kForward:
      return "forwarded";
    case stages::Verdict::kPunt:
      return "punted";
    case stages::Verdict::kDrop:
    case stages::Verdict::kNone:
      break;
  }
  return "dropped";
}

model::Explanation read_out(const stages::Batch& b, const stages::Trace& trace, const model::Snapshot& snapshot) {
  model::Explanation e;
  const stages::Meta& meta = b.meta[0];
  e.generation = snapshot.generation;
  e.verdict = verdict_name(b.verdict[0]);
  if (b.verdict[0] == stages::Verdict::kDrop) e.reason = model::counter(static_cast<lb_counter>(b.reason[0])).name;
  if (trace.listener < snapshot.listener_names.size()) {
    e.listener = snapshot.listener_names[trace.listener];
    if (meta.service < snapshot.service_names.size()) e.service = snapshot.service_names[meta.service];
  }
  if (trace.slot != UINT32_MAX) {
    e.hash = trace.hash;
    e.slot = trace.slot;
    if (meta.backend != 0) e.backend = net::BackendId(meta.backend);
  }
  if (b.verdict[0] == stages::Verdict::kForward) {
    e.port = net::PortId(b.egress[0]);
    e.out.assign(b.data[0], b.data[0] + b.length[0]);
    e.out_bytes = static_cast<uint32_t>(b.length[0] - sizeof(lb_eth));
  }
  return e;
}

// A batch of one packet in memory of its own.
class Asked {
 public:
  Asked(const std::vector<uint8_t>& frame, const ExplainPort& port) : memory_(kRoom + frame.size()) {
    memcpy(memory_.data() + kRoom, frame.data(), frame.size());
    batch_->data[0] = memory_.data() + kRoom;
    batch_->length[0] = static_cast<uint16_t>(frame.size());
    batch_->headroom[0] = kRoom;
    batch_->port_mac = port.mac;
    batch_->kernel_copy = port.kernel_copy;
    batch_->exception_path = port.exception_path;
    batch_->trace = trace_;
    batch_->start(1);
  }
  stages::Batch& batch() { return *batch_; }
  const stages::Trace& trace() const { return trace_[0]; }

 private:
  std::vector<uint8_t> memory_;
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
  stages::Trace trace_[stages::kBatch] = {};
};

// What the flow's entry makes of the answer that the table alone gave.
void overlay(model::Explanation& e, const stages::Batch& b, uint32_t tracked, const model::Snapshot& snapshot) {
  const model::Explanation flow = read_out(b, {}, snapshot);
  e.tracked = model::to_flow_class(tracked);
  e.chosen = e.backend;
  e.backend = net::BackendId(b.meta[0].backend);
  e.verdict = flow.verdict;
  e.reason = flow.reason;
  e.port = flow.port;
  e.out = flow.out;
  e.out_bytes = flow.out_bytes;
}

}  // namespace

net::Result<std::vector<uint8_t>> build_frame(const model::ExplainRequest& r, const std::array<uint8_t, 6>& mac) {
  if (r.source.address.family() != r.destination.address.family())
    return net::Error{net::Code::kInvalid,
                      fmt::format("a packet from {} to {}: both addresses must be IPv4, or both IPv6",
                                  r.source.address.to_string(), r.destination.address.to_string())};
  const bool ipv4 = r.source.address.is_ipv4();
  const auto ip_header = static_cast<uint32_t>(ipv4 ? sizeof(lb_ipv4) : sizeof(lb_ipv6));
  const uint32_t least = ip_header + l4_size(r.proto);
  const uint32_t size = r.size == 0 ? least : r.size;
  if (size < least || size > model::kMaxMtu)
    return net::Error{net::Code::kInvalid, fmt::format("a packet of {} bytes: {} to {} are possible for this protocol",
                                                       size, least, model::kMaxMtu)};
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

net::Result<model::Explanation> explain(const model::ExplainRequest& request, const model::Snapshot& snapshot,
                                        const ExplainPort& port, std::span<const stages::FlowTable> flows) {
  const auto frame = build_frame(request, port.mac);
  if (!frame) return frame.error();
  Asked asked(*frame, port);
  stages::run(asked.batch(), snapshot);
  model::Explanation explanation = read_out(asked.batch(), asked.trace(), snapshot);
  explanation.in_bytes = static_cast<uint32_t>(frame->size() - sizeof(lb_eth));
  if (flows.empty() || !explanation.service) return explanation;
  Asked again(*frame, port);
  const uint32_t tracked = stages::run_dry(again.batch(), snapshot, flows, flow_clock_ms());
  if (tracked != LB_FLOW_FREE) overlay(explanation, again.batch(), tracked, snapshot);
  return explanation;
}

}  // namespace lb::dpdk
