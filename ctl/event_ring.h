// What happened, newest last: every line of the log that is more than debugging, with a number and its time. The last
// 4 to 8 MB are kept, in memory and in STATE_DIR/events (current.jsonl, former.jsonl), so that they outlive lbd.
// Written without a sync: a power cut may cost the last ones. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "ctl/file_ops.h"
#include "ctl/log.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {

struct RingEvent {
  uint64_t number = 0;  // from 1, never given twice
  int64_t time_ms = 0;  // since 1970-01-01 UTC
  std::string line;     // one JSON object, {number, time_ms, level, event, fields: {...}}
};

class EventRing {
 public:
  struct Limits {
    size_t file_bytes = size_t{4} << 20;
  };
  EventRing(std::string folder, FileOps& ops) : EventRing(std::move(folder), ops, Limits()) {}
  EventRing(std::string folder, FileOps& ops, Limits limits);

  // Makes the folder, reads what is there; a damaged line is left out. ERRORS: no folder.
  net::Status open();
  void add(LogLevel level, std::string_view event, std::span<const LogField> fields);

  const std::deque<RingEvent>& events() const noexcept { return events_; }
  uint64_t last() const noexcept { return last_; }
  // Why the newest ones are in memory only; empty: they are not.
  const std::string& why_not_kept() const noexcept { return why_not_kept_; }
  void set_clock(std::function<int64_t()> clock_ms) { clock_ms_ = std::move(clock_ms); }

 private:
  size_t read(const std::string& path);  // RETURNS: bytes of the file
  net::Status write(const std::string& line);
  net::Status turn();

  std::string folder_, current_, former_;
  FileOps& ops_;
  Limits limits_;
  std::deque<RingEvent> events_;
  size_t current_count_ = 0;  // of events_, those in current.jsonl
  size_t bytes_ = 0;          // of current.jsonl
  uint64_t last_ = 0;
  int fd_ = -1;
  std::string why_not_kept_;
  std::function<int64_t()> clock_ms_;

 public:
  ~EventRing();
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;
};

}  // namespace lb::ctl
