#include "ctl/history.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <variant>

#include "ctl/log.h"
#include "ctl/revision_json.h"
#include "ctl/state_store.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxIndexBytes = size_t{256} << 20;
constexpr std::string_view kSuffix = ".json";

// What a change touches: the thing itself, and the backends of a pool that comes or goes whole.
struct Touched {
  std::vector<std::string> there, removed;

  void operator()(const model::AddService& c) { there.push_back("service " + c.service.name); }
  void operator()(const model::SetService& c) { there.push_back("service " + c.name); }
  void operator()(const model::RemoveService& c) { removed.push_back("service " + c.name); }
  void operator()(const model::AddPool& c) {
    there.push_back("pool " + c.pool.name);
    for (const model::Backend& b : c.pool.backends) there.push_back(backend(c.pool.name, b.name));
  }
  void operator()(const model::RemovePool& c) { removed.push_back("pool " + c.name); }
  void operator()(const model::AddBackend& c) { there.push_back(backend(c.pool, c.backend.name)); }
  void operator()(const model::SetBackend& c) { there.push_back(backend(c.pool, c.name)); }
  void operator()(const model::RemoveBackend& c) { removed.push_back(backend(c.pool, c.name)); }

  static std::string backend(const std::string& pool, const std::string& name) {
    return fmt::format("backend {}/{}", pool, name);
  }
};

Json entry_json(const HistoryEntry& e) {
  Json json = revision_record(e);
  json["first"] = e.first;
  json["changes"] = e.changes;
  return json;
}

// Throws Json::exception.
HistoryEntry read_entry(const Json& json) {
  HistoryEntry e;
  read_revision(json, e);
  read_origin(json, e);
  e.first = json.at("first").get<std::string>();
  e.changes = json.at("changes").get<uint64_t>();
  return e;
}

std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::optional<uint64_t> revision_of(const std::string& file_name) {
  if (!file_name.ends_with(kSuffix)) return std::nullopt;
  uint64_t number = 0;
  const char* const end = file_name.data() + file_name.size() - kSuffix.size();
  const auto [at, error] = std::from_chars(file_name.data(), end, number);
  return error == std::errc() && at == end && number > 0 ? std::optional(number) : std::nullopt;
}

}  // namespace

std::vector<std::string> touched_by(const model::Diff& diff) {
  Touched touched;
  for (const model::Change& change : diff.changes) std::visit(touched, change);
  std::vector<std::string> all = std::move(touched.removed);
  all.insert(all.end(), touched.there.begin(), touched.there.end());
  return all;
}

History::History(std::string folder, FileOps& ops, Limits limits)
    : folder_(std::move(folder)), index_(folder_ + "/index.jsonl"), ops_(ops), limits_(limits) {}

std::string History::path_of(uint64_t revision) const {
  return fmt::format("{}/{}{}", folder_, revision, kSuffix);
}

net::Error History::not_kept(uint64_t revision) const {
  const uint64_t oldest = files_.empty() ? current_ : files_.begin()->first;
  return {net::Code::kNotFound,
          revision > current_ || revision == 0
              ? fmt::format("there is no revision {}: the current one is {}", revision, current_)
              : fmt::format("revision {} is not kept any more: the oldest one is {}, see `lbctl config history`",
                            revision, oldest)};
}

net::Status History::open() {
  entries_.clear();
  files_.clear();
  touched_.clear();
  blamed_.clear();
  current_ = 0;
  if (auto made = make_folders(folder_, 0700); !made) return made;
  if (auto found = find_files(); !found) return found;
  read_index();
  read_missing();
  return {};
}

net::Status History::find_files() {
  std::error_code error, none;
  for (const auto& item : std::filesystem::directory_iterator(folder_, error)) {
    if (const auto revision = revision_of(item.path().filename().string())) files_[*revision] = item.file_size(none);
  }
  if (error) return io_error("read the folder", folder_, error.value());
  if (!files_.empty()) current_ = files_.rbegin()->first;
  return {};
}

// A line that is cut short or damaged costs what it said and nothing else.
void History::read_index() {
  auto text = read_file(index_, kMaxIndexBytes);
  lines_ = 0;
  if (!text) return;
  std::istringstream in(*text);
  for (std::string line; std::getline(in, line); lines_++) {
    try {
      const Json json = Json::parse(line);
      HistoryEntry e = read_entry(json);
      const uint64_t revision = e.revision;
      current_ = std::max(current_, revision);
      entries_[revision] = std::move(e);
      for (const Json& what : json.at("touched")) touch(what.get<std::string>(), {revision, false});
      for (const Json& what : json.at("removed")) touch(what.get<std::string>(), {revision, true});
    } catch (const Json::exception&) {
      log(LogLevel::kWarning, "history_line_skipped", {{"file", index_}, {"line", lines_ + 1}});
    }
  }
}

// What they changed was said in the index only.
void History::read_missing() {
  for (const auto& [revision, bytes] : files_) {
    if (entries_.contains(revision)) continue;
    const std::string path = path_of(revision);
    auto text = read_file(path, kMaxIndexBytes);
    auto state = text ? decode_state(*text) : net::Result<State>(text.error());
    if (state)
      entries_[revision] = HistoryEntry{static_cast<const Revision&>(*state), 0, {}};
    else
      log(LogLevel::kWarning, "revision_unreadable", {{"file", path}, {"why", state.error().message}});
  }
}

net::Status History::keep(const std::string& state_path, uint64_t revision) {
  const std::string path = path_of(revision);
  // An older state of that revision: an attempt at the next one failed, and an override came since.
  const auto linked = [&] { return ops_.link(state_path.c_str(), path.c_str()) == 0; };
  if (!linked() && (errno != EEXIST || ops_.unlink(path.c_str()) != 0 || !linked()))
    return io_error("keep the former revision as", path, errno);
  if (auto synced = sync_folder(ops_, folder_); !synced) return synced;
  std::error_code none;
  files_[revision] = std::filesystem::file_size(path, none);
  return {};
}

std::string History::add(const Revision& revision, const model::Diff& diff) {
  HistoryEntry entry{revision, diff.lines.size(), diff.lines.empty() ? std::string() : diff.lines.front()};
  Touched touched;
  for (const model::Change& change : diff.changes) std::visit(touched, change);
  // A pool that goes takes its backends along; one that comes back is there.
  for (const std::string& what : touched.removed) {
    touch(what, {revision.revision, true});
    if (!what.starts_with("pool ")) continue;
    const std::string prefix = "backend " + what.substr(5) + '/';
    for (auto it = touched_.lower_bound(prefix); it != touched_.end() && it->first.starts_with(prefix); ++it)
      if (!it->second.removed) touch(it->first, {revision.revision, true});
  }
  for (const std::string& what : touched.there) touch(what, {revision.revision, false});
  current_ = revision.revision;
  const std::string line = line_of(entry);
  entries_[current_] = std::move(entry);
  prune();
  const bool is_long = lines_ > 2 * entries_.size() + 1000;
  const net::Status written = is_long ? rewrite() : append(line);
  return written ? std::string() : fmt::format("history is not complete after a restart: {}", written.error().message);
}

void History::touch(const std::string& what, Touch now) {
  Touch& last = touched_[what];
  if (last.revision != 0 && --blamed_[last.revision] == 0) {
    blamed_.erase(last.revision);
    forget(last.revision);
  }
  last = now;
  blamed_[now.revision]++;
}

void History::forget(uint64_t revision) {
  if (revision == current_ || files_.contains(revision) || blamed_.contains(revision)) return;
  // Of what was removed so long ago nobody asks.
  entries_.erase(revision);
}

void History::prune() {
  const auto bytes = [&] {
    return std::accumulate(files_.begin(), files_.end(), uint64_t{0},
                           [](uint64_t n, const auto& f) { return n + f.second; });
  };
  while (!files_.empty() && (files_.size() + 1 > limits_.revisions || bytes() > limits_.bytes)) {
    const uint64_t oldest = files_.begin()->first;
    if (ops_.unlink(path_of(oldest).c_str()) != 0 && errno != ENOENT) return;  // the next change tries again
    files_.erase(files_.begin());
    std::erase_if(touched_, [&](const auto& t) {
      const bool gone = t.second.removed && t.second.revision <= oldest;
      if (gone && --blamed_[t.second.revision] == 0) blamed_.erase(t.second.revision);
      return gone;
    });
    forget(oldest);
  }
}

std::string History::line_of(const HistoryEntry& entry) const {
  Json json = entry_json(entry);
  json["touched"] = json["removed"] = Json::array();
  for (const auto& [what, t] : touched_)
    if (t.revision == entry.revision) json[t.removed ? "removed" : "touched"].push_back(what);
  return one_line(json);
}

net::Status History::append(const std::string& line) {
  const int fd = ops_.open(index_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return io_error("open", index_, errno);
  size_t at = 0;
  while (at < line.size()) {
    const ssize_t n = ops_.write(fd, line.data() + at, line.size() - at);
    if (n <= 0) break;
    at += static_cast<size_t>(n);
  }
  const int error = errno;
  const bool synced = at == line.size() && ops_.fsync(fd) == 0;
  const net::Error failed = io_error("write", index_, at == line.size() ? errno : error);
  ops_.close(fd);
  if (!synced) return failed;
  lines_++;
  return {};
}

net::Status History::rewrite() {
  std::string text;
  for (const auto& [revision, entry] : entries_) text += line_of(entry);
  const std::string next = index_ + ".new";
  if (auto written = write_synced(ops_, next, text, 0600); !written) return written;
  if (ops_.rename(next.c_str(), index_.c_str()) != 0) {
    const net::Error error = io_error("put in place the new", index_, errno);
    ops_.unlink(next.c_str());
    return error;
  }
  lines_ = entries_.size();
  return sync_folder(ops_, folder_);
}

std::vector<const HistoryEntry*> History::entries() const {
  std::vector<const HistoryEntry*> list;
  for (const auto& [revision, entry] : entries_)
    if (revision == current_ || files_.contains(revision)) list.push_back(&entry);
  return list;
}

const HistoryEntry* History::entry(uint64_t revision) const {
  const auto it = entries_.find(revision);
  return it == entries_.end() ? nullptr : &it->second;
}

}  // namespace lb::ctl
