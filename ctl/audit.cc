#include "ctl/audit.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "ctl/digest.h"
#include "ctl/log.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;
using Line = nlohmann::ordered_json;  // the order in which people read

constexpr size_t kMostParams = 1024;   // bytes; longer ones are told by their digest
constexpr size_t kMostMessage = 2048;  // of a refusal
constexpr uint32_t kOthers = kNoUser;  // of the budget

template <class T>
std::string audit_text(const T& json) {
  return json.dump(-1, ' ', false, T::error_handler_t::replace);
}

Json digest_json(const std::string& text) {
  return {{"bytes", text.size()}, {"digest", digest_hex(text)}};
}

Json params_json(const Json& params) {
  if (!params.is_object()) return digest_json(audit_text(params));
  Json told = params;
  told.erase("reason");  // has its own place
  if (const auto text = told.find("text"); text != told.end() && text->is_string())
    *text = digest_json(text->get_ref<const std::string&>());
  const std::string whole = audit_text(told);
  return whole.size() <= kMostParams ? told : digest_json(whole);
}

std::string reason_of(const Json& params) {
  const auto reason = params.is_object() ? params.find("reason") : params.end();
  if (reason == params.end() || !reason->is_string()) return {};
  return reason->get_ref<const std::string&>().substr(0, kMostParams);
}

void add_who(Line& line, const AuditEntry& entry) {
  line["uid"] = entry.peer.uid == kNoUser ? Line(nullptr) : Line(entry.peer.uid);
  if (!entry.user.empty()) line["user"] = entry.user;
  line["login_uid"] = nullptr;
  if (!entry.peer.login_uid.empty()) line["login_uid"] = std::strtoul(entry.peer.login_uid.c_str(), nullptr, 10);
  if (!entry.login_user.empty()) line["login_user"] = entry.login_user;
  line["pid"] = entry.peer.pid;
  line["role"] = to_string(entry.role);
}

void add_outcome(Line& line, const AuditEntry& entry) {
  line["result"] = entry.error == nullptr ? "done" : "refused";
  if (entry.error != nullptr) {
    line["code"] = entry.code;
    line["message"] = entry.error->message.substr(0, kMostMessage);
  }
  if (entry.result == nullptr) return;
  for (const char* key : {"changed", "revision", "generation", "digest", "flows", "late_workers"})
    if (const auto value = entry.result->find(key); value != entry.result->end() && !value->empty())
      line[key] = Line::parse(audit_text(*value));
}

Line audit_line(const std::string& time, const AuditEntry& entry) {
  Line line;
  line["time"] = time;
  add_who(line, entry);
  line["method"] = entry.method;
  if (entry.params != nullptr) {
    line["params"] = Line::parse(audit_text(params_json(*entry.params)));
    line["reason"] = reason_of(*entry.params);
  }
  add_outcome(line, entry);
  return line;
}

}  // namespace

bool RefusalBudget::tell(uint32_t uid, Clock::time_point now) {
  if (!users_.contains(uid) && users_.size() >= kMostUsers) uid = kOthers;
  Minute& minute = users_.try_emplace(uid, Minute{now}).first->second;
  if (minute.told < kToldAMinute) return ++minute.told > 0;
  minute.untold++;
  return false;
}

std::map<uint32_t, uint64_t> RefusalBudget::take_untold(Clock::time_point now) {
  std::map<uint32_t, uint64_t> untold;
  for (auto it = users_.begin(); it != users_.end();) {
    if (now - it->second.start < std::chrono::minutes(1)) {
      ++it;
      continue;
    }
    if (it->second.untold > 0) untold[it->first] = it->second.untold;
    it = users_.erase(it);
  }
  return untold;
}

AuditLog::AuditLog(std::string path, FileOps& ops)
    : path_(std::move(path)), ops_(ops), time_(std::chrono::system_clock::now), now_(RefusalBudget::Clock::now) {}

AuditLog::~AuditLog() {
  close();
}

void AuditLog::set_clocks(std::function<std::chrono::system_clock::time_point()> time,
                          std::function<RefusalBudget::Clock::time_point()> now) {
  time_ = std::move(time);
  now_ = std::move(now);
}

std::string AuditLog::stamp() const {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time_().time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
}

void AuditLog::change(const AuditEntry& entry) {
  append(audit_text(audit_line(stamp(), entry)), true);
}

void AuditLog::refused(const AuditEntry& entry) {
  if (!budget_.tell(entry.peer.uid, now_())) return;
  log(LogLevel::kWarning, "refused",
      {{"command", entry.method},
       {"uid", entry.peer.uid},
       {"user", entry.user},
       {"login_uid", entry.peer.login_uid},
       {"pid", entry.peer.pid},
       {"role", to_string(entry.role)},
       {"why", entry.error == nullptr ? std::string() : entry.error->message}});
  append(audit_text(audit_line(stamp(), entry)), false);
}

void AuditLog::tick() {
  for (const auto& [uid, calls] : budget_.take_untold(now_())) {
    Line line;
    line["time"] = stamp();
    line["uid"] = uid == kOthers ? Line(nullptr) : Line(uid);
    line["result"] = "refused";
    line["more"] = calls;
    log(LogLevel::kWarning, "refused_more",
        {{"uid", uid == kOthers ? "others" : std::to_string(uid)}, {"calls", calls}});
    append(audit_text(line), false);
  }
}

std::string AuditLog::fault() const {
  if (why_.empty()) return {};
  return fmt::format("audit log: {}; {} line{} in lbd's log instead, changes go on", why_, lost_,
                     lost_ == 1 ? " is" : "s are");
}

void AuditLog::append(const std::string& line, bool sync) {
  std::string text = line + '\n';
  if (lost_ > 0) {  // so that the gap shows
    Line gap;
    gap["time"] = stamp();
    gap["lost"] = lost_;
    gap["why"] = why_;
    text = audit_text(gap) + '\n' + text;
  }
  if (auto done = try_append(std::move(text), sync); !done) {
    why_ = done.error().message;
    lost_++;
    close();
    log(LogLevel::kError, "audit_not_written", {{"why", why_}, {"line", line}});
    return;
  }
  if (lost_ > 0) log(LogLevel::kInfo, "audit_written_again", {{"lost", lost_}});
  lost_ = 0;
  why_.clear();
}

net::Status AuditLog::try_append(std::string text, bool sync) {
  if (fd_ < 0 || !is_in_place()) {
    if (auto opened = open(); !opened) return opened;
  }
  if (torn_) text.insert(0, 1, '\n');
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = ops_.write(fd_, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return io_error("write", path_, n == 0 ? EIO : errno);
    }
    at += static_cast<size_t>(n);
  }
  torn_ = false;
  if (sync && ops_.fsync(fd_) != 0) return io_error("sync", path_, errno);
  return {};
}

net::Status AuditLog::open() {
  close();
  // O_NONBLOCK: a FIFO in its place must not hold up the daemon. Readable, to see whether the last line has its end.
  fd_ = ops_.open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd_ < 0) return io_error("open", path_, errno);
  struct stat st {};
  if (fstat(fd_, &st) != 0) return io_error("look at", path_, errno);
  if (!S_ISREG(st.st_mode)) {
    close();
    return net::Error{net::Code::kInvalid, fmt::format("{} is there and is no regular file: move it away", path_)};
  }
  char last = '\n';
  if (st.st_size > 0 && ::pread(fd_, &last, 1, st.st_size - 1) == 1) torn_ = last != '\n';
  return {};
}

bool AuditLog::is_in_place() const {
  struct stat ours {
  }, there{};
  return fstat(fd_, &ours) == 0 && lstat(path_.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
         ours.st_ino == there.st_ino;
}

void AuditLog::close() {
  if (fd_ >= 0) ops_.close(fd_);
  fd_ = -1;
  torn_ = false;
}

}  // namespace lb::ctl
