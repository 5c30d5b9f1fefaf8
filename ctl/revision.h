// One change of services and pools: who, when, why, from which files. What history tells of it and the state keeps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lb::ctl {

// A file of the document that was applied, as lbctl read it.
struct SourceFile {
  std::string path, sha256;  // 64 lower-case hex digits
  friend bool operator==(const SourceFile&, const SourceFile&) = default;
};

struct Revision {
  uint64_t revision = 0;
  uint32_t uid = 0;       // who asked
  std::string login_uid;  // who logged in before su or sudo; empty: not known
  std::string command;    // service.add, config.apply, start, reload
  std::string reason;
  int64_t time_s = 0;             // seconds since 1970-01-01 UTC
  std::string digest;             // of services and pools, digest_hex(config_text)
  std::vector<SourceFile> files;  // of config.apply; else empty
  uint64_t restores = 0;          // the revision whose services and pools came back with it; 0: none
  friend bool operator==(const Revision&, const Revision&) = default;
};

}  // namespace lb::ctl
