// One line = one fact, key=value, to stderr; under systemd each line carries its priority for the journal
// (sd-daemon(3): "<6>"). What an operator cannot act on is debug, and debug is not written unless LBD_DEBUG is set.
// Control thread only.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace lb::ctl {

enum class LogLevel { kError = 3, kWarning = 4, kInfo = 6, kDebug = 7 };  // syslog priorities

struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), is_number(true) {}
  std::string_view key;
  std::string value;
  bool is_number = false;
};

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// The line without priority and newline: level=info event=published generation=7 reason="night shift".
std::string log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

std::string_view level_name(LogLevel level) noexcept;  // "error", "warning", "info", "debug"

// Who hears of every fact that is written, beside the sink; an empty one ends that. It must not log.
using LogObserver = std::function<void(LogLevel, std::string_view event, std::span<const LogField>)>;
void set_log_observer(LogObserver observer);

using LogSink = std::function<void(LogLevel, const std::string& line)>;
// Replaces stderr; an empty one restores it. RETURNS: the former sink.
LogSink set_log_sink(LogSink sink);

}  // namespace lb::ctl
