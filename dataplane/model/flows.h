// What control sees of the flow tables of an engine: counts, records, and the two things it may ask for: that an entry
// be forgotten, and that a number of a backend keep its meaning over restarts. Control thread only; workers go on
// writing meanwhile, so a count is of a moment that lasts as long as the pass over the tables does, and a flow that is
// written just then may be missing from it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/net/abi.h"
#include "dataplane/net/ids.h"

namespace lb::model {

enum class FlowClass : uint8_t {
  kOnce,         // a first SYN, a packet in mid-flow, a first datagram; nothing a quarter of a second or more later
  kEstablished,  // TCP that goes on
  kClosing,      // a FIN or RST was seen
  kUdp,          // datagrams that go on
};
FlowClass to_flow_class(uint32_t entry_class) noexcept;  // of enum lb_flow_class
std::string_view to_string(FlowClass c) noexcept;        // "once", "established", "closing", "udp"
std::optional<FlowClass> parse_flow_class(std::string_view s) noexcept;

// An entry; a live one is one whose timeout is not over.
struct Flow {
  lb_addr source, destination;  // mapped
  lb_be16 source_port = 0, destination_port = 0;
  net::IpProto proto = net::IpProto::kTcp;
  FlowClass flow_class = FlowClass::kOnce;
  net::BackendId backend{};
  net::WorkerId worker{};  // of a former lbd's table: the number that its worker had
  bool former = false;     // in the table of a former lbd with another number of workers
  bool over = false;       // its timeout is over: it still steers a packet of the same tuple, until it is replaced
  uint32_t idle_ms = 0;    // since its last packet; once: since the first. Steps of 256 ms, once: 8 ms
  uint64_t age_ms = 0;     // since its first packet
  uint64_t hash = 0;       // flow hash
  // Where it lies; for forget() and for nobody else.
  uint32_t table = 0, line = 0, entry = 0;
};

struct BackendFlows {
  uint32_t once = 0, established = 0, closing = 0, udp = 0;  // live entries
  uint32_t idle_ms = UINT32_MAX;                             // of the one that was active last; no live one: UINT32_MAX
  bool named = false;                                        // by any entry, be its timeout over
  uint32_t total() const { return once + established + closing + udp; }
};

struct FlowTotals {
  uint64_t capacity = 0;               // flows, whole node, as configured
  uint64_t live = 0;                   // entries whose timeout is not over
  std::vector<BackendFlows> backends;  // by BackendId, LB_MAX_BACKENDS + 1 of them
};

class FlowTables {
 public:
  virtual ~FlowTables() = default;
  // One pass over every entry, those of former tables included (a flow that is in several counts once a table):
  // 2 to 5 ms a million entries.
  virtual FlowTotals count() = 0;
  enum class Which : uint8_t { kLive, kAll };  // all: those that are over, too
  // Calls each() for the flows of the next `lines` lines (of 8 entries) behind `position`. Begin with 0; RETURNS:
  // where to go on, nothing at the end. A flow is seen once if it stays in its table meanwhile; one that was copied
  // from a former table is seen in its new one only.
  virtual std::optional<uint64_t> scan(uint64_t position, uint64_t lines, const std::function<void(const Flow&)>& each,
                                       Which which = Which::kLive) = 0;
  // Asks the worker that owns it to forget it; it has done so within 10 ms unless the entry is another flow's by then.
  // RETURNS: false when its queue is full: ask again in a millisecond.
  virtual bool forget(const Flow& flow) = 0;
  // Whose number is what: a digest of the backend by BackendId, LB_MAX_BACKENDS + 1 words, 0: nobody's. Kept with the
  // tables, so that both survive or neither. A word is written before the first snapshot that uses the number is
  // published, and zeroed after a count() that found no entry which names it.
  virtual std::span<uint64_t> backend_ids() = 0;
  // Gives back tables of former lbds in which no flow is left. To be called every few seconds.
  virtual void tidy() = 0;
};

}  // namespace lb::model
