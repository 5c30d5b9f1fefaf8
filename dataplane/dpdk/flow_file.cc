#include "dataplane/dpdk/flow_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <optional>

#include <fmt/format.h>

#include "dataplane/dpdk/flow_header.h"
#include "dataplane/flows/flow_clock.h"
#include "dataplane/flows/flow_shape.h"

namespace lb::dpdk {
namespace {

constexpr uint32_t kMostFormer = 4;
constexpr uint64_t kLongestTimeout = 1000 * 1000;  // ms; more than 15 min

// N of "table-N".
std::optional<uint32_t> number_of(std::string_view name) {
  constexpr std::string_view kPrefix = "table-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

std::vector<uint32_t> table_numbers(const std::string& folder) {
  std::vector<uint32_t> numbers;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return numbers;
  while (const dirent* entry = readdir(dir)) {
    if (const auto number = number_of(entry->d_name)) numbers.push_back(*number);
    if (std::string_view(entry->d_name).ends_with(".new")) (void)unlink((folder + "/" + entry->d_name).c_str());
  }
  closedir(dir);
  std::sort(numbers.begin(), numbers.end(), std::greater<>());
  return numbers;
}

std::vector<stages::FlowTable> views(const FlowMapping& mapping, const FlowHeader& h) {
  std::vector<stages::FlowTable> tables(h.workers);
  for (uint32_t w = 0; w < h.workers; w++) {
    tables[w].lines = reinterpret_cast<lb_flow_line*>(mapping.data() + h.lines_at + w * h.lines_stride);
    tables[w].cold = reinterpret_cast<lb_flow_cold*>(mapping.data() + h.cold_at + w * h.cold_stride);
    tables[w].count = h.lines;
    tables[w].heartbeat = reinterpret_cast<stages::FlowHeartbeat*>(mapping.data() + kHeartbeatsAt + w * 64);
  }
  return tables;
}

// Nothing in it can be within its timeout.
bool is_over(const FlowSet& set, uint64_t now_ms) {
  return std::ranges::all_of(
      set.tables, [&](const stages::FlowTable& t) { return t.heartbeat->now_ms + kLongestTimeout < now_ms; });
}

}  // namespace

net::Result<std::unique_ptr<FlowFile>> FlowFile::open(const FlowOptions& o, uint32_t workers, const Log& log) {
  auto folder = resolve_flow_folder(o.folder, log);
  if (!folder) return folder.error();
  std::unique_ptr<FlowFile> file(new FlowFile);
  if (net::Status claimed = file->claim(*folder); !claimed) return claimed.error();
  if (net::Status opened = file->open_ids(o, log); !opened) return opened.error();
  file->open_tables(o, log);
  if (net::Status opened = file->open_current(o, workers, log); !opened) return opened.error();
  return file;
}

FlowFile::~FlowFile() {
  if (lock_ >= 0) close(lock_);
}

net::Status FlowFile::claim(const std::string& folder) {
  folder_ = folder;
  lock_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0)
    return net::Error{net::Code::kIo, fmt::format("flow tables: {} cannot be opened: {}", folder, strerror(errno))};
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return {};
  return net::Error{net::Code::kUnavailable, fmt::format("flow tables: another lbd uses {}: stop it first, or give "
                                                         "this one another daemon.socket",
                                                         folder)};
}

void FlowFile::set_aside(const std::string& path, const std::string& why, const Log& log) const {
  const std::string aside = folder_ + "/set-aside";
  const bool moved = rename(path.c_str(), aside.c_str()) == 0;
  if (!moved) (void)unlink(path.c_str());
  log(fmt::format("flow table {}: {}; {}, its flows are not known any more and go where the hash sends them", path, why,
                  moved ? "it is set aside as " + aside : std::string("it is removed")));
}

net::Status FlowFile::open_ids(const FlowOptions& o, const Log& log) {
  const std::string path = folder_ + "/ids";
  const FlowHeader want = ids_header(o.key);
  if (access(path.c_str(), F_OK) == 0) {
    auto mapped = FlowMapping::map(path);
    const std::string why = mapped ? why_not_usable(*mapped, o.key, FlowFileKind::kIds) : mapped.error().message;
    if (why.empty()) {
      ids_ = std::move(*mapped);
      return {};
    }
    set_aside(path, why, log);
    // Without them nobody knows whose numbers the tables hold.
    for (const uint32_t n : table_numbers(folder_)) (void)unlink(fmt::format("{}/table-{}", folder_, n).c_str());
  } else if (!table_numbers(folder_).empty()) {
    log(
        fmt::format("flow tables in {}: the file `ids` is missing; they are removed, their flows go where the hash "
                    "sends them",
                    folder_));
    for (const uint32_t n : table_numbers(folder_)) (void)unlink(fmt::format("{}/table-{}", folder_, n).c_str());
  }
  auto made = FlowMapping::create(path + ".new", want.file_bytes, 0);
  if (!made) return made.error();
  memcpy(made->data(), &want, sizeof want);
  if (net::Status renamed = made->publish_as(path); !renamed) return renamed;
  ids_ = std::move(*made);
  return {};
}

void FlowFile::open_tables(const FlowOptions& o, const Log& log) {
  const uint64_t now = flows::flow_clock_ms();
  for (const uint32_t n : table_numbers(folder_)) {
    const std::string path = fmt::format("{}/table-{}", folder_, n);
    auto mapped = FlowMapping::map(path);
    const std::string why = mapped ? why_not_usable(*mapped, o.key, FlowFileKind::kTable) : mapped.error().message;
    if (!why.empty()) {
      set_aside(path, why, log);
      continue;
    }
    FlowSet set;
    set.number = n;
    set.tables = views(*mapped, header_of(*mapped));
    set.mapping = std::move(*mapped);
    set.in_use = std::make_unique<std::atomic<bool>>(true);
    for (stages::FlowTable& t : set.tables) {
      t.former = true;
      t.in_use = set.in_use.get();
    }
    if (former_.size() > kMostFormer || is_over(set, now))
      set.mapping.give_back();
    else
      former_.push_back(std::move(set));
  }
}

net::Status FlowFile::open_current(const FlowOptions& o, uint32_t workers, const Log& log) {
  const FlowHeader want = table_header(o.key, workers, flows::flow_lines(o.flows, workers));
  const uint32_t newest = former_.empty() ? 0 : former_.front().number;
  if (!former_.empty() && same_shape(header_of(former_.front().mapping), want)) {
    current_ = std::move(former_.front());
    former_.erase(former_.begin());
    for (stages::FlowTable& t : current_.tables) {
      t.former = false;
      t.in_use = nullptr;
      stages::catch_up(t, flows::flow_clock_ms());
    }
    adopted_ = true;
  } else {
    const std::string path = fmt::format("{}/table-{}", folder_, newest + 1);
    auto made = FlowMapping::create(path + ".new", want.file_bytes, want.lines_at);
    if (!made) return made.error();
    memcpy(made->data(), &want, sizeof want);
    current_.number = newest + 1;
    current_.tables = views(*made, want);
    for (stages::FlowTable& t : current_.tables) t.heartbeat->now_ms = flows::flow_clock_ms();
    if (net::Status renamed = made->publish_as(path); !renamed) return renamed;
    current_.mapping = std::move(*made);
  }
  if (o.huge_pages && !current_.mapping.collapse())
    log(fmt::format("flow table {}: the kernel gives no 2 MB pages for all of it ({}): a few more nanoseconds a packet",
                    current_.mapping.path(), strerror(errno)));
  return {};
}

std::span<uint64_t> FlowFile::backend_ids() const noexcept {
  return {reinterpret_cast<uint64_t*>(ids_.data() + kIdsAt), LB_MAX_BACKENDS + 1};
}

void FlowFile::retire(size_t former) {
  FlowSet& set = former_[former];
  set.in_use->store(false, std::memory_order_relaxed);
  set.mapping.give_back();
}

}  // namespace lb::dpdk
