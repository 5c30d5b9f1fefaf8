// What control knows of a datapath. Implemented by dataplane/dpdk (poll-mode workers); an XDP engine fits the same
// shape. All calls come from the control thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/flows.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::model {

struct PublishReport {
  net::Generation generation{};
  std::vector<net::WorkerId> late;  // did not take it within the deadline; they will when they come back
};

using CounterArray = std::array<uint64_t, LB_COUNT_MAX>;

struct WorkerCounters {
  net::WorkerId worker{};
  std::string name;              // what an operator calls it: "core 2", "eth0/1" (interface and queue), "exception"
  std::optional<uint32_t> core;  // none: an XDP worker is wherever the queue's interrupt is
  net::Generation generation{};  // the snapshot it uses now
  CounterArray counters{};
};

struct QueueCounters {
  uint16_t queue = 0;
  bool counted = false;  // the driver counts by queue; else the numbers below are 0
  uint64_t packets = 0, bytes = 0;
  uint64_t lost = 0;                    // as rx_lost and tx_lost of the port
  std::optional<net::WorkerId> worker;  // that polls it or sends by it; none: no worker does
};

struct PortCounters {
  net::PortId port{};
  std::string name, device;
  std::string driver;  // "af_xdp native", "af_xdp generic", "af_packet", "mlx5 (bifurcated)", "net_ring", ...
  std::string ifname;  // what the kernel knows the port by: its interface, or its twin; empty when there is neither
  net::Mac mac;
  uint16_t mtu = 0;
  uint16_t queues = 0;
  std::string dispatch;  // how packets come to workers: "rss", "software: WHY", "kernel"; empty: there is one worker
  std::string twin;      // the TAP interface by which the kernel uses a port that it cannot see; empty: none
  bool link_up = false;
  uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
  uint64_t rx_lost = 0;  // lost before lbd saw them: queue full, no buffer
  uint64_t tx_lost = 0;  // accepted from lbd, lost by the device
  std::vector<QueueCounters> rx_queues, tx_queues;
  // By the twin: frames that the kernel got, frames of the kernel that left by the port, and what was lost either way.
  uint64_t to_kernel = 0, to_kernel_lost = 0, from_kernel = 0, from_kernel_lost = 0;
};

// Totals over all workers since the engine started, by id. Control subtracts where an id was reused.
struct TrafficCounters {
  std::vector<lb_traffic> services;  // by ServiceIndex
  std::vector<lb_traffic> backends;  // by BackendId
};

// One packet asked about; answered by the pipeline that forwards, with nothing counted and nothing sent.
struct ExplainRequest {
  net::IpProto proto = net::IpProto::kTcp;
  net::Endpoint source, destination;
  uint32_t size = 0;          // bytes of the IP packet; 0: the smallest (a bare SYN, an empty datagram)
  bool may_fragment = false;  // IPv4: without DF
};

struct Explanation {
  std::string verdict;               // "forwarded", "split", "answered", "punted", "dropped"
  std::string reason;                // drop reason's name, of an answer too; else empty
  std::string answer;                // "fragmentation needed", "packet too big", "port unreachable", "reset"; or empty
  uint32_t answer_mtu = 0;           // of the first two
  std::string without_df;            // verdict of the same packet without DF, where fragmentation is needed; or empty
  std::optional<Listener> listener;  // which one won
  std::optional<std::string> service;
  std::optional<uint64_t> hash;
  std::optional<uint32_t> slot;
  std::optional<net::BackendId> backend;
  std::optional<FlowClass> tracked;      // the flow has an entry, and the backend is that of the entry
  std::optional<net::BackendId> chosen;  // what the table would choose today; differs from backend for a pinned flow
  std::optional<net::WorkerId> worker;   // where lbd knows: one worker, or dispatch in software
  std::vector<uint8_t> out;              // frame as it would leave; empty unless forwarded or answered
  uint32_t in_bytes = 0, out_bytes = 0;  // IP packet in, frame's IP packet out
  std::optional<net::PortId> port;       // egress
  net::Generation generation{};
};

// A program of engine xdp on its interface.
struct EngineProgram {
  net::PortId port{};
  std::string interface;
  XdpMode mode = XdpMode::kNative;
  uint32_t id = 0;            // the kernel's
  uint32_t instructions = 0;  // that the verifier looked at; 0: the kernel does not tell
  uint16_t queues = 0;        // that have a worker each
  bool adopted = false;       // it took the place of a former lbd's program, without a packet that met none
};

// What an engine runs on, and holds.
struct EngineFacts {
  std::string name;                        // "dpdk", "xdp"
  std::string platform;                    // "DPDK 22.11.5", "Linux 6.1.0-18-amd64"
  std::optional<bool> huge_pages;          // packet memory, dpdk
  uint64_t flow_bytes = 0;                 // of the flow tables, those of former lbds included; 0: nothing is tracked
  std::vector<EngineProgram> programs;     // xdp, by port
  std::optional<uint64_t> heartbeat_ms;    // xdp: age of the last sign of life that the programs got
  std::optional<uint32_t> orphan_after_s;  // xdp: so long after it they end; 0: never
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Returns when every worker uses the snapshot or the deadline (2 s) is over. ERRORS: the old one stays in use.
  virtual net::Result<PublishReport> publish(std::shared_ptr<const Snapshot> snapshot) = 0;
  // The start can fail no more: what shall outlive the process is made to. Once, after the first publish(). An engine
  // that is destroyed before leaves nothing new behind.
  virtual net::Status keep() { return {}; }
  virtual std::vector<WorkerCounters> workers() = 0;
  virtual std::vector<PortCounters> ports() = 0;
  virtual TrafficCounters traffic() = 0;
  virtual net::Result<Explanation> explain(const ExplainRequest& request) = 0;
  virtual FlowTables* flows() = 0;  // null with flows: 0
  virtual EngineFacts facts() = 0;
};

}  // namespace lb::model
