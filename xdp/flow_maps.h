// The flow tables' memory: maps that are pinned, so that the next lbd goes on with every flow. A set of maps is the
// tables of all workers:
//
//   lines    worker * lines + line: lb_flows
//   records  of entry e of line l of all: l * LB_FLOW_ENTRIES + e: lb_flow_records
//   log      worker * LB_XDP_LOG_LINES + n: lb_flow_log
//   header   shape, hash key's check, kernel ids of the others, times; 3 entries of 64 bytes
//
// An lbd with the same number of workers and the same capacity goes on in the set that it finds. Another makes a new
// one and reads the old one (lb_former_flows) until no flow is left in it. What cannot be used is removed with a
// sentence.
//
// Control thread only, but for the memory: net/flow_line.h.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/stages/flow_table.h"
#include "xdp/maps.h"
#include "xdp/runtime.h"

namespace lb::xdp {

struct FlowMapOptions {
  lb_hash_key key{};
  uint32_t flows = 0;            // capacity of the node, not 0
  uint32_t workers = 0;          // the exception path's included, which is the last
  uint32_t orphan_after_ms = 0;  // of the programs that will write the tables; 0: never
};

// Memory of an array, mapped.
class MapMemory {
 public:
  MapMemory() = default;
  MapMemory(MapMemory&& o) noexcept : data_(std::exchange(o.data_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  MapMemory& operator=(MapMemory&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  ~MapMemory();
  static net::Result<MapMemory> map(int map_fd);
  void* data() const noexcept { return data_; }
  size_t size() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Entry 0 of `header`; entry 1 is the FlowHeartbeat of the tables that programs write, entry 2 that of the last worker.
struct FlowHeader {
  uint64_t magic;
  uint32_t layout;  // of header, line and record
  uint32_t workers;
  uint32_t lines;            // of each worker
  uint32_t orphan_after_ms;  // 0: never
  uint64_t key_check;
  uint32_t lines_id, records_id, log_id, ids_id;  // kernel ids: the maps that belong together
  uint64_t stopped_ms;  // the programs were taken off then, flow_clock_ms(); 0: they may write
  uint64_t pad2;
};
static_assert(sizeof(FlowHeader) == 64);

// Whose heartbeat: the sweep's of the tables that programs write, the last worker's.
inline constexpr uint32_t kByPrograms = 0, kByLastWorker = 1;

struct FlowSet {
  Fd lines_fd, records_fd, log_fd, header_fd;
  MapMemory lines_memory, records_memory, log_memory, header_memory;
  std::vector<stages::FlowTable> tables;      // by worker
  std::unique_ptr<std::atomic<bool>> in_use;  // of the former one

  FlowHeader& header() const noexcept { return *static_cast<FlowHeader*>(header_memory.data()); }
  stages::FlowHeartbeat& heartbeat(uint32_t which) const noexcept {
    return *reinterpret_cast<stages::FlowHeartbeat*>(static_cast<uint8_t*>(header_memory.data()) + 64 * (1 + which));
  }
  std::span<lb_xdp_log_line> log_of(uint32_t worker) const noexcept {
    return {static_cast<lb_xdp_log_line*>(log_memory.data()) + size_t{worker} * LB_XDP_LOG_LINES, LB_XDP_LOG_LINES};
  }
  std::span<lb_flow_line> lines() const noexcept {
    return {static_cast<lb_flow_line*>(lines_memory.data()), lines_memory.size() / sizeof(lb_flow_line)};
  }
};

class FlowMaps {
 public:
  // runtime: outlives it. ERRORS: kUnavailable (no memory), kPermission, kIo. What cannot be used is no
  // error: it is removed and logged.
  static net::Result<std::unique_ptr<FlowMaps>> open(const Runtime& runtime, const FlowMapOptions& options,
                                                     const Log& log);

  const FlowSet& current() const noexcept { return current_; }
  const FlowSet* former() const noexcept { return former_ ? &*former_ : nullptr; }
  bool adopted() const noexcept { return adopted_; }  // went on in existing tables
  // For Maps::create(): lb_flows, lb_flow_records, lb_flow_log, and lb_former_flows where there is a former set.
  std::vector<NamedFd> to_reuse() const;
  // For lb_xdp_port: lines of each worker's table; former_workers and former_lines, 0 where there is no former set.
  uint32_t lines() const noexcept { return current_.header().lines; }
  uint32_t former_workers() const noexcept { return former_ ? former_->header().workers : 0; }
  uint32_t former_lines() const noexcept { return former_ ? former_->header().lines : 0; }
  std::span<uint64_t> backend_ids() const noexcept;

  // Unpins the former set, whose tables are out of use from now on. The kernel has its memory back once no program has
  // it as a map any more.
  void retire_former();
  // No program writes the tables from now on: they have been taken off. For the end of lbd.
  void set_stopped(uint64_t now_ms) noexcept;

 private:
  explicit FlowMaps(const Runtime& runtime) : runtime_(runtime) {}
  net::Status open_ids();
  void find_sets(const FlowMapOptions& options, const Log& log);
  net::Status open_current(const FlowMapOptions& options, const Log& log);
  net::Status keep_as_former(const Log& log);
  void make_former_readable();

  const Runtime& runtime_;
  Fd ids_fd_;
  MapMemory ids_memory_;
  FlowSet current_;
  std::optional<FlowSet> former_;
  std::optional<FlowSet> found_;  // while open() goes on: what may become either of them
  bool adopted_ = false;
};

// Of an lbd before, where this one tracks nothing: they are removed with a sentence, if there are any.
net::Status remove_flow_maps(const Runtime& runtime, const Log& log);

}  // namespace lb::xdp
