// model::OwnedFilter by the NIC itself: rules for the owned addresses on a device in isolated mode, which gets nothing
// else. The kinds of rules that the device takes are found out at the start, by making one of each for an address that
// nobody has. Control thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "dataplane/dpdk/nic_rule.h"
#include "dataplane/model/owned_filter.h"
#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::dpdk {

// rte_flow of one device.
class RuleDevice {
 public:
  virtual ~RuleDevice() = default;
  // ERRORS: kUnavailable, with the driver's words.
  virtual net::Result<rte_flow*> create(const rte_flow_attr& attr, const rte_flow_item* items,
                                        const rte_flow_action* actions) = 0;
  virtual net::Status destroy(rte_flow* rule) = 0;
};
std::unique_ptr<RuleDevice> rule_device(uint16_t device);  // of DPDK's port number

struct NicRuleOptions {
  net::Mac mac;
  uint16_t queues = 1;                    // RSS over these, when the device takes such rules
  std::span<const uint8_t> rss_key = {};  // copied
  // tc takes rules of one mask only at a priority; mlx5 has few priorities.
  bool priority_by_kind = false;
  std::string description;
};

class NicRules : public model::OwnedFilter {
 public:
  // ERRORS: kUnsupported, when the device cannot tell apart what a service is made of.
  static net::Result<std::unique_ptr<NicRules>> open(std::unique_ptr<RuleDevice> device, NicRuleOptions options);
  ~NicRules() override;  // takes the rules away
  NicRules(const NicRules&) = delete;
  NicRules& operator=(const NicRules&) = delete;

  // New rules first. One that is refused undoes those before it, and the old set stays. One that cannot be taken away
  // is an error, and stays.
  net::Status set_owned(std::span<const net::Address> addresses) override;
  std::string description() const override { return options_.description; }
  // Empty: what comes in is spread over the queues by RSS. Else it is all in the first.
  const std::string& why_no_rss() const noexcept { return why_no_rss_; }
  // What the device has no rules for, each with the driver's words.
  const std::vector<std::string>& left_to_kernel() const noexcept { return left_to_kernel_; }

 private:
  struct Form {
    NicRuleKind kind;
    bool tagged;
  };
  NicRules(std::unique_ptr<RuleDevice> device, NicRuleOptions options);
  net::Result<rte_flow*> create(const NicRule& rule);
  net::Status try_out(const Form& form);
  net::Status find_forms();
  std::set<NicRule> rules_for(std::span<const net::Address> addresses) const;
  net::Status add_missing(const std::set<NicRule>& wanted);
  net::Status remove_others(const std::set<NicRule>& wanted);
  net::Error full(const NicRule& rule, const net::Error& why) const;

  std::unique_ptr<RuleDevice> device_;
  NicRuleOptions options_;
  std::vector<uint8_t> rss_key_;
  uint16_t queues_;
  std::string why_no_rss_;
  std::vector<std::string> left_to_kernel_;
  std::vector<Form> forms_;  // that the device takes
  std::map<NicRule, rte_flow*> present_;
};

}  // namespace lb::dpdk
