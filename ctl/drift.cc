#include "ctl/drift.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "ctl/selector.h"
#include "dataplane/model/diff.h"

namespace lb::ctl {
namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

std::string describe(const model::Parsed& file, const model::Config& running) {
  if (!file.problems.empty()) {
    return fmt::format("it cannot be used: {}", file.problems.front().to_string());
  }
  model::Diff diff = model::diff(running, file.config);
  if (!file.has_daemon) diff.restart.clear();
  std::vector<std::string> lines = diff.lines;
  lines.insert(lines.end(), diff.restart.begin(), diff.restart.end());
  if (diff.empty()) return {};
  return fmt::format("{} difference{}: {}", lines.size(), lines.size() == 1 ? "" : "s", some_of(lines, 3));
}

}  // namespace

std::optional<Drift::Stamp> Drift::stamp(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return std::nullopt;
  return Stamp{st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

bool Drift::touched() const {
  return seen_.empty() ||
         std::any_of(seen_.begin(), seen_.end(), [](const auto& entry) { return stamp(entry.first) != entry.second; });
}

void Drift::read() {
  seen_.clear();
  // Stamps before the text: a write in between is seen at the next check.
  seen_[path_] = stamp(path_);
  seen_[folder_of(path_)] = stamp(folder_of(path_));
  for (const std::string& file : parsed_.files) {
    seen_[file] = stamp(file);
    seen_[folder_of(file)] = stamp(folder_of(file));
  }
  for (const std::string& folder : parsed_.folders) seen_[folder] = stamp(folder);
  parsed_ = model::load_config(path_, model::file_reader());
  for (const std::string& folder : parsed_.folders) seen_.try_emplace(folder, stamp(folder));
  for (const std::string& file : parsed_.files) {
    seen_.try_emplace(file, stamp(file));
    seen_.try_emplace(folder_of(file), stamp(folder_of(file)));
  }
}

const std::string& Drift::check(const model::Config& running, uint64_t revision) {
  const bool reread = touched();
  if (reread) read();
  if (reread || revision_ != revision) {
    why_ = describe(parsed_, running);
    revision_ = revision;
  }
  return why_;
}

}  // namespace lb::ctl
