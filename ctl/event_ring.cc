#include "ctl/event_ring.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxEventBytes = size_t{64} << 20;  // of a file that somebody else made longer

int64_t wall_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

Json value_of(const LogField& field) {
  int64_t number = 0;
  const char* const end = field.value.data() + field.value.size();
  if (field.is_number && std::from_chars(field.value.data(), end, number).ptr == end) return number;
  return field.value;
}

}  // namespace

EventRing::EventRing(std::string folder, FileOps& ops, Limits limits)
    : folder_(std::move(folder)),
      current_(folder_ + "/current.jsonl"),
      former_(folder_ + "/former.jsonl"),
      ops_(ops),
      limits_(limits),
      clock_ms_(wall_ms) {}

EventRing::~EventRing() {
  if (fd_ >= 0) ops_.close(fd_);
}

net::Status EventRing::open() {
  if (auto made = make_folders(folder_, 0700); !made) return made;
  read(former_);
  const size_t before = events_.size();
  bytes_ = read(current_);
  current_count_ = events_.size() - before;
  return {};
}

size_t EventRing::read(const std::string& path) {
  auto text = read_file(path, kMaxEventBytes);
  if (!text) return 0;
  std::istringstream in(*text);
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("number") || !json["number"].is_number_unsigned()) continue;
    if (!json.contains("time_ms") || !json["time_ms"].is_number_integer()) continue;
    const auto number = json["number"].get<uint64_t>();
    if (number <= last_) continue;
    last_ = number;
    events_.push_back({number, json["time_ms"].get<int64_t>(), std::move(line)});
  }
  // Cut short by a kill: what comes next begins a line of its own.
  if (!text->empty() && text->back() != '\n' && path == current_) (void)write("\n");
  return text->size();
}

void EventRing::add(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  Json values = Json::object();
  for (const LogField& f : fields) values[std::string(f.key)] = value_of(f);
  RingEvent one{last_ + 1, clock_ms_(), {}};
  one.line = Json{{"number", one.number},
                  {"time_ms", one.time_ms},
                  {"level", level_name(level)},
                  {"event", event},
                  {"fields", std::move(values)}}
                 .dump(-1, ' ', false, Json::error_handler_t::replace);
  last_ = one.number;
  const auto written = write(one.line + '\n');
  why_not_kept_ = written ? std::string() : written.error().message;
  events_.push_back(std::move(one));
  current_count_++;
  if (bytes_ < limits_.file_bytes) return;
  if (auto turned = turn(); !turned) why_not_kept_ = turned.error().message;
}

net::Status EventRing::write(const std::string& line) {
  bytes_ += line.size();
  if (fd_ < 0) fd_ = ops_.open(current_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) return io_error("open", current_, errno);
  const ssize_t n = ops_.write(fd_, line.data(), line.size());
  if (n == static_cast<ssize_t>(line.size())) return {};
  return io_error("write", current_, n < 0 ? errno : ENOSPC);
}

// Whatever becomes of the files, memory stays bounded.
net::Status EventRing::turn() {
  events_.erase(events_.begin(), events_.end() - static_cast<ptrdiff_t>(current_count_));
  current_count_ = 0;
  bytes_ = 0;
  if (fd_ >= 0) ops_.close(fd_);
  fd_ = -1;
  if (ops_.rename(current_.c_str(), former_.c_str()) == 0) return {};
  net::Error error = io_error("put aside the full", current_, errno);
  ops_.unlink(current_.c_str());
  return error;
}

}  // namespace lb::ctl
