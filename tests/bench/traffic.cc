#include "tests/bench/traffic.h"

#include "dataplane/net/headers.h"
#include "tests/bench/world.h"
#include "tests/packet/builder.h"

namespace lb::bench {

Traffic::Traffic(const TrafficOptions& o) noexcept
    : flow_(o.first), flows_(o.flows), services_(o.services), first_service_(kService4), family_(o.family) {
  const auto flags = static_cast<uint8_t>(o.syn ? LB_TCP_SYN : LB_TCP_ACK);
  packet::Packet p = packet::eth();
  if (o.family == 4)
    p.ip4("0.0.0.0", "0.0.0.0").tcp(0, 80, {.flags = flags});
  else
    p.ip6("2001:db8:c::", kService6).udp(0, 80);
  packet::Bytes frame = p.bytes();
  frame.resize(kFrame);
  std::copy(kMac.begin(), kMac.end(), frame.begin());
  std::copy(frame.begin(), frame.end(), template_.begin());
  if (o.family == 4) {
    std::memset(template_.data() + 14 + 10, 0, 2);
    sum_ = lb_csum_words(template_.data() + 14, 10);
  }
}

}  // namespace lb::bench
