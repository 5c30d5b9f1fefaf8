// The last revisions. STATE_DIR/history has the last state of each but the current one, as a second name of what
// state.json was then, and an index of one line a revision; what the index lacks is read from the states. At most
// kMaxRevisions are kept, fewer when their states are larger than kMaxHistoryBytes together. Who touched a service,
// pool or backend last is known longer than that. Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ctl/file_ops.h"
#include "ctl/revision.h"
#include "dataplane/model/diff.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

inline constexpr size_t kMaxRevisions = 500;
inline constexpr uint64_t kMaxHistoryBytes = uint64_t{256} << 20;

struct HistoryEntry : Revision {
  uint64_t changes = 0;  // lines of its diff
  std::string first;     // the first of them
  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

// "service web", "pool fe", "backend fe/fe11": everything that the changes name.
std::vector<std::string> touched_by(const model::Diff& diff);

class History {
 public:
  struct Touch {
    uint64_t revision = 0;
    bool removed = false;  // with that revision
  };
  struct Limits {
    size_t revisions = kMaxRevisions;
    uint64_t bytes = kMaxHistoryBytes;
  };

  History(std::string folder, FileOps& ops) : History(std::move(folder), ops, Limits()) {}
  History(std::string folder, FileOps& ops, Limits limits);

  // Makes the folder, reads what is there.
  net::Status open();
  // What is in place at state_path, of that revision, will be replaced: it gets its name here. ERRORS: it has none.
  net::Status keep(const std::string& state_path, uint64_t revision);
  // This revision is the current one now. RETURNS: a sentence when that is remembered only until lbd ends; else empty.
  std::string add(const Revision& revision, const model::Diff& diff);

  uint64_t last() const { return current_; }  // the highest number that was ever given; 0: none
  // Oldest first, those that can be gone back to and the current one.
  std::vector<const HistoryEntry*> entries() const;
  const HistoryEntry* entry(uint64_t revision) const;
  // By "service web", "pool fe", "backend fe/fe11".
  const std::map<std::string, Touch>& touched() const { return touched_; }

  std::string path_of(uint64_t revision) const;
  net::Error not_kept(uint64_t revision) const;

 private:
  net::Status find_files();
  void read_index();
  void read_missing();
  void touch(const std::string& what, Touch touch);
  void forget(uint64_t revision);  // unless something was touched by it last
  void prune();
  std::string line_of(const HistoryEntry& entry) const;
  net::Status append(const std::string& line);
  net::Status rewrite();

  std::string folder_, index_;
  FileOps& ops_;
  Limits limits_;
  std::map<uint64_t, HistoryEntry> entries_;
  std::map<uint64_t, uint64_t> files_;  // bytes by revision
  std::map<std::string, Touch> touched_;
  std::map<uint64_t, size_t> blamed_;  // how many were touched last by a revision
  uint64_t current_ = 0;
  size_t lines_ = 0;  // of the index
};

}  // namespace lb::ctl
