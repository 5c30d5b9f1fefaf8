#include "ctl/state_store.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <ctime>

namespace lb::ctl {
namespace {
// Twenty thousand backends are 2 MB; 64 MiB bounds what a damaged length can make us read.
constexpr size_t kMaxStateBytes = size_t{64} << 20;
}  // namespace

StateStore::StateStore(std::string folder, FileOps& ops)
    : folder_(std::move(folder)),
      path_(folder_ + "/state.json"),
      next_(path_ + ".new"),
      old_(path_ + ".old"),
      ops_(ops),
      history_(folder_ + "/history", ops) {}

net::Status StateStore::open() {
  if (auto made = make_folders(folder_, 0700); !made) return made;
  const std::string lock = folder_ + "/lock";
  lock_.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) return io_error("open", lock, errno);
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return io_error("lock", lock, errno);
    return net::Error{
        net::Code::kUnavailable,
        fmt::format("daemon.state-dir {} is in use by another lbd; give this one a folder of its own", folder_)};
  }
  for (const std::string& left : {next_, old_}) {
    if (ops_.unlink(left.c_str()) != 0 && errno != ENOENT) return io_error("remove", left, errno);
  }
  return history_.open();
}

net::Result<LoadedState> StateStore::load() {
  LoadedState loaded;
  auto text = read_file(path_, kMaxStateBytes);
  if (!text && text.error().code == net::Code::kNotFound) return loaded;
  if (!text && text.error().code != net::Code::kInvalid) return std::move(text).error();

  net::Result<State> state = text ? decode_state(*text) : net::Result<State>(text.error());
  if (state) {
    loaded.state = std::move(state).value();
    in_place_ = loaded.state->revision;
    return loaded;
  }
  if (state.error().code == net::Code::kUnsupported) {
    return net::Error{net::Code::kUnsupported, fmt::format("{}: {}", path_, state.error().message)};
  }
  const std::string aside = fmt::format("{}.damaged-{:%Y%m%dT%H%M%SZ}", path_, fmt::gmtime(std::time(nullptr)));
  if (ops_.rename(path_.c_str(), aside.c_str()) != 0) return io_error("set aside the damaged", path_, errno);
  loaded.damaged = fmt::format("{} was damaged ({}) and is kept as {}", path_, state.error().message, aside);
  return loaded;
}

net::Status StateStore::keep_old() {
  if (ops_.link(path_.c_str(), old_.c_str()) == 0 || errno == ENOENT) return {};
  // Left behind by an earlier commit that could not remove it.
  if (errno == EEXIST && ops_.unlink(old_.c_str()) == 0 && ops_.link(path_.c_str(), old_.c_str()) == 0) return {};
  return io_error("keep the old state as", old_, errno);
}

net::Status StateStore::prepare(const State& state) {
  if (auto written = write_synced(ops_, next_, encode_state(state), 0600); !written) return written;
  auto kept = keep_old();
  if (kept && in_place_ != 0 && in_place_ != state.revision) kept = history_.keep(path_, in_place_);
  if (!kept) abandon();
  prepared_ = state.revision;
  return kept;
}

void StateStore::abandon() {
  ops_.unlink(next_.c_str());
  ops_.unlink(old_.c_str());
}

net::Result<std::string> StateStore::commit() {
  if (ops_.rename(next_.c_str(), path_.c_str()) != 0) {
    net::Error error = io_error("put in place the new", path_, errno);
    abandon();
    return error;
  }
  if (auto synced = sync_folder(ops_, folder_); !synced) {
    if (put_back()) return synced.error();
    in_place_ = prepared_;
    return fmt::format("the change is in use and in {}, but whether it survives a power cut is not known: {}", path_,
                       synced.error().message);
  }
  ops_.unlink(old_.c_str());
  in_place_ = prepared_;
  return std::string();
}

net::Result<State> StateStore::former(uint64_t revision) const {
  const std::string path = history_.path_of(revision);
  auto text = read_file(path, kMaxStateBytes);
  if (!text && text.error().code == net::Code::kNotFound) return history_.not_kept(revision);
  if (!text) return std::move(text).error();
  auto state = decode_state(*text);
  if (!state) return net::Error{state.error().code, fmt::format("{}: {}", path, state.error().message)};
  return state;
}

bool StateStore::put_back() {
  if (ops_.rename(old_.c_str(), path_.c_str()) == 0) return true;
  // There was no old state: the first one must not stay either.
  return errno == ENOENT && ops_.unlink(path_.c_str()) == 0;
}

}  // namespace lb::ctl
