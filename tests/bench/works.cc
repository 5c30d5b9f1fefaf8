#include "tests/bench/works.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <x86intrin.h>

#include "dataplane/dpdk/tx.h"
#include "dataplane/flows/flow_clock.h"
#include "dataplane/stages/choose.h"
#include "dataplane/stages/count.h"
#include "dataplane/stages/flow.h"
#include "dataplane/stages/hash.h"
#include "dataplane/stages/listener.h"
#include "dataplane/stages/next_hop.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/recognise.h"
#include "dataplane/stages/rewrite.h"
#include "dataplane/stages/usual.h"

namespace lb::bench {
namespace {

using stages::kBatch;

constexpr uint16_t kLargestFrame = 1518;

uint16_t receive(Port port, dpdk::Burst& burst) {
  const uint16_t n = rte_eth_rx_burst(port.device, 0, burst.data(), kBatch);
  for (uint16_t i = 0; i < n; i++) rte_prefetch0(rte_pktmbuf_mtod(burst[i], void*));
  return n;
}

void write_frames(Traffic* traffic, dpdk::Burst& burst, uint16_t n) {
  if (traffic == nullptr) return;
  for (uint16_t i = 0; i < n; i++) traffic->write(rte_pktmbuf_mtod(burst[i], uint8_t*));
}

void send(Port port, dpdk::Burst& burst, uint16_t n) {
  const uint16_t sent = rte_eth_tx_burst(port.device, 0, burst.data(), n);
  if (sent < n) rte_pktmbuf_free_bulk(&burst[sent], n - sent);
}

void swap_addresses(uint8_t* frame) {
  uint64_t dst;  // and two bytes of src
  uint32_t src;
  uint16_t src_end;
  std::memcpy(&dst, frame, 8);
  std::memcpy(&src, frame + 6, 4);
  std::memcpy(&src_end, frame + 10, 2);
  const auto dst_begin = static_cast<uint32_t>(dst);
  const auto dst_end = static_cast<uint16_t>(dst >> 32);
  std::memcpy(frame, &src, 4);
  std::memcpy(frame + 4, &src_end, 2);
  std::memcpy(frame + 6, &dst_begin, 4);
  std::memcpy(frame + 10, &dst_end, 2);
}

}  // namespace

dpdk::RxQueue Port::rx() const {
  dpdk::RxQueue q;
  q.device = device;
  q.mac = kMac;
  q.kernel_copy = true;
  return q;
}

dpdk::TxQueue Port::tx() const {
  dpdk::TxQueue q;
  q.device = device;
  q.largest_frame = kLargestFrame;
  return q;
}

void Io::batch() {
  dpdk::Burst burst;
  const uint16_t n = receive(port_, burst);
  write_frames(traffic_, burst, n);
  send(port_, burst, n);
}

void MacSwap::batch() {
  dpdk::Burst burst;
  const uint16_t n = receive(port_, burst);
  write_frames(traffic_, burst, n);
  for (uint16_t i = 0; i < n; i++) {
    swap_addresses(rte_pktmbuf_mtod(burst[i], uint8_t*));
    burst[i]->ol_flags = 0;
  }
  send(port_, burst, n);
}

void RandomRead::batch() {
  const lb_flow_line* lines[kBatch];
  for (const lb_flow_line*& line : lines) {
    random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
    line = table_.lines + ((random_ >> 32) * table_.count >> 32);
    __builtin_prefetch(line);
  }
  for (const lb_flow_line* line : lines) sum_ += line->tag[0];
}

Forward::Forward(Port port, const TrafficOptions& traffic, const model::Snapshot& snapshot,
                 const stages::FlowTable* table)
    : port_(port), tx_{port.tx()}, rx_(port.rx()), traffic_(traffic), snapshot_(snapshot) {
  if (table == nullptr) return;
  tracker_ = stages::FlowTracker(*table, {}, state_.counters);
  flows_ = &tracker_;
}

uint32_t Forward::take() {
  if (flows_ != nullptr) flows_->tick(frozen_ms_ != 0 ? frozen_ms_ : flows::flow_clock_ms(), nullptr);
  dpdk::Arrival arrival;
  const uint32_t n = dpdk::receive(rx_, burst_, *batch_, arrival);
  stages::bump(state_.counters[LB_COUNT_RxPackets], arrival.packets);
  stages::bump(state_.counters[LB_COUNT_RxBytes], arrival.bytes);
  for (uint32_t i = 0; i < n; i++) traffic_.write(batch_->data[i]);
  return n;
}

void Forward::batch() {
  const uint32_t n = take();
  stages::run(*batch_, snapshot_, flows_);
  dpdk::send(tx_, burst_, n, *batch_);
  stages::count_verdicts(*batch_, n, state_);
}

std::span<const char* const> Forward::stages() {
  static constexpr const char* kNames[] = {
      "rx and generator", "recognise",  "parse, listener", "hash",     "send_usual", "complete", "find_flows",
      "choose",           "keep_flows", "rewrite",         "next_hop", "tx",         "count"};
  return kNames;
}

void Forward::batch_by_stage(std::span<uint64_t> cycles) {
  uint64_t before = __rdtsc();
  size_t stage = 0;
  const auto stamp = [&] {
    const uint64_t now = __rdtsc();
    cycles[stage++] = now - before;
    before = now;
  };
  stages::Batch& b = *batch_;
  const uint32_t n = take();
  stamp();
  stages::recognise(b, snapshot_, flows_ != nullptr ? &flows_->own() : nullptr);
  stamp();
  stages::parse(b, snapshot_);
  stages::find_listener(b, snapshot_);
  stamp();
  stages::hash_flows(b, snapshot_);
  stamp();
  if (flows_ != nullptr) stages::send_usual(b, snapshot_, *flows_);
  stamp();
  stages::complete(b, b.live);
  stamp();
  if (flows_ != nullptr) stages::find_flows(b, snapshot_, *flows_);
  stamp();
  stages::choose(b, snapshot_);
  stamp();
  if (flows_ != nullptr) stages::keep_flows(b, snapshot_, *flows_);
  stamp();
  stages::rewrite(b, snapshot_);
  stamp();
  stages::set_next_hop(b, snapshot_);
  stamp();
  dpdk::send(tx_, burst_, n, b);
  stamp();
  stages::count_verdicts(b, n, state_);
  stamp();
}

}  // namespace lb::bench
