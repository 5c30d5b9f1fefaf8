#include "dataplane/model/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "dataplane/net/hash.h"

namespace lb::model {
namespace {

constexpr uint8_t kNameKey[17] = "lbd backend name";

// Keys of every backend that stands in the document.
std::set<BackendKey> keys_of(const Config& config) {
  std::set<BackendKey> keys;
  for (const auto& [name, pool] : config.pools)
    for (const Backend& b : pool.backends) keys.insert({name, b.name, b.address});
  return keys;
}

// A flow keeps its backend by its service's pool or former pool; of no other pool can there be flows.
std::set<std::string_view> pools_with_flows(const Config& config, const Overlay& overlay) {
  std::set<std::string_view> pools;
  for (const auto& [name, service] : config.services) pools.insert(service.pool);
  for (const auto& [name, former] : overlay.former_pools) pools.insert(former.pool);
  return pools;
}

void forget_what_nobody_uses(Overlay& overlay, const Config& config) {
  std::erase_if(overlay.former_pools, [&](const auto& entry) {
    const auto service = config.services.find(entry.first);
    return service == config.services.end() || service->second.pool == entry.second.pool;
  });
  const auto used = pools_with_flows(config, overlay);
  std::erase_if(overlay.leaving, [&](const auto& entry) { return !used.contains(entry.first.pool); });
}

void remember_former_pools(Overlay& overlay, const Config& from, const Config& to, int64_t until) {
  for (const auto& [name, service] : to.services) {
    const auto before = from.services.find(name);
    if (before != from.services.end() && before->second.pool != service.pool)
      overlay.former_pools[name] = {before->second.pool, until};
  }
}

bool is_over(const Override& by, int64_t now) {
  return by.expires != 0 && by.expires <= now;
}

void add_text(lb_sip& sip, std::string_view text) {
  lb_sip_word(&sip, text.size());
  for (size_t at = 0; at < text.size(); at += 8) {
    uint8_t word[8] = {};
    text.substr(at, 8).copy(reinterpret_cast<char*>(word), sizeof word);
    lb_sip_word(&sip, lb_load64(word));
  }
}

}  // namespace

Overlay carry(Overlay overlay, const Config& from, const Config& to, int64_t now, int64_t leave_after) {
  const std::set<BackendKey> before = keys_of(from), after = keys_of(to);
  remember_former_pools(overlay, from, to, now + leave_after);
  for (const BackendKey& key : before)
    if (!after.contains(key)) overlay.leaving.try_emplace(key, Leaving{now, now + leave_after});
  std::erase_if(overlay.leaving, [&](const auto& entry) { return after.contains(entry.first); });
  std::set<BackendName> names;
  for (const BackendKey& key : after) names.insert({key.pool, key.name});
  std::erase_if(overlay.drained, [&](const auto& entry) { return !names.contains(entry.first); });
  std::erase_if(overlay.withdrawn, [&](const auto& entry) { return !to.services.contains(entry.first); });
  forget_what_nobody_uses(overlay, to);
  return overlay;
}

std::vector<std::string> expire(Overlay& overlay, const Config& config, int64_t now) {
  std::vector<std::string> said;
  if (overlay.node_drain && is_over(*overlay.node_drain, now)) {
    said.emplace_back("the drain of the node expired: its services are announced again");
    overlay.node_drain.reset();
  }
  std::erase_if(overlay.withdrawn, [&](const auto& entry) {
    if (!is_over(entry.second, now)) return false;
    said.push_back(fmt::format("the withdrawal of service {} expired: it is announced again", entry.first));
    return true;
  });
  std::erase_if(overlay.drained, [&](const auto& entry) {
    if (!is_over(entry.second, now)) return false;
    said.push_back(fmt::format("the drain of {} expired: it takes new flows again", entry.first.text()));
    return true;
  });
  std::erase_if(overlay.leaving, [&](const auto& entry) {
    if (entry.second.until > now) return false;
    said.push_back(fmt::format("{}/{} ({}) was removed {} s ago: flows that it still has are moved", entry.first.pool,
                               entry.first.name, entry.first.address.to_string(), now - entry.second.since));
    return true;
  });
  std::erase_if(overlay.former_pools, [&](const auto& entry) {
    if (entry.second.until > now) return false;
    said.push_back(fmt::format("service {} used pool {} before: flows that it still has there are moved", entry.first,
                               entry.second.pool));
    return true;
  });
  forget_what_nobody_uses(overlay, config);
  return said;
}

std::vector<net::Address> backend_addresses(const Config& config, const Overlay& overlay) {
  std::vector<net::Address> list;
  for (const auto& [name, pool] : config.pools)
    for (const Backend& b : pool.backends) list.push_back(b.address);
  for (const auto& [key, leaving] : overlay.leaving) list.push_back(key.address);
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

uint64_t digest_of(const BackendKey& key) {
  const lb_hash_key public_key{lb_load64(kNameKey), lb_load64(kNameKey + 8)};
  lb_sip sip;
  lb_sip_init(&sip, &public_key);
  add_text(sip, key.pool);
  add_text(sip, key.name);
  const net::Address address = key.address;
  lb_sip_word(&sip, lb_load64(address.bytes().data()));
  lb_sip_word(&sip, lb_load64(address.bytes().data() + 8));
  const uint64_t digest = lb_sip_final(&sip);
  return digest == 0 ? 1 : digest;
}

}  // namespace lb::model
