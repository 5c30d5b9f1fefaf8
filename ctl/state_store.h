// What was last acknowledged, on disk: STATE_DIR/state.json, replaced whole or not at all.
//
// A change goes prepare() -> (publish) -> commit(): the new state is written and synced beside the old one, then
// renamed over it and the folder synced. A kill anywhere leaves the old or the new state, never a mixture; a failure
// that the system reports leaves the old one. One process at a time owns the folder (flock). The last state of a former
// revision stays in STATE_DIR/history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ctl/file_ops.h"
#include "ctl/history.h"
#include "ctl/revision.h"
#include "ctl/unique_fd.h"
#include "dataplane/model/overlay.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

// 1 had no overlay; 2 no login uid, files, restores and trial, and nothing that is withdrawn.
inline constexpr uint32_t kStateSchema = 3;

// A revision that is undone unless it is confirmed.
struct Trial {
  int64_t until = 0;     // seconds since 1970-01-01 UTC
  uint64_t back_to = 0;  // revision
  friend bool operator==(const Trial&, const Trial&) = default;
};

struct State : Revision {
  std::string config_text;     // canonical
  model::Overlay overlay;      // changes without a new revision, too
  std::optional<Trial> trial;  // of this revision
  friend bool operator==(const State&, const State&) = default;
};

struct LoadedState {
  std::optional<State> state;  // none: there never was one, or it was damaged
  std::string damaged;         // sentence: what is wrong and where the file was put; empty: nothing
};

class StateStore {
 public:
  explicit StateStore(std::string folder, FileOps& ops = system_files());

  // Makes the folder, claims it, removes what a killed process left. ERRORS: kUnavailable when another process has it.
  net::Status open();
  // ERRORS: cannot be read, or written by a newer version. A damaged one is set aside and told in `damaged`.
  net::Result<LoadedState> load();

  // The new state is on disk beside the old one. ERRORS: nothing is left of it.
  net::Status prepare(const State& state);
  // REQUIRES: prepare() succeeded. ERRORS: the old state is in place as before. RETURNS: a warning when the new state
  // is in place but its durability could not be confirmed nor the old one be put back; else empty.
  net::Result<std::string> commit();
  void abandon();  // forgets what prepare() wrote

  // The state of a former revision. ERRORS: kNotFound when it is not kept; damaged.
  net::Result<State> former(uint64_t revision) const;
  History& history() noexcept { return history_; }
  const History& history() const noexcept { return history_; }

  const std::string& path() const noexcept { return path_; }

 private:
  net::Status keep_old();  // a second name for the state in place, until the folder is synced
  bool put_back();

  std::string folder_, path_, next_, old_;
  uint64_t in_place_ = 0, prepared_ = 0;  // revisions; 0: none
  FileOps& ops_;
  History history_;
  UniqueFd lock_;
};

// The bytes of state.json and back. ERRORS: kInvalid for damage, kUnsupported for a newer schema.
std::string encode_state(const State& state);
net::Result<State> decode_state(const std::string& text);

}  // namespace lb::ctl
