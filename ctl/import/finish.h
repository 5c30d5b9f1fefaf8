// A draft on its way to a valid configuration: names, weights, ports, then lbd's own rules. What breaks one is taken
// out with the rule as its reason.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/draft.h"

namespace lb::importing {

class Finish {
 public:
  explicit Finish(Draft& draft) : draft_(draft) {}
  Outcome run();

 private:
  void name_all();
  void settle_weights(DraftPool& pool);
  void judge_ports();
  void judge_port(const DraftService& service, DraftServer& server);
  void join();
  // RETURNS: false when nothing of what is there can be used.
  bool obey_rules();
  bool remove_broken(std::string_view path, const std::string& message);
  void drop_service(size_t index, const std::string& message);
  void drop_listener(size_t service, size_t index, const std::string& message);
  void drop_server(DraftPool& pool, size_t index, const std::string& message);
  model::Config config() const;

  Draft& draft_;
  std::vector<bool> live_;                                                 // services, by index
  std::map<std::string, size_t, std::less<>> pool_index_, service_index_;  // by name
};

// [a-z0-9][a-z0-9._-]{0,62}, as near to `wished` as that allows.
std::string valid_name(std::string_view wished);

// The document. live: which services are no comments.
std::string print_draft(const std::string& product, const std::deque<DraftPool>& pools,
                        const std::deque<DraftService>& services, const std::vector<bool>& live,
                        const std::vector<Remark>& left);

}  // namespace lb::importing
