#include "dataplane/host/huge_pages.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace lb::host {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPageMb = 2;

uint64_t read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  file >> value;
  return value;
}

// /proc/PID/status, which everybody may read: "Name:	lbd", "HugetlbPages:	    2048 kB".
uint64_t huge_kb_if_lbd(const fs::path& process) {
  std::ifstream file(process / "status");
  bool is_lbd = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key, name;
    uint64_t kb = 0;
    words >> key;
    if (key == "Name:" && words >> name) is_lbd = name == "lbd";
    if (is_lbd && key == "HugetlbPages:" && words >> kb) return kb;
  }
  return 0;
}

// To be reserved in all: half as many pages of 2 MB as there are MB, and one for the odd one.
uint64_t pages_for(uint64_t mb) {
  return mb / kPageMb + 1;
}

}  // namespace

uint64_t free_huge_mb(const std::string& sysfs) {
  const std::string folder = sysfs + "/kernel/mm/hugepages/";
  return read_number(folder + "hugepages-2048kB/free_hugepages") * kPageMb +
         read_number(folder + "hugepages-1048576kB/free_hugepages") * 1024;
}

uint64_t huge_mb_of_lbd(const std::string& proc) {
  uint64_t kb = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(proc, none))
    if (std::isdigit(static_cast<unsigned char>(entry.path().filename().c_str()[0])) != 0)
      kb += huge_kb_if_lbd(entry.path());
  return kb / 1024;
}

std::string too_few_huge_pages(uint64_t needed_mb, uint64_t free_mb) {
  return fmt::format(
      "huge pages are on, but of the {} MB needed {} MB are free; reserve them: sysctl -w vm.nr_hugepages={} (or set "
      "huge-pages: auto)",
      needed_mb, free_mb, pages_for(needed_mb));
}

std::string nics_without_huge_pages(uint64_t needed_mb) {
  return fmt::format("NICs are driven without huge pages, which is slower; reserve them: sysctl -w vm.nr_hugepages={}",
                     pages_for(needed_mb));
}

}  // namespace lb::host
