// A snapshot put together by hand, so that a stage is tested apart from the compiler of snapshots; and a batch whose
// frames lie in heap buffers of exactly their size.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/outer.h"
#include "dataplane/stages/batch.h"
#include "tests/packet/builder.h"

namespace lb::stages {

inline lb_addr raw_address(std::string_view text) {
  lb_addr a{};
  if (text.find(':') != std::string_view::npos) {
    const packet::Bytes b = packet::ip6_bytes(text);
    std::copy(b.begin(), b.end(), a.b);
  } else {
    const packet::Bytes b = packet::ip4_bytes(text);
    a.b[10] = a.b[11] = 0xff;
    std::copy(b.begin(), b.end(), a.b + 12);
  }
  return a;
}

class SmallSnapshot {
 public:
  SmallSnapshot() {
    s_.addresses.resize(64);
    s_.listeners.resize(64);
    s_.backends.resize(1);
    s_.hash_key = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
  }

  // Returns its index among the addresses.
  uint32_t own(std::string_view address, uint8_t flags = LB_ADDR_USED, std::vector<lb_port_range> ranges = {}) {
    const lb_addr a = raw_address(address);
    uint32_t at = lb_address_hash(&a) & 63;
    while (s_.addresses[at].flags != 0) at = (at + 1) & 63;
    s_.addresses[at] = {.addr = a,
                        .range_start = static_cast<uint32_t>(s_.ranges.size()),
                        .range_count = static_cast<uint32_t>(ranges.size()),
                        .flags = flags,
                        .pad = {}};
    s_.ranges.insert(s_.ranges.end(), ranges.begin(), ranges.end());
    return at;
  }
  void listen(std::string_view address, uint16_t port, uint8_t proto, uint32_t service, uint32_t listener = 0) {
    const lb_addr a = raw_address(address);
    uint32_t at = lb_listener_hash(lb_address_hash(&a), lb_htons(port), proto) & 63;
    while (s_.listeners[at].proto != 0) at = (at + 1) & 63;
    s_.listeners[at] = {.addr = a,
                        .port = lb_htons(port),
                        .proto = proto,
                        .pad0 = 0,
                        .service = service,
                        .listener = listener,
                        .pad1 = 0};
  }
  // Both families use the table; returns the service's index.
  uint32_t serve(std::vector<uint16_t> slots, lb_forward forward = LB_FORWARD_IPIP,
                 lb_schedule schedule = LB_SCHEDULE_MAGLEV, uint8_t prefix4 = 32, uint8_t prefix6 = 64) {
    auto table = std::make_shared<model::Table>();
    table->size = static_cast<uint32_t>(slots.size());
    table->slots = std::move(slots);
    const auto at = static_cast<uint32_t>(s_.tables.size());
    s_.services.push_back({.table4 = static_cast<uint16_t>(at),
                           .table6 = static_cast<uint16_t>(at),
                           .table_size = table->size,
                           .pool = 1,
                           .former_pool = 0,
                           .forward = static_cast<uint8_t>(forward),
                           .schedule = static_cast<uint8_t>(schedule),
                           .prefix4 = prefix4,
                           .prefix6 = prefix6});
    s_.table_slots.push_back(table->slots.data());
    s_.tables.push_back(std::move(table));
    return static_cast<uint32_t>(s_.services.size() - 1);
  }
  uint16_t add_backend(std::string_view address, std::string_view source, uint16_t mtu = 1500, uint8_t port = 1) {
    lb_backend b{};
    const lb_addr to = raw_address(address), from = raw_address(source);
    const packet::Bytes dst = packet::mac_bytes("02:00:00:00:01:11"), src = packet::mac_bytes("02:00:00:00:00:02");
    b.port = port;
    b.mtu = mtu;
    b.pool = 1;
    b.flags = LB_BACKEND_RESOLVED | LB_BACKEND_ON_LINK | LB_BACKEND_SERVING | LB_BACKEND_READY;
    lb_backend_set_head(&b, &to, &from, dst.data(), src.data());
    s_.backends.push_back(b);
    return static_cast<uint16_t>(s_.backends.size() - 1);
  }
  model::Snapshot& get() { return s_; }

 private:
  model::Snapshot s_;
};

class Frames {
 public:
  explicit Frames(const std::vector<packet::Bytes>& frames, bool kernel_copy = true, uint16_t headroom = 64) {
    const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
    std::copy(mac.begin(), mac.end(), batch.port_mac.begin());
    batch.kernel_copy = kernel_copy;
    for (Slot i = 0; i < frames.size(); i++) {
      buffers_.push_back(std::make_unique<uint8_t[]>(headroom + frames[i].size()));
      if (!frames[i].empty()) std::memcpy(buffers_[i].get() + headroom, frames[i].data(), frames[i].size());
      batch.data[i] = buffers_[i].get() + headroom;
      batch.length[i] = static_cast<uint16_t>(frames[i].size());
      batch.headroom[i] = headroom;
    }
    batch.start(static_cast<uint32_t>(frames.size()));
  }
  packet::Bytes bytes(Slot i) const { return {batch.data[i], batch.data[i] + batch.length[i]}; }

  Batch batch{};

 private:
  std::vector<std::unique_ptr<uint8_t[]>> buffers_;
};

}  // namespace lb::stages
