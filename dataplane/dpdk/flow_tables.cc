#include "dataplane/dpdk/flow_tables.h"

#include "dataplane/flows/flow_clock.h"
#include "dataplane/net/flow_line.h"

namespace lb::dpdk {
namespace {

std::vector<std::span<const stages::FlowTable>> former_of(const FlowFile& file) {
  std::vector<std::span<const stages::FlowTable>> sets;
  for (const FlowSet& set : file.former()) sets.emplace_back(set.tables);
  return sets;
}

}  // namespace

FlowTables::FlowTables(std::unique_ptr<FlowFile> file, uint64_t capacity)
    : FlowView(file->current().tables, former_of(*file), capacity), file_(std::move(file)) {
  for (uint32_t w = 0; w < workers(); w++) requests_.push_back(std::make_unique<stages::FlowRequests>());
}

bool FlowTables::forget(const model::Flow& flow) {
  if (flow.table >= all().size()) return true;
  if (flow.table < workers())
    return requests_[flow.table]->push(
        {flow.line, static_cast<uint16_t>(flow.entry), static_cast<uint32_t>(flow.hash)});
  // Nobody else writes a former table.
  lb_flow_line& line = all()[flow.table].lines[flow.line];
  if ((net::match_flow(net::copy_line(line), static_cast<uint32_t>(flow.hash)) >> flow.entry & 1) != 0)
    net::put(line.state[flow.entry], 0);
  return true;
}

void FlowTables::tidy() {
  const uint64_t now = flows::flow_clock_ms();
  for (size_t f = 0; f < file_->former().size(); f++) {
    const FlowSet& set = file_->former()[f];
    if (!set.in_use->load(std::memory_order_relaxed)) continue;
    if (flows::is_empty(set.tables, now)) file_->retire(f);
  }
}

}  // namespace lb::dpdk
