#include "ctl/forecast.h"

#include <algorithm>
#include <bitset>
#include <map>
#include <memory>
#include <utility>

namespace lb::ctl {
namespace {

using Slots = std::span<const uint16_t>;

// One comparison per pair of tables, however many services share them.
class Comparer {
 public:
  double moved(Slots before, Slots after) {
    auto [it, fresh] = moved_.try_emplace({before.data(), after.data()});
    if (fresh) it->second = slots_moved(before, after);
    return it->second;
  }

 private:
  std::map<std::pair<const uint16_t*, const uint16_t*>, double> moved_;
};

bool same_tables(const model::Snapshot& before, const lb_service& was, const model::Snapshot& after,
                 const lb_service& now) {
  const auto same = [&](net::Family family) {
    const Slots a = before.table_of(was, family), b = after.table_of(now, family);
    return a.data() == b.data() && a.size() == b.size();
  };
  return same(net::Family::kIpv4) && same(net::Family::kIpv6);
}

bool same_way(const lb_service& a, const lb_service& b) {
  return a.forward == b.forward && a.schedule == b.schedule && a.prefix4 == b.prefix4 && a.prefix6 == b.prefix6;
}

}  // namespace

double slots_moved(Slots before, Slots after) {
  if (before.empty() || after.empty()) return before.empty() && after.empty() ? 0 : 1;
  if (before.data() == after.data() && before.size() == after.size()) return 0;
  // Slot i covers the hashes [i/n, (i+1)/n): walk both tables' borders at once, in units of 1/(n*m).
  const uint64_t n = before.size(), m = after.size();
  uint64_t at = 0, moved = 0;
  for (size_t i = 0, j = 0; i < n && j < m;) {
    const uint64_t end = std::min((i + 1) * m, (j + 1) * n);
    if (before[i] != after[j]) moved += end - at;
    at = end;
    if (at == (i + 1) * m) i++;
    if (at == (j + 1) * n) j++;
  }
  return static_cast<double>(moved) / static_cast<double>(n * m);
}

size_t EligibleCounter::count(const model::Snapshot& snapshot, const lb_service& service) {
  const Slots v4 = snapshot.table_of(service, net::Family::kIpv4), v6 = snapshot.table_of(service, net::Family::kIpv6);
  auto [it, fresh] = counted_.try_emplace({v4.data(), v6.data()});
  if (!fresh) return it->second;
  if (before_ != nullptr) {
    const auto known = before_->counted_.find(it->first);
    if (known != before_->counted_.end()) return it->second = known->second;
  }
  auto seen = std::make_unique<std::bitset<LB_MAX_BACKENDS + 1>>();
  for (uint16_t id : v4) seen->set(id);
  if (v6.data() != v4.data()) {
    for (uint16_t id : v6) seen->set(id);
  }
  seen->reset(0);
  return it->second = seen->count();
}

const lb_service* service_at(const model::Snapshot& snapshot, size_t index) {
  if (index >= snapshot.services.size() || snapshot.services[index].table_size == 0) return nullptr;
  return &snapshot.services[index];
}

std::vector<ServiceForecast> forecast_tables(const model::Snapshot* before, const model::Snapshot& after) {
  std::vector<ServiceForecast> list;
  Comparer comparer;
  EligibleCounter count_before, count_after;
  for (size_t i = 0; i < after.services.size(); i++) {
    const lb_service* now = service_at(after, i);
    if (now == nullptr) continue;
    const lb_service* was = before == nullptr ? nullptr : service_at(*before, i);
    if (was != nullptr && before->service_names[i] != after.service_names[i]) was = nullptr;
    if (was != nullptr && same_way(*was, *now) && same_tables(*before, *was, after, *now)) continue;
    ServiceForecast f{.service = after.service_names[i],
                      .slots_moved = 1,
                      .eligible_before = 0,
                      .eligible_after = count_after.count(after, *now),
                      .same_way = was == nullptr || same_way(*was, *now),
                      .flows = {}};
    if (was != nullptr) {
      f.eligible_before = count_before.count(*before, *was);
      f.slots_moved = 0;
      for (net::Family family : {net::Family::kIpv4, net::Family::kIpv6}) {
        f.slots_moved += comparer.moved(before->table_of(*was, family), after.table_of(*now, family)) / 2;
      }
      if (f.slots_moved == 0 && f.eligible_before == f.eligible_after && same_way(*was, *now)) continue;
    }
    list.push_back(std::move(f));
  }
  std::sort(list.begin(), list.end(),
            [](const ServiceForecast& a, const ServiceForecast& b) { return a.service < b.service; });
  return list;
}

}  // namespace lb::ctl
