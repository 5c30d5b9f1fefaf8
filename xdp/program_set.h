// The programs of all interfaces over one set of maps, and one for explain: what is attached together, and replaced
// together when the tables need more room or an lbd takes over. Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/net/result.h"
#include "xdp/maps.h"
#include "xdp/port.h"
#include "xdp/program.h"
#include "xdp/records.h"

namespace lb::xdp {

struct XdpPort {
  model::XdpInterface interface;
  InterfaceFacts facts;       // when the engine started
  uint32_t first_worker = 0;  // of queue 0
};

// What the programs are made for.
struct ProgramShape {
  std::vector<XdpPort> ports;                     // by PortId
  uint32_t workers = 1;                           // of the node, the exception path's included
  uint32_t lines = 0;                             // of each worker's flow table; 0: no tracking
  uint32_t former_workers = 0, former_lines = 0;  // each one's
  uint64_t given_back = 0;                        // lb_xdp_port::given_back of ports in generic mode
};

// Lines for the tables of a snapshot and of the next one beside them, and some more.
uint32_t room_for(const model::Snapshot& snapshot) noexcept;

class ProgramSet {
 public:
  // reuse: maps of pins or of another set that these programs go on with; the others are made, empty.
  // ERRORS: those of Maps::create() and Program::load().
  static net::Result<std::unique_ptr<ProgramSet>> load(const ProgramShape& shape, uint32_t table_lines,
                                                       std::span<const NamedFd> reuse);
  // The same with more room for tables, without a record as yet, over this one's flow tables and counters.
  net::Result<std::unique_ptr<ProgramSet>> load_larger(uint32_t table_lines) const;

  const Maps& maps() const noexcept { return maps_; }
  Records& records() noexcept { return *records_; }
  const Records& records() const noexcept { return *records_; }
  const Program& of(size_t port) const noexcept { return programs_[port]; }
  const Program& dry() const noexcept { return dry_; }

 private:
  explicit ProgramSet(Maps maps) : maps_(std::move(maps)) {}
  net::Status load_programs(const ProgramShape& shape);

  ProgramShape shape_;
  Maps maps_;
  std::unique_ptr<Records> records_;
  std::vector<Program> programs_;  // by PortId
  Program dry_;
};

}  // namespace lb::xdp
