// Whether the configuration file is what runs. Reads the file again only when it, or a folder that it is in, was
// touched.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "dataplane/model/config.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {

class Drift {
 public:
  explicit Drift(std::string path) : path_(std::move(path)) {}
  // revision: of `running`; the same number, the same configuration. RETURNS: why they differ; empty: they do not.
  const std::string& check(const model::Config& running, uint64_t revision);
  const std::string& path() const { return path_; }

 private:
  using Stamp = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;  // device, inode, size, mtime s, ns
  static std::optional<Stamp> stamp(const std::string& path);
  bool touched() const;
  void read();

  std::string path_;
  model::Parsed parsed_;
  std::map<std::string, std::optional<Stamp>> seen_;  // files and their folders
  std::optional<uint64_t> revision_;
  std::string why_;
};

}  // namespace lb::ctl
