#include "dataplane/dpdk/nic_rules.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_flow.h>

namespace lb::dpdk {
namespace {

// Nobody's: the IPv4 dummy address (RFC 7600), one of the discard-only prefix (RFC 6666).
net::Address nobody(NicRuleKind kind) {
  constexpr uint8_t kDummy[4] = {192, 0, 0, 8};
  constexpr uint8_t kDiscard[16] = {1};
  return kind == NicRuleKind::kIpv4 ? net::Address::from_ipv4(kDummy) : net::Address::from_ipv6(kDiscard);
}

class FlowCalls : public RuleDevice {
 public:
  explicit FlowCalls(uint16_t device) : device_(device) {}
  net::Result<rte_flow*> create(const rte_flow_attr& attr, const rte_flow_item* items,
                                const rte_flow_action* actions) override {
    rte_flow_error error = {};
    rte_flow* rule = rte_flow_create(device_, &attr, items, actions, &error);
    if (rule == nullptr) return words(error);
    return rule;
  }
  net::Status destroy(rte_flow* rule) override {
    rte_flow_error error = {};
    if (rte_flow_destroy(device_, rule, &error) != 0) return words(error);
    return {};
  }

 private:
  static net::Error words(const rte_flow_error& error) {
    const char* code = strerror(rte_errno);
    return {net::Code::kUnavailable, error.message == nullptr ? code : fmt::format("{} ({})", error.message, code)};
  }
  uint16_t device_;
};

}  // namespace

std::unique_ptr<RuleDevice> rule_device(uint16_t device) {
  return std::make_unique<FlowCalls>(device);
}

NicRules::NicRules(std::unique_ptr<RuleDevice> device, NicRuleOptions options)
    : device_(std::move(device)),
      options_(std::move(options)),
      rss_key_(options_.rss_key.begin(), options_.rss_key.end()),
      queues_(options_.queues) {}

net::Result<std::unique_ptr<NicRules>> NicRules::open(std::unique_ptr<RuleDevice> device, NicRuleOptions options) {
  std::unique_ptr<NicRules> rules(new NicRules(std::move(device), std::move(options)));
  if (net::Status found = rules->find_forms(); !found) return found.error();
  return rules;
}

NicRules::~NicRules() {
  for (const auto& [rule, handle] : present_) (void)device_->destroy(handle);
}

net::Result<rte_flow*> NicRules::create(const NicRule& rule) {
  rte_flow_attr attr = {};
  attr.ingress = 1;
  if (options_.priority_by_kind)
    attr.priority = static_cast<uint32_t>(rule.kind) * 2 + static_cast<uint32_t>(rule.tagged);
  const NicRulePattern pattern(rule, options_.mac);
  const NicRuleAction action(rule.kind, queues_, rss_key_);
  return device_->create(attr, pattern.items(), action.actions());
}

net::Status NicRules::try_out(const Form& form) {
  const auto made = create({nobody(form.kind), form.kind, form.tagged});
  if (!made) return made.error();
  return device_->destroy(*made);
}

net::Status NicRules::find_forms() {
  if (queues_ > 1) {
    if (net::Status spread = try_out({NicRuleKind::kIpv4, false}); !spread) {
      why_no_rss_ = "it refuses rules with RSS: " + spread.error().message;
      queues_ = 1;
    }
  }
  for (const NicRuleKind kind : kNicRuleKinds) {
    for (const bool tagged : {false, true}) {
      const net::Status taken = try_out({kind, tagged});
      if (taken) {
        forms_.push_back({kind, tagged});
        continue;
      }
      const std::string what = NicRule{.address = {}, .kind = kind, .tagged = tagged}.what();
      if (is_needed(kind) && !tagged)
        return net::Error{net::Code::kUnsupported,
                          fmt::format("the NIC takes no rule for {}, so lbd cannot share it with the kernel: {}", what,
                                      taken.error().message)};
      left_to_kernel_.push_back(fmt::format("{} ({})", what, taken.error().message));
      break;  // nor behind a tag
    }
  }
  return {};
}

net::Error NicRules::full(const NicRule& rule, const net::Error& why) const {
  return {why.code, fmt::format("the NIC refuses the rule for {}, {}, beside the {} that it has: {}; the addresses are "
                                "too many for it, or others use its rules; list fewer, or use the kernel's interface "
                                "as device, which takes 65536",
                                rule.address.to_string(), rule.what(), present_.size(), why.message)};
}

std::set<NicRule> NicRules::rules_for(std::span<const net::Address> addresses) const {
  std::set<NicRule> rules;
  for (const net::Address& address : addresses)
    for (const Form& form : forms_)
      if (is_of(form.kind, address.family())) rules.insert({address, form.kind, form.tagged});
  return rules;
}

net::Status NicRules::add_missing(const std::set<NicRule>& wanted) {
  std::vector<NicRule> added;
  for (const NicRule& rule : wanted) {
    if (present_.contains(rule)) continue;
    const auto made = create(rule);
    if (made) {
      present_.emplace(rule, *made);
      added.push_back(rule);
      continue;
    }
    for (const NicRule& undo : added)
      if (device_->destroy(present_.at(undo))) present_.erase(undo);
    return full(rule, made.error());
  }
  return {};
}

net::Status NicRules::remove_others(const std::set<NicRule>& wanted) {
  for (auto it = present_.begin(); it != present_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    if (const net::Status gone = device_->destroy(it->second); !gone)
      return net::Error{gone.error().code,
                        fmt::format("the NIC keeps the rule for {}, {}: {}", it->first.address.to_string(),
                                    it->first.what(), gone.error().message)};
    it = present_.erase(it);
  }
  return {};
}

net::Status NicRules::set_owned(std::span<const net::Address> addresses) {
  const std::set<NicRule> wanted = rules_for(addresses);
  if (net::Status added = add_missing(wanted); !added) return added;
  return remove_others(wanted);
}

}  // namespace lb::dpdk
