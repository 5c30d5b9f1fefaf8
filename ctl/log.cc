#include "ctl/log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace lb::ctl {
namespace {

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("._-/:+%@,[]*").find(c) != std::string_view::npos;
}

void append_value(std::string& out, std::string_view value) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_plain)) {
    out += value;
    return;
  }
  out += '"';
  for (char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

// systemd sets JOURNAL_STREAM to "device:inode" of the stream it gave us (systemd.exec(5)).
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat st {};
  if (stream == nullptr || fstat(STDERR_FILENO, &st) != 0) return false;
  return fmt::format("{}:{}", st.st_dev, st.st_ino) == stream;
}

void write_stderr(LogLevel level, const std::string& line) {
  static const bool journal = stderr_is_journal();
  const std::string text = journal ? fmt::format("<{}>{}\n", static_cast<int>(level), line) : line + '\n';
  // A log that cannot be written has nobody to tell it to.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

LogSink& sink() {
  static LogSink current = write_stderr;
  return current;
}

LogObserver& observer() {
  static LogObserver current;
  return current;
}

}  // namespace

std::string_view level_name(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      break;
  }
  return "debug";
}

std::string log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = fmt::format("level={} event=", level_name(level));
  append_value(line, event);
  for (const LogField& f : fields) {
    line += ' ';
    line += f.key;
    line += '=';
    append_value(line, f.value);
  }
  return line;
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  static const bool debug = std::getenv("LBD_DEBUG") != nullptr;
  if (level == LogLevel::kDebug && !debug) return;
  sink()(level, log_line(level, event, fields));
  if (level != LogLevel::kDebug && observer()) observer()(level, event, {fields.begin(), fields.size()});
}

void set_log_observer(LogObserver next) {
  observer() = std::move(next);
}

LogSink set_log_sink(LogSink next) {
  LogSink former = std::move(sink());
  sink() = next ? std::move(next) : LogSink(write_stderr);
  return former;
}

}  // namespace lb::ctl
