// The sources of tests/golden/import: FORMAT_NAME.in, with NAME.yaml as what becomes of it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ctl/import/importer.h"

namespace lb::importing {

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Fixture {
  std::filesystem::path path;
  std::string name, text;  // name: haproxy_edge
  const Format* format = nullptr;
};

inline std::vector<Fixture> fixtures() {
  std::vector<Fixture> found;
  for (const auto& entry : std::filesystem::directory_iterator(LB_SOURCE_ROOT "/tests/golden/import")) {
    if (entry.path().extension() != ".in") continue;
    Fixture f{entry.path(), entry.path().stem().string(), read_whole(entry.path()), nullptr};
    f.format = find_format(f.name.substr(0, f.name.find('_')));
    found.push_back(std::move(f));
  }
  std::sort(found.begin(), found.end(), [](const Fixture& a, const Fixture& b) { return a.name < b.name; });
  return found;
}

}  // namespace lb::importing
