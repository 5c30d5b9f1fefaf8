#include "tests/unit/dpdk/ring_port.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <rte_bus_vdev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

namespace lb::dpdk::testing {
namespace {

constexpr uint32_t kRingSize = 1024;

void put(rte_mbuf* m, std::span<const uint8_t> bytes) {
  char* at = rte_pktmbuf_append(m, static_cast<uint16_t>(bytes.size()));
  if (at == nullptr) std::abort();
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
}

}  // namespace

Eal& test_eal() {
  static const std::unique_ptr<Eal> eal = [] {
    const std::vector<uint32_t> cores = allowed_cores();
    auto made = Eal::init({.workers = {cores.front(), cores.back(), cores.front(), cores.back()},
                           .huge_pages = model::HugePages::kOff,
                           .memory_mb = 256,
                           .log = [](std::string_view line) {
                             std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
                           }});
    if (!made) {
      std::fprintf(stderr, "%s\n", made.error().message.c_str());
      std::abort();
    }
    return std::move(*made);
  }();
  return *eal;
}

RingPort::RingPort(const std::string& name, uint16_t rx_queues, uint16_t tx_queues, const net::Mac& mac)
    : name_(name), mac_(mac) {
  const auto make = [&](std::vector<rte_ring*>& rings, const std::string& kind, uint16_t count) {
    for (uint16_t q = 0; q < count; q++) {
      rings.push_back(rte_ring_create((name + kind + std::to_string(q)).c_str(), kRingSize, 0, 0));
      if (rings.back() == nullptr) std::abort();
    }
  };
  make(rx_, "_rx", rx_queues);
  make(tx_, "_tx", tx_queues);
  const int id = rte_eth_from_rings(name.c_str(), rx_.data(), rx_queues, tx_.data(), tx_queues, 0);
  if (id < 0) std::abort();
  id_ = static_cast<uint16_t>(id);
  rte_ether_addr own = {};
  rte_eth_macaddr_get(id_, &own);
  std::memcpy(own_mac_.bytes.data(), own.addr_bytes, own_mac_.bytes.size());
}

RingPort::~RingPort() {
  rte_eth_dev_stop(id_);
  rte_vdev_uninit(device().c_str());
  for (const auto& rings : {rx_, tx_})
    for (rte_ring* r : rings) {
      void* object = nullptr;
      while (rte_ring_dequeue(r, &object) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(object));
      rte_ring_free(r);
    }
}

void RingPort::address_to_own_mac(rte_mbuf* m) const {
  auto* destination = rte_pktmbuf_mtod(m, uint8_t*);
  if (m->data_len >= mac_.bytes.size() && std::equal(mac_.bytes.begin(), mac_.bytes.end(), destination))
    std::copy(own_mac_.bytes.begin(), own_mac_.bytes.end(), destination);
}

bool RingPort::inject(Buffers& buffers, std::span<const uint8_t> frame, uint16_t queue, uint16_t headroom) {
  rte_mbuf* m = rte_pktmbuf_alloc(buffers.pool());
  if (m == nullptr) return false;
  m->data_off = headroom;
  put(m, frame);
  address_to_own_mac(m);
  if (rte_ring_enqueue(rx_[queue], m) == 0) return true;
  rte_pktmbuf_free(m);
  return false;
}

bool RingPort::inject_segments(Buffers& buffers, std::span<const uint8_t> frame, size_t cut) {
  rte_mbuf* first = rte_pktmbuf_alloc(buffers.pool());
  rte_mbuf* second = rte_pktmbuf_alloc(buffers.pool());
  if (first == nullptr || second == nullptr) std::abort();
  put(first, frame.first(cut));
  put(second, frame.subspan(cut));
  if (rte_pktmbuf_chain(first, second) != 0) std::abort();
  address_to_own_mac(first);
  if (rte_ring_enqueue(rx_[0], first) == 0) return true;
  rte_pktmbuf_free(first);
  return false;
}

std::optional<std::vector<uint8_t>> RingPort::take(uint16_t queue) {
  void* object = nullptr;
  if (rte_ring_dequeue(tx_[queue], &object) != 0) return std::nullopt;
  auto* m = static_cast<rte_mbuf*>(object);
  const auto* data = rte_pktmbuf_mtod(m, const uint8_t*);
  std::vector<uint8_t> frame(data, data + m->data_len);
  rte_pktmbuf_free(m);
  const auto source = frame.begin() + 6;
  if (frame.size() >= 12 && std::equal(own_mac_.bytes.begin(), own_mac_.bytes.end(), source))
    std::copy(mac_.bytes.begin(), mac_.bytes.end(), source);
  return frame;
}

uint32_t RingPort::waiting(uint16_t queue) const {
  return rte_ring_count(tx_[queue]);
}

}  // namespace lb::dpdk::testing
