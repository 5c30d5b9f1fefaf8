#include "dataplane/dpdk/eal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include "dataplane/host/huge_pages.h"

namespace lb::dpdk {

namespace {

constexpr const char* kPrefix = "lbd-";  // of the run-time folder's name; the process id follows
constexpr size_t kMaxComplaints = 2000;  // bytes of DPDK's lines kept for a sentence

std::string runtime_base() {
  const char* given = getenv("RUNTIME_DIRECTORY");  // systemd.exec(5); DPDK looks there too
  if (given != nullptr && *given != '\0') return given;
  if (geteuid() == 0) return "/var/run";
  const char* user = getenv("XDG_RUNTIME_DIR");
  return user != nullptr && *user != '\0' ? user : "/tmp";
}

// A killed daemon cannot remove its folder. It holds nothing that a running process needs.
void remove_stale_folders(const std::string& base) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(base + "/dpdk", ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const std::string pid = name.substr(strlen(kPrefix));
    if (std::filesystem::exists("/proc/" + pid, ignored)) continue;
    std::filesystem::remove_all(entry.path(), ignored);
  }
}

// Cores for the control thread: not a worker's, while there is another one.
std::vector<uint32_t> control_cores(const std::vector<uint32_t>& workers) {
  std::vector<uint32_t> others = allowed_cores();
  std::erase_if(others, [&](uint32_t c) { return std::find(workers.begin(), workers.end(), c) != workers.end(); });
  return others.empty() ? allowed_cores() : others;
}

std::string lcores_argument(const std::vector<uint32_t>& workers) {
  std::string text = fmt::format("--lcores=0@({})", cores_text(control_cores(workers)));
  for (uint32_t w = 0; w < workers.size(); w++) text += fmt::format(",{}@{}", Eal::lcore_of(w), workers[w]);
  return text;
}

std::vector<std::string> arguments(const EalOptions& o, bool huge) {
  std::vector<std::string> args = {"lbd", lcores_argument(o.workers),
                                   fmt::format("--file-prefix={}{}", kPrefix, getpid()), "--no-telemetry",
                                   "--log-level=*:5"};  // RTE_LOG_WARNING
  if (o.pci.empty()) {
    args.insert(args.end(), {"--no-pci", "--iova-mode=va"});
  } else {  // which addresses NICs are told, virtual or physical, is for their drivers to say
    for (const std::string& address : o.pci) args.push_back("--allow=" + address);
  }
  // No device of that bus: functions that an mlx5 NIC was divided into, which DPDK would take unasked.
  args.push_back("--allow=auxiliary:");
  if (huge) {
    args.push_back("--in-memory");  // no files of huge pages that would outlive a killed daemon
  } else {
    args.push_back("--no-huge");
    args.push_back("--no-shconf");
    args.push_back(fmt::format("-m{}", o.memory_mb));
  }
  return args;
}

net::Result<bool> choose_huge_pages(const EalOptions& o) {
  if (o.huge_pages == model::HugePages::kOff) return false;
  const uint64_t free_mb = host::free_huge_mb();
  if (free_mb >= o.memory_mb) return true;
  if (o.huge_pages == model::HugePages::kAuto) return false;
  return net::Error{net::Code::kUnavailable,
                    "daemon.dpdk.huge-pages: " + host::too_few_huge_pages(o.memory_mb, free_mb)};
}

net::Error init_error(int error, const EalOptions& o, bool huge, const std::string& complaints) {
  const std::string why = complaints.empty() ? std::string(strerror(error)) : complaints;
  if (error == EALREADY)
    return {net::Code::kInternal, "DPDK was already started in this process; it cannot be started twice"};
  if (error == ENOMEM)
    return {net::Code::kUnavailable, fmt::format("DPDK cannot have {} MB of memory ({}): {}", o.memory_mb,
                                                 huge ? "huge pages" : "without huge pages", why)};
  if (error == EACCES || error == EPERM)
    return {net::Code::kPermission, fmt::format("DPDK is not permitted to start: {}; run as root", why)};
  return {net::Code::kUnavailable, fmt::format("DPDK does not start: {}", why)};
}

}  // namespace

// DPDK's log as a stream whose lines go to our log.
struct Eal::LogStream {
  explicit LogStream(Log sink) : log(std::move(sink)) {
    cookie_io_functions_t io = {};
    io.write = [](void* self, const char* bytes, size_t n) {
      static_cast<LogStream*>(self)->take({bytes, n});
      return static_cast<ssize_t>(n);
    };
    stream = fopencookie(this, "w", io);
    if (stream != nullptr) setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
    rte_openlog_stream(stream);
  }
  ~LogStream() {
    rte_openlog_stream(nullptr);
    if (stream != nullptr) fclose(stream);
  }
  void take(std::string_view bytes) {
    const std::lock_guard lock(mutex);
    for (const char c : bytes) {
      if (c != '\n') {
        line += c;
        continue;
      }
      if (log && !line.empty()) log(line);
      if (complaints.size() < kMaxComplaints && !line.empty()) complaints += (complaints.empty() ? "" : "; ") + line;
      line.clear();
    }
  }

  Log log;
  std::FILE* stream = nullptr;
  std::mutex mutex;  // DPDK logs from its own threads too
  std::string line, complaints;
};

Eal::Eal() = default;

net::Result<std::unique_ptr<Eal>> Eal::init(const EalOptions& options) {
  if (net::Status cores = check_cores(options.workers); !cores) return cores.error();
  const auto huge = choose_huge_pages(options);
  if (!huge) return huge.error();
  const std::string base = runtime_base();
  remove_stale_folders(base);

  std::unique_ptr<Eal> eal(new Eal);
  eal->log_stream_ = std::make_unique<LogStream>(options.log);
  eal->runtime_folder_ = fmt::format("{}/dpdk/{}{}", base, kPrefix, getpid());
  eal->huge_pages_ = *huge;
  std::vector<std::string> args = arguments(options, *huge);
  std::vector<char*> argv;
  for (std::string& a : args) argv.push_back(a.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
    return init_error(rte_errno, options, *huge, eal->take_complaints());
  eal->initialised_ = true;
  eal->complaints_at_start_ = eal->take_complaints();
  if (!*huge && options.huge_pages == model::HugePages::kAuto && !options.pci.empty() && options.log)
    options.log(host::nics_without_huge_pages(options.memory_mb));
  return eal;
}

Eal::~Eal() {
  if (initialised_) rte_eal_cleanup();
  std::error_code ignored;
  std::filesystem::remove_all(runtime_folder_, ignored);
  std::filesystem::remove(std::filesystem::path(runtime_folder_).parent_path(), ignored);  // when it is empty
}

std::string Eal::take_complaints() {
  const std::lock_guard lock(log_stream_->mutex);
  return std::exchange(log_stream_->complaints, {});
}

bool Eal::has_complaints() {
  const std::lock_guard lock(log_stream_->mutex);
  return !log_stream_->complaints.empty();
}

}  // namespace lb::dpdk
