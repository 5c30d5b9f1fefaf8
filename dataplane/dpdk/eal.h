// DPDK's environment, once per process, from our own options. Our threads: the one that calls init() is the main lcore
// (control); each configured core gets one worker lcore, 1..n in the order of daemon.dpdk.workers. Cores may be shared:
// two daemons, or two workers, on one core are slower but correct.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/host/cores.h"
#include "dataplane/model/config.h"
#include "dataplane/net/result.h"

namespace lb::dpdk {

using host::allowed_cores;
using host::check_cores;
using host::cores_text;

// One line without newline: what DPDK warns of, and what we decided by ourselves. Called from any thread.
using Log = std::function<void(std::string_view line)>;

struct EalOptions {
  std::vector<uint32_t> workers;  // CPU cores
  model::HugePages huge_pages = model::HugePages::kAuto;
  uint32_t memory_mb = 128;           // buffers and rings; without huge pages all of it is taken at start
  std::vector<std::string> pci = {};  // the NICs that DPDK may touch, by address; none: it does not look at the bus
  Log log;
};

class Eal {
 public:
  // ERRORS: kInvalid (a core that this machine or this process does not have), kUnavailable (memory, huge pages),
  // kPermission, kInternal (a second call in this process: DPDK cannot be started twice).
  static net::Result<std::unique_ptr<Eal>> init(const EalOptions& options);
  ~Eal();  // ends the worker lcores' threads, removes the run-time folder
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  bool huge_pages() const noexcept { return huge_pages_; }
  static uint32_t lcore_of(uint32_t worker) noexcept { return worker + 1; }
  // What DPDK logged since the last call, for the sentence of an error; the lines went to the log too.
  std::string take_complaints();
  bool has_complaints();
  // What it logged while it looked for devices.
  const std::string& complaints_at_start() const noexcept { return complaints_at_start_; }

 private:
  struct LogStream;
  Eal();
  std::unique_ptr<LogStream> log_stream_;
  std::string runtime_folder_, complaints_at_start_;
  bool huge_pages_ = false;
  bool initialised_ = false;
};

}  // namespace lb::dpdk
