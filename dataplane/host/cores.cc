#include "dataplane/host/cores.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace lb::host {

std::vector<uint32_t> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Process 0 is this thread; once DPDK runs, the thread's set is narrower than what the process was given.
  static const std::vector<uint32_t> cores = [&] {
    std::vector<uint32_t> found;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
      for (uint32_t c = 0; c < CPU_SETSIZE; c++)
        if (CPU_ISSET(c, &set)) found.push_back(c);
    return found;
  }();
  return cores;
}

// The kernel's list: "0-3,8".
std::vector<uint32_t> online_cores(const std::string& sysfs) {
  std::ifstream file(sysfs + "/devices/system/cpu/online");
  std::vector<uint32_t> cores;
  for (std::string part; std::getline(file, part, ',');) {
    std::istringstream range(part);
    uint32_t first = 0, last = 0;
    char dash = 0;
    if (!(range >> first)) continue;
    if (!(range >> dash >> last)) last = first;
    for (uint32_t core = first; core <= last && core < CPU_SETSIZE; core++) cores.push_back(core);
  }
  return cores;
}

std::string cores_text(const std::vector<uint32_t>& cores) {
  std::string text;
  for (size_t i = 0; i < cores.size();) {
    size_t last = i;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) last++;
    if (!text.empty()) text += ',';
    text += last == i ? fmt::format("{}", cores[i]) : fmt::format("{}-{}", cores[i], cores[last]);
    i = last + 1;
  }
  return text;
}

std::string no_such_core(uint32_t core, const std::vector<uint32_t>& there) {
  return fmt::format("core {} is not on this machine; there are {}", core, cores_text(there));
}

std::string core_not_allowed(uint32_t core, const std::vector<uint32_t>& allowed) {
  return fmt::format("core {} is not allowed to this process; there are {}", core, cores_text(allowed));
}

net::Status check_cores(const std::vector<uint32_t>& workers) {
  const std::vector<uint32_t> allowed = allowed_cores();
  const auto configured = static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_CONF));
  for (const uint32_t core : workers) {
    if (std::binary_search(allowed.begin(), allowed.end(), core)) continue;
    return net::Error{
        net::Code::kInvalid,
        "daemon.dpdk.workers: " + (core >= configured ? no_such_core(core, allowed) : core_not_allowed(core, allowed))};
  }
  return {};
}

}  // namespace lb::host
