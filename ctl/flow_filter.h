// Which flows a command means: {service, backend, client, class, pinned}, all of them optional, all must fit. What
// control knows of a flow beyond its entry is worked out here by the rules that workers use (model/lookup.h).
#pragma once

#include <optional>
#include <vector>

#include "ctl/controller.h"
#include "ctl/fields.h"
#include "dataplane/model/flows.h"

namespace lb::ctl {

struct KnownFlow {
  uint32_t service = LB_NO_SERVICE;  // that listens there today
  bool pinned = false;               // it keeps a backend that the table would not choose for it
};
KnownFlow know(const model::Snapshot& snapshot, const model::Flow& flow);

class FlowFilter {
 public:
  // Reads members of `fields`; faults are kept there.
  static FlowFilter read(Fields& fields);
  bool empty() const { return !service_ && !backend_ && !client_ && !class_ && !pinned_; }
  // Names become numbers of this snapshot. ERRORS: kNotFound with what there is.
  net::Status resolve(const Controller& control);
  bool fits(const model::Flow& flow, const KnownFlow& known) const;

 private:
  std::optional<std::string> service_, backend_;
  std::optional<net::Prefix> client_;
  std::optional<model::FlowClass> class_;
  bool pinned_ = false;
  uint32_t service_index_ = LB_NO_SERVICE;
  std::vector<bool> backends_;  // by id
};

}  // namespace lb::ctl
