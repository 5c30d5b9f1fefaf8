// model::FlowTables over the mapped files. What is to be forgotten the worker that owns it is asked for.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/dpdk/flow_file.h"
#include "dataplane/flows/flow_view.h"

namespace lb::dpdk {

class FlowTables : public flows::FlowView {
 public:
  FlowTables(std::unique_ptr<FlowFile> file, uint64_t capacity);

  bool forget(const model::Flow& flow) override;
  std::span<uint64_t> backend_ids() override { return file_->backend_ids(); }
  void tidy() override;

  const FlowFile& file() const noexcept { return *file_; }
  // Of worker w, which it takes its requests from.
  stages::FlowRequests* requests_of(uint32_t worker) const noexcept { return requests_[worker].get(); }

 private:
  std::unique_ptr<FlowFile> file_;
  std::vector<std::unique_ptr<stages::FlowRequests>> requests_;
};

}  // namespace lb::dpdk
