#include "xdp/flow_maps.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "dataplane/flows/flow_clock.h"
#include "dataplane/flows/flow_shape.h"
#include "dataplane/flows/flow_view.h"
#include "xdp/flow_tables.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

constexpr uint64_t kMagic = 0x73776f6c6664626cull;  // "lbdflows"
constexpr uint32_t kHeaderEntries = 3;
constexpr uint32_t kLayout = flows::kFlowLayout << 8 | 1;  // of line and record; of the set
constexpr const char *kCurrent = "flows", *kFormer = "former", *kUnfinished = "flows%new", *kIds = "backend_ids";

net::Error no_memory(uint64_t bytes) {
  return {net::Code::kUnavailable,
          fmt::format("the flow tables need {} MB of the kernel's memory, which are not to be had: lower daemon.flows, "
                      "or give the machine or its control group more memory",
                      (bytes >> 20) + 1)};
}

// An array as LB_ARRAY of lb_maps.bpf.h makes it.
net::Result<Fd> make_array(const char* name, uint32_t value_size, uint64_t entries, uint64_t bytes_of_all) {
  if (entries > UINT32_MAX) return no_memory(bytes_of_all);
  bpf_map_create_opts opts{};
  opts.sz = sizeof opts;
  opts.map_flags = BPF_F_MMAPABLE;
  Fd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_size, static_cast<uint32_t>(entries), &opts));
  if (fd.valid()) return fd;
  if (errno == ENOMEM || errno == E2BIG) return no_memory(bytes_of_all);
  return bpf_error(fmt::format("making BPF map {}", name), errno);
}

net::Result<uint32_t> id_of(int map_fd) {
  bpf_map_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(map_fd, &info, &size) != 0) return bpf_error("asking the kernel about a BPF map", errno);
  return info.id;
}

bool has_shape(int map_fd, uint32_t value_size, uint64_t entries) {
  const auto info = map_info(map_fd);
  return info && info->is_array && info->value_size == value_size && info->max_entries == entries;
}

net::Status map_all(FlowSet& set) {
  auto lines = MapMemory::map(set.lines_fd.get());
  if (!lines) return lines.error();
  auto records = MapMemory::map(set.records_fd.get());
  if (!records) return records.error();
  auto log = MapMemory::map(set.log_fd.get());
  if (!log) return log.error();
  set.log_memory = std::move(*log);
  set.lines_memory = std::move(*lines);
  set.records_memory = std::move(*records);
  const FlowHeader& h = set.header();
  auto* cold = static_cast<lb_flow_cold*>(set.records_memory.data());
  for (uint32_t w = 0; w < h.workers; w++) {
    const size_t at = size_t{w} * h.lines;
    set.tables.push_back({.lines = set.lines().data() + at,
                          .cold = cold + at * LB_FLOW_ENTRIES,
                          .count = h.lines,
                          .heartbeat = &set.heartbeat(w + 1 < h.workers ? kByPrograms : kByLastWorker)});
  }
  return {};
}

uint64_t log_lines(uint32_t workers) {
  return uint64_t{workers} * LB_XDP_LOG_LINES;
}

// Empty: the pins in `folder` are a set that can be used, now in `set`. "none": there is none.
constexpr std::string_view kNone = "none";
std::string find_set(const Runtime& runtime, const std::string& folder, uint64_t key_check, uint32_t ids_id,
                     FlowSet& set) {
  const auto open = [&](const char* name, Fd& fd) {
    auto found = runtime.pinned(folder + "/" + name);
    if (found) fd = std::move(*found);
    return found ? std::string() : found.error().message;
  };
  if (!open("header", set.header_fd).empty()) return std::string(kNone);
  if (!has_shape(set.header_fd.get(), sizeof(FlowHeader), kHeaderEntries)) return "its header is of another size";
  auto header = MapMemory::map(set.header_fd.get());
  if (!header) return header.error().message;
  set.header_memory = std::move(*header);
  const FlowHeader& h = set.header();
  if (h.magic != kMagic) return "it is no flow table of lbd";
  if (h.layout != kLayout) return fmt::format("its layout is {}, this lbd knows {}", h.layout, kLayout);
  if (h.key_check != key_check) return "it was made with another hash key";
  if (h.ids_id != ids_id) return "it names backends by the numbers of another lbd";
  for (std::string why : {open("lines", set.lines_fd), open("records", set.records_fd), open("log", set.log_fd)})
    if (!why.empty()) return why;
  const auto lines = id_of(set.lines_fd.get()), records = id_of(set.records_fd.get()), log = id_of(set.log_fd.get());
  const uint64_t all = uint64_t{h.workers} * h.lines;
  if (!lines || !records || !log || *lines != h.lines_id || *records != h.records_id || *log != h.log_id ||
      h.workers == 0 || h.lines == 0 || !has_shape(set.log_fd.get(), sizeof(lb_xdp_log_line), log_lines(h.workers)) ||
      !has_shape(set.lines_fd.get(), sizeof(lb_flow_line), all) ||
      !has_shape(set.records_fd.get(), sizeof(lb_flow_cold), all * LB_FLOW_ENTRIES))
    return "its maps do not belong together";
  const net::Status mapped = map_all(set);
  return mapped ? std::string() : mapped.error().message;
}

void remove_set(const Runtime& runtime, const std::string& folder, const std::string& why, const Log& log) {
  log(fmt::format("flow tables in {}/{}: {}; they are removed, their flows go where the hash sends them",
                  runtime.folder(), folder, why));
  if (net::Status removed = runtime.remove_folder(folder); !removed) log(removed.error().message);
}

net::Result<FlowSet> make_set(const FlowMapOptions& o, uint32_t lines, uint32_t ids_id) {
  const uint64_t all = uint64_t{o.workers} * lines;
  const uint64_t bytes = all * (sizeof(lb_flow_line) + LB_FLOW_ENTRIES * sizeof(lb_flow_cold)) +
                         log_lines(o.workers) * sizeof(lb_xdp_log_line);
  FlowSet set;
  const auto make = [&](const char* name, uint32_t size, uint64_t entries, Fd& fd) {
    auto made = make_array(name, size, entries, bytes);
    if (made) fd = std::move(*made);
    return made ? net::Status() : made.error();
  };
  if (net::Status s = make("lb_flows", sizeof(lb_flow_line), all, set.lines_fd); !s) return s.error();
  if (net::Status s = make("lb_flow_records", sizeof(lb_flow_cold), all * LB_FLOW_ENTRIES, set.records_fd); !s)
    return s.error();
  if (net::Status s = make("lb_flow_log", sizeof(lb_xdp_log_line), log_lines(o.workers), set.log_fd); !s)
    return s.error();
  if (net::Status s = make("lb_flow_header", sizeof(FlowHeader), kHeaderEntries, set.header_fd); !s) return s.error();
  auto header = MapMemory::map(set.header_fd.get());
  if (!header) return header.error();
  set.header_memory = std::move(*header);
  const auto lines_id = id_of(set.lines_fd.get()), records_id = id_of(set.records_fd.get()),
             log_id = id_of(set.log_fd.get());
  if (!lines_id) return lines_id.error();
  if (!records_id) return records_id.error();
  if (!log_id) return log_id.error();
  set.header() = {.magic = kMagic,
                  .layout = kLayout,
                  .workers = o.workers,
                  .lines = lines,
                  .orphan_after_ms = o.orphan_after_ms,
                  .key_check = flows::key_check(o.key),
                  .lines_id = *lines_id,
                  .records_id = *records_id,
                  .log_id = *log_id,
                  .ids_id = ids_id,
                  .stopped_ms = 0,
                  .pad2 = 0};
  for (const uint32_t which : {kByPrograms, kByLastWorker}) set.heartbeat(which).now_ms = flows::flow_clock_ms();
  if (net::Status mapped = map_all(set); !mapped) return mapped.error();
  return set;
}

// In one step: whoever is killed before leaves the set that was.
net::Status publish(const Runtime& runtime, const FlowSet& set) {
  if (net::Status s = runtime.make_folder(kUnfinished); !s) return s;
  const std::string folder = std::string(kUnfinished) + "/";
  if (net::Status s = runtime.pin(set.lines_fd.get(), folder + "lines"); !s) return s;
  if (net::Status s = runtime.pin(set.records_fd.get(), folder + "records"); !s) return s;
  if (net::Status s = runtime.pin(set.log_fd.get(), folder + "log"); !s) return s;
  if (net::Status s = runtime.pin(set.header_fd.get(), folder + "header"); !s) return s;
  return runtime.rename_folder(kUnfinished, kCurrent);
}

}  // namespace

MapMemory::~MapMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

net::Result<MapMemory> MapMemory::map(int map_fd) {
  const auto info = map_info(map_fd);
  if (!info) return info.error();
  MapMemory m;
  const size_t bytes = size_t{info->value_size} * info->max_entries;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (at == MAP_FAILED) return bpf_error("mapping a flow table's BPF map into memory", errno);
  m.data_ = at;
  m.bytes_ = bytes;
  return m;
}

net::Result<std::unique_ptr<FlowMaps>> FlowMaps::open(const Runtime& runtime, const FlowMapOptions& o, const Log& log) {
  std::unique_ptr<FlowMaps> maps(new FlowMaps(runtime));
  if (net::Status removed = runtime.remove_folder(kUnfinished); !removed) return removed.error();
  if (net::Status opened = maps->open_ids(); !opened) return opened.error();
  maps->find_sets(o, log);
  if (net::Status opened = maps->open_current(o, log); !opened) return opened.error();
  return maps;
}

net::Status FlowMaps::open_ids() {
  auto found = runtime_.pinned(kIds);
  if (!found || !has_shape(found->get(), sizeof(uint64_t), LB_MAX_BACKENDS + 1)) {
    found =
        make_array("lb_backend_ids", sizeof(uint64_t), LB_MAX_BACKENDS + 1, sizeof(uint64_t) * (LB_MAX_BACKENDS + 1));
    if (!found) return found.error();
    if (net::Status pinned = runtime_.pin(found->get(), kIds); !pinned) return pinned;
  }
  auto memory = MapMemory::map(found->get());
  if (!memory) return memory.error();
  ids_fd_ = std::move(*found);
  ids_memory_ = std::move(*memory);
  return {};
}

void FlowMaps::find_sets(const FlowMapOptions& o, const Log& log) {
  const uint64_t check = flows::key_check(o.key), now = flows::flow_clock_ms();
  const auto id = id_of(ids_fd_.get());
  for (const char* folder : {kFormer, kCurrent}) {
    FlowSet set;
    const std::string why = id ? find_set(runtime_, folder, check, *id, set) : id.error().message;
    if (why == kNone) {
      (void)runtime_.remove_folder(folder);  // pins without a header
      continue;
    }
    if (!why.empty()) {
      remove_set(runtime_, folder, why, log);
      continue;
    }
    drain(set);
    catch_up(set, now);  // as long as lbd was away, and its programs perhaps not
    (folder == kFormer ? former_ : found_) = std::move(set);
  }
}

net::Status FlowMaps::open_current(const FlowMapOptions& o, const Log& log) {
  const uint32_t lines = flows::flow_lines(o.flows, o.workers);
  const auto ids_id = id_of(ids_fd_.get());
  if (!ids_id) return ids_id.error();
  if (found_ && found_->header().workers == o.workers && found_->header().lines == lines) {
    adopted_ = true;
    current_ = std::move(*found_);
    current_.header().stopped_ms = 0;
    current_.header().orphan_after_ms = o.orphan_after_ms;
  } else {
    auto made = make_set(o, lines, *ids_id);
    if (!made) return made.error();
    if (found_)
      if (net::Status kept = keep_as_former(log); !kept) return kept;
    if (net::Status published = publish(runtime_, *made); !published) return published;
    current_ = std::move(*made);
  }
  found_.reset();
  make_former_readable();
  return {};
}

net::Status FlowMaps::keep_as_former(const Log& log) {
  if (former_ && !flows::is_empty(former_->tables, flows::flow_clock_ms()))
    log(
        fmt::format("flow tables in {}/{}: they are of the lbd before the last one, and only one former set is read: "
                    "their flows that were not copied yet go where the hash sends them",
                    runtime_.folder(), kFormer));
  if (net::Status removed = runtime_.remove_folder(kFormer); !removed) return removed;
  former_ = std::move(found_);
  return runtime_.rename_folder(kCurrent, kFormer);
}

void FlowMaps::make_former_readable() {
  if (!former_) return;
  former_->in_use = std::make_unique<std::atomic<bool>>(true);
  for (stages::FlowTable& t : former_->tables) {
    t.former = true;
    t.in_use = former_->in_use.get();
    t.heartbeat = &former_->heartbeat(kByPrograms);
  }
  if (flows::is_empty(former_->tables, flows::flow_clock_ms())) {
    retire_former();
    former_.reset();
  }
}

std::vector<NamedFd> FlowMaps::to_reuse() const {
  std::vector<NamedFd> fds = {{"lb_flows", current_.lines_fd.get()},
                              {"lb_flow_records", current_.records_fd.get()},
                              {"lb_flow_log", current_.log_fd.get()}};
  if (former_) fds.push_back({"lb_former_flows", former_->lines_fd.get()});
  return fds;
}

std::span<uint64_t> FlowMaps::backend_ids() const noexcept {
  return {static_cast<uint64_t*>(ids_memory_.data()), LB_MAX_BACKENDS + 1};
}

void FlowMaps::retire_former() {
  if (!former_) return;
  former_->in_use->store(false, std::memory_order_relaxed);
  (void)runtime_.remove_folder(kFormer);
}

void FlowMaps::set_stopped(uint64_t now_ms) noexcept {
  current_.header().stopped_ms = now_ms;
  if (former_) former_->header().stopped_ms = now_ms;
}

net::Status remove_flow_maps(const Runtime& runtime, const Log& log) {
  if (runtime.pinned(std::string(kCurrent) + "/header"))
    log(fmt::format(
        "flow tables in {}/{}: daemon.flows is 0; they are removed, their flows go where the hash sends them",
        runtime.folder(), kCurrent));
  for (const char* folder : {kCurrent, kFormer, kUnfinished})
    if (net::Status removed = runtime.remove_folder(folder); !removed) return removed;
  return runtime.unpin(kIds);
}

}  // namespace lb::xdp
