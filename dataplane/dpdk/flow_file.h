// The flow tables' memory: files that outlive the process, so that the next lbd goes on with every flow.
//
//   FOLDER/ids       whose number is what: a digest of the backend by BackendId
//   FOLDER/table-N   the tables of all workers of one lbd; the highest N is the newest
//   FOLDER/set-aside what could not be used, the latest of it
//
// Each begins with a header: magic, layout version, sizes, a check of the hash key, the machine's boot, a checksum. An
// lbd with the same number of workers and the same capacity goes on in the newest table; another makes a new one and
// reads the older ones until no flow is left in them. What does not fit is set aside and told in a sentence.
//
// Control thread only.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/dpdk/eal.h"
#include "dataplane/net/abi.h"
#include "dataplane/net/result.h"
#include "dataplane/stages/flow_table.h"

namespace lb::dpdk {

struct FlowOptions {
  std::string folder;  // made when it is not there; empty: no tracking
  lb_hash_key key{};
  uint32_t flows = 0;  // capacity of all workers together; 0: no tracking
  bool huge_pages = true;
};

// One file, mapped.
class FlowMapping {
 public:
  FlowMapping() = default;
  FlowMapping(FlowMapping&& other) noexcept;
  FlowMapping& operator=(FlowMapping&& other) noexcept;
  ~FlowMapping();

  // Whole, shared, read and write, at an address that huge pages can take. ERRORS: a sentence.
  static net::Result<FlowMapping> map(const std::string& path);
  // A new one of that size, all of its memory reserved but for the holes. ERRORS: nothing is left of it.
  static net::Result<FlowMapping> create(const std::string& path, size_t bytes, size_t first_used);

  uint8_t* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  const std::string& path() const noexcept { return path_; }
  // Renamed by its owner, so that it appears whole or not at all.
  net::Status publish_as(const std::string& path);
  // Asks for 2 MB pages, for some seconds at most. RETURNS: whether the kernel gave them; else errno says why not.
  bool collapse();
  // Its memory goes back to the system, its name goes; what is still mapped reads as zeros.
  void give_back() noexcept;

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  int fd_ = -1;
  std::string path_;
};

// The tables of one lbd in one file.
struct FlowSet {
  FlowMapping mapping;
  uint32_t number = 0;                        // N of table-N
  std::vector<stages::FlowTable> tables;      // by worker
  std::unique_ptr<std::atomic<bool>> in_use;  // former ones
};

class FlowFile {
 public:
  // ERRORS: no folder, no memory, another process has it. What is damaged is no error: it is set aside and logged.
  static net::Result<std::unique_ptr<FlowFile>> open(const FlowOptions& options, uint32_t workers, const Log& log);
  ~FlowFile();

  const FlowSet& current() const noexcept { return current_; }
  std::span<const FlowSet> former() const noexcept { return former_; }  // newest first
  std::span<uint64_t> backend_ids() const noexcept;
  bool adopted() const noexcept { return adopted_; }  // went on in an existing table
  // Gives back a former set; its tables are out of use from now on.
  void retire(size_t former);
  const std::string& folder() const noexcept { return folder_; }

 private:
  FlowFile() = default;
  net::Status claim(const std::string& folder);
  net::Status open_ids(const FlowOptions& o, const Log& log);
  void open_tables(const FlowOptions& o, const Log& log);
  net::Status open_current(const FlowOptions& o, uint32_t workers, const Log& log);
  void set_aside(const std::string& path, const std::string& why, const Log& log) const;

  std::string folder_;
  int lock_ = -1;
  FlowMapping ids_;
  FlowSet current_;
  std::vector<FlowSet> former_;
  bool adopted_ = false;
};

// The folder beside the socket, when it is memory (tmpfs, hugetlbfs); else one in /dev/shm that FOLDER links to.
// ERRORS: cannot be made, or is somebody else's.
net::Result<std::string> resolve_flow_folder(const std::string& folder, const Log& log);

}  // namespace lb::dpdk
