// model::FlowTables over the mapped files: what control sees of them. Reads while workers write, see net/flow_line.h.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/dpdk/flow_file.h"
#include "dataplane/model/flows.h"

namespace lb::dpdk {

class FlowTables : public model::FlowTables {
 public:
  FlowTables(std::unique_ptr<FlowFile> file, uint64_t capacity);

  model::FlowTotals count() override;
  std::optional<uint64_t> scan(uint64_t position, uint64_t lines,
                               const std::function<void(const model::Flow&)>& each) override;
  bool forget(const model::Flow& flow) override;
  std::span<uint64_t> backend_ids() override { return file_->backend_ids(); }
  void tidy() override;

  const FlowFile& file() const noexcept { return *file_; }
  // For worker w: its own, and where it may look else.
  const stages::FlowTable& of(uint32_t worker) const noexcept { return tables_[worker]; }
  const std::vector<stages::FlowTable>& others_of(uint32_t worker) const noexcept { return others_[worker]; }
  stages::FlowRequests* requests_of(uint32_t worker) const noexcept { return requests_[worker].get(); }
  std::span<const stages::FlowTable> all() const noexcept { return tables_; }

 private:
  uint32_t workers() const noexcept { return static_cast<uint32_t>(requests_.size()); }
  void show(uint32_t table, uint32_t line, uint64_t now_ms, const std::function<void(const model::Flow&)>& each) const;
  bool is_current_too(uint64_t hash) const noexcept;

  std::unique_ptr<FlowFile> file_;
  uint64_t capacity_;
  std::vector<stages::FlowTable> tables_;  // of our workers, then former ones, newest first
  std::vector<uint32_t> worker_numbers_;   // of each table
  std::vector<std::vector<stages::FlowTable>> others_;
  std::vector<std::unique_ptr<stages::FlowRequests>> requests_;
};

}  // namespace lb::dpdk
