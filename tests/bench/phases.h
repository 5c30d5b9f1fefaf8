// The rows of the bench: what is in the table, who is measured beside whom.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/dpdk/flow_file.h"
#include "tests/bench/report.h"
#include "tests/bench/works.h"
#include "tests/bench/world.h"

namespace lb::bench {

// A flow table in a file of its own, as the daemon's; gone with this.
class Table {
 public:
  explicit Table(uint32_t flows);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  const stages::FlowTable& get() const { return file_->current().tables.front(); }
  uint64_t slots() const { return uint64_t{get().count} * LB_FLOW_ENTRIES; }

 private:
  std::string folder_;
  std::unique_ptr<dpdk::FlowFile> file_;
};

struct PhaseOptions {
  uint32_t rounds = 100;
  bool stages = false;
};

// 1, 10 k and 1 M flows that a table for 1,048,576 has; then every packet a new flow, when the table is full.
void measure_million(Port port, const World& world, const PhaseOptions& o, Report& out);
// 10 M flows in 16 M slots.
void measure_ten_millions(Port port, const World& world, const PhaseOptions& o, Report& out);

// The same flow entries are found again after a quarter of a second: from then on they are established.
void make_flows(Port port, const World& world, const Table& table, uint32_t flows);

}  // namespace lb::bench
