// STATE_DIR/audit.log: a line of JSON for each change that was asked for and each call that was refused, in the order
// in which they were answered. Only ever appended to, mode 0600; a file that was moved away is followed by a new one.
//
// What cannot be written there is written to lbd's log instead, and told as a fault until a line gets through again:
// a full disk must not keep anybody from draining a backend. Control thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "ctl/access.h"
#include "ctl/file_ops.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {

// How many refusals of one user are told: a client that asks in a loop must fill neither disk nor journal.
class RefusalBudget {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint64_t kToldAMinute = 10;
  static constexpr size_t kMostUsers = 32;  // the rest share one budget

  bool tell(uint32_t uid, Clock::time_point now);
  // Calls that were not told, by user, of minutes that are over.
  std::map<uint32_t, uint64_t> take_untold(Clock::time_point now);

 private:
  struct Minute {
    Clock::time_point start;
    uint64_t told = 0, untold = 0;
  };
  std::map<uint32_t, Minute> users_;
};

// What one line says of the call itself.
struct AuditEntry {
  const Peer& peer;
  std::string user = {}, login_user = {};  // names, where known
  Role role = Role::kNone;
  std::string_view method = {};
  const nlohmann::json* params = nullptr;  // as asked; a document and what is long are told by their digest
  // The outcome: the method's result, or the error.
  const nlohmann::json* result = nullptr;
  const net::Error* error = nullptr;
  std::string_view code = {};  // of the error, as in the answer
};

class AuditLog {
 public:
  explicit AuditLog(std::string path, FileOps& ops = system_files());
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Appends and syncs.
  void change(const AuditEntry& entry);
  // Appends, and logs, within the budget of the user.
  void refused(const AuditEntry& entry);
  // Once a second: what the budget kept back is summed up.
  void tick();
  // Why lines do not get through, with what to do; empty: they do.
  std::string fault() const;
  void set_clocks(std::function<std::chrono::system_clock::time_point()> time,
                  std::function<RefusalBudget::Clock::time_point()> now);

 private:
  void append(const std::string& line, bool sync);
  net::Status try_append(std::string text, bool sync);
  net::Status open();
  bool is_in_place() const;
  void close();
  std::string stamp() const;

  std::string path_;
  FileOps& ops_;
  int fd_ = -1;        // of ops_
  bool torn_ = false;  // the last line has no end
  std::string why_;
  uint64_t lost_ = 0;  // lines since the last one that got through
  RefusalBudget budget_;
  std::function<std::chrono::system_clock::time_point()> time_;
  std::function<RefusalBudget::Clock::time_point()> now_;
};

}  // namespace lb::ctl
