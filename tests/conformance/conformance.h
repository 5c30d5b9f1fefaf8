// What lbd does to a packet, as data: one list of cases for every engine. A runner feeds the frames of a case to an
// engine that runs the case's world, and tells what became of them; check() compares.
//
// How to add a case: docs/testing.md. Cases live in cases_*.cc; runners in run_*.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/reach.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/net/abi.h"
#include "dataplane/stages/verdict.h"
#include "tests/packet/builder.h"

namespace lb::conformance {

using stages::Drop;
using stages::Verdict;

inline constexpr uint16_t kWan = 0, kLan = 1;  // egress ports of every world
inline constexpr uint16_t kHeadroom = 128;     // bytes in front of a frame, unless a case says otherwise
inline constexpr lb_hash_key kKey{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};  // the SipHash paper's test key

// A configuration and the surroundings it meets. Ports: 0 "wan", 1 "lan"; frames come in on wan, whose MAC is
// packet::kPortMac.
struct World {
  std::string name;
  model::Config config;
  model::Topology topology;
};
const World& edge();   // nearly all cases: services with one backend each, of every mode and family
const World& empty();  // no services: everything is the kernel's

// The world as workers see it, hashed with kKey. Aborts with a sentence when it does not compile.
std::shared_ptr<const model::Snapshot> compile(const World& world);

// How the ingress port hands the kernel what is the kernel's. Without a way, what a case expects to be punted is
// expected to be dropped(no_exception_path).
enum class Punts {
  kNowhere,
  kCopy,  // the kernel has a copy of what is not owned
  kTwin,  // lbd hands it over, owned or not
};

struct Expect {
  Verdict verdict = Verdict::kNone;
  bool owned = false;                 // of a punt
  Drop reason = LB_DROP_BadIpHeader;  // of a drop
  // The frames that leave, in this order: of a forward one, or the pieces that a packet which did not fit was split
  // into; of an answer that alone.
  std::vector<packet::Packet> out;
  uint16_t egress = 0;    // of a forward or an answer
  std::string service;    // of a forward
  std::string backend;    // of a forward, "pool/name"
  bool is_error = false;  // of a forward: an ICMP error, which went to the backend of the flow that it quotes
  // What becomes of the fragments that were held until this frame came, in this order; their frames leave behind `out`.
  std::vector<Expect> released;
};
struct Step {
  packet::Packet in;
  Expect expect;
};
struct Case {
  std::string name;
  const World* world = nullptr;
  std::vector<Step> steps;  // frames in this order, one after the other
  uint16_t headroom = kHeadroom;
};

// What became of one frame. A runner that sees only counters derives the verdict from their differences.
struct StepOutcome {
  Verdict verdict = Verdict::kNone;  // kForward of a frame that was split, too
  Drop reason = LB_DROP_BadIpHeader;
  // Forwarded or answered: as it left, in pieces when it was split; then the held fragments that it released. Punted:
  // as the kernel gets it. Else none.
  std::vector<packet::Bytes> frames;
  uint16_t egress = 0;
};
struct Outcome {
  std::vector<StepOutcome> steps;
  std::array<uint64_t, LB_COUNT_MAX> counters{};  // sum over workers, from zero
  std::vector<lb_traffic> services;               // by ServiceIndex, sum over workers; may be shorter than the ids
  std::vector<lb_traffic> backends;               // by BackendId
};

class Runner {
 public:
  virtual ~Runner() = default;
  virtual std::string name() const = 0;
  virtual Punts punts() const = 0;
  // Not empty: why this engine cannot be brought into the situation of that case (another headroom, say).
  virtual std::string why_not(const Case&) const { return {}; }
  virtual Outcome run(const Case& c) = 0;
};

std::vector<Case> cases_v4();
std::vector<Case> cases_v6();
std::vector<Case> cases_bad();
std::vector<Case> cases_edge();
std::vector<Case> cases_answer();
std::vector<Case> cases_icmp();
std::vector<Case> all_cases();
std::vector<Case> cases_oracle();  // those that tests/oracle makes; aborts with a sentence when they are not there

// Expectations in the words of the cases.
Expect forwarded(packet::Packet out, uint16_t egress, std::string service, std::string backend);
Expect split(std::vector<packet::Packet> pieces, uint16_t egress, std::string service, std::string backend);
Expect answered(packet::Packet out);  // out of the port it came in by
Expect held();                        // a fragment that waits for its first one
Expect dropped(Drop reason);
Expect punted();        // not owned: unchanged to the kernel
Expect punted_owned();  // owned, but the kernel's

// GoogleTest expectations: every frame's verdict, reason, bytes and egress; counters of the whole case, of its services
// and backends; rx = forwarded + punted + drops.
void check(const Case& c, const Outcome& found, Punts punts);

// Registers one test a case, <runner>.<case name>. Call before RUN_ALL_TESTS(); the runner outlives it.
void register_tests(Runner& runner);

}  // namespace lb::conformance
