#include "ctl/nic_trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "ctl/nic_host.h"

namespace lb::ctl {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{200};
constexpr int kTries = 5;  // a driver that was busy may not be a moment later
constexpr milliseconds kBetweenTries{2'000};

bool waits(const std::optional<NicRecord>& record) {
  return record && record->confirm_by_ms.has_value();
}

// The lock is held for one try only: other NICs may be moved meanwhile, and this one be confirmed or taken back.
// RETURNS: false: one of those happened. ERRORS: kTimeout: another lbctl has the lock, which ends at some time.
net::Result<bool> try_to_undo(NicHost& host, NicRecords& records, const std::string& pci) {
  const auto lock = records.lock();
  if (!lock) return lock.error();
  const auto record = records.find(pci);
  if (!record) return record.error();
  if (!waits(*record)) return false;
  const auto undone = NicMove(host, records).revert(**record);
  // A step that took too long is a failure: kTimeout is the lock's.
  if (!undone) return net::Error{net::Code::kIo, undone.error().message};
  return true;
}

net::Result<bool> undo(NicHost& host, NicRecords& records, const std::string& pci,
                       const std::function<void(const std::string&)>& tell) {
  tell("not confirmed: undoing the move");
  for (int failed = 0;; host.sleep(kBetweenTries)) {
    const auto undone = try_to_undo(host, records, pci);
    if (undone) return undone;
    tell(undone.error().message);
    if (undone.error().code == net::Code::kTimeout) continue;
    if (++failed == kTries) return undone;
  }
}

// The child of the child: nobody's, without a terminal, deaf to what ends a session.
[[noreturn]] void live(NicRecords& records, const std::string& pci) {
  prctl(PR_SET_NAME, "lbctl-trial");
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTSTP}) std::signal(signal, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);  // the move holds them all
  if (chdir("/") != 0) _exit(1);
  const int null = open("/dev/null", O_RDWR);
  const int log = open(records.log_path(pci).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600);
  dup2(null, STDIN_FILENO);
  dup2(log < 0 ? null : log, STDOUT_FILENO);
  dup2(log < 0 ? null : log, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0u, 0);  // the lock as well: it is not ours
  const auto tell = [](const std::string& line) {
    const time_t now = time(nullptr);
    tm utc{};
    char stamp[32] = "";
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    dprintf(STDOUT_FILENO, "%s %s\n", stamp, line.c_str());
  };
  LinuxHost host;
  tell(fmt::format("{}: waiting for `lbctl port confirm`", pci));
  const auto undone = watch_trial(host, records, pci, tell);
  tell(!undone   ? "could not undo the move: " + undone.error().message
       : *undone ? "undone"
                 : "confirmed, or taken back");
  if (undone) unlink(records.log_path(pci).c_str());  // what went well is seen elsewhere
  _exit(undone ? 0 : 1);
}

}  // namespace

net::Result<bool> watch_trial(NicHost& host, NicRecords& records, const std::string& pci,
                              const std::function<void(const std::string&)>& tell) {
  while (true) {
    const auto record = records.find(pci);
    // A record that cannot be read now: its time is not known, and one that is damaged cannot be undone.
    if (!record) return record.error();
    if (!waits(*record)) return false;
    const milliseconds by{*(*record)->confirm_by_ms};
    if (host.now() >= by) return undo(host, records, pci, tell);
    host.sleep(std::min(kLook, by - host.now()));
  }
}

net::Result<int> start_trial(NicRecords& records, const std::string& pci) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return net::Error{net::Code::kIo, fmt::format("cannot make a pipe: {}", std::strerror(errno))};
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) return net::Error{net::Code::kIo, fmt::format("cannot start a process: {}", std::strerror(errno))};
  if (child == 0) {
    // Its own session, then a child that leads none: it can get no terminal any more.
    const pid_t pid = setsid() < 0 ? -1 : fork();
    if (pid == 0) live(records, pci);
    const bool told = write(write_end.get(), &pid, sizeof pid) == sizeof pid;
    _exit(told && pid > 0 ? 0 : 1);
  }
  write_end.reset();
  pid_t pid = -1;
  const ssize_t got = read(read_end.get(), &pid, sizeof pid);
  waitpid(child, nullptr, 0);
  if (got != sizeof pid || pid <= 0) return net::Error{net::Code::kIo, "cannot start the process that undoes a trial"};
  return pid;
}

net::Result<NicRecord> find_record(const NicRecords& records, const std::string& word) {
  NicRecords::Listing all = records.all();
  const auto address = net::parse_pci_address(word);
  std::string names;
  for (NicRecord& record : all.records) {
    if (record.port == word || record.twin() == word || record.interface == word || (address && record.pci == *address))
      return std::move(record);
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", record.port, record.pci);
  }
  if (!all.unreadable.empty()) return all.unreadable.front();  // it may be that one
  return net::Error{net::Code::kNotFound, fmt::format("`lbctl port bind` moved no {} since the last boot; {}", word,
                                                      names.empty() ? "it moved none at all" : "it moved " + names)};
}

net::Result<Confirmed> confirm_trial(NicRecords& records, const std::string& word, model::Run run) {
  auto lock = records.lock();
  if (!lock) return lock.error();
  const NicRecords::Listing all = records.all();
  std::vector<NicRecord> waiting;
  for (const NicRecord& record : all.records) {
    if (record.confirm_by_ms) waiting.push_back(record);
  }
  if (word.empty() && waiting.size() > 1)
    return net::Error{net::Code::kConflict, fmt::format("{} moves wait to be confirmed, of {} and {}: name one",
                                                        waiting.size(), waiting[0].port, waiting[1].port)};
  if (word.empty() && waiting.empty() && !all.unreadable.empty()) return all.unreadable.front();
  if (word.empty() && waiting.empty())
    return net::Error{net::Code::kNotFound,
                      "no move waits to be confirmed; one that was not confirmed in time is undone"};
  auto record = word.empty() ? net::Result<NicRecord>(waiting.front()) : find_record(records, word);
  if (!record) return record.error();
  Confirmed confirmed{std::move(*record), false};
  confirmed.waited = confirmed.record.confirm_by_ms.has_value();
  confirmed.record.confirm_by_ms.reset();
  if (!confirmed.waited || run == model::Run::kDry) return confirmed;
  if (auto saved = records.save(confirmed.record); !saved) return saved.error();
  return confirmed;
}

}  // namespace lb::ctl
