#include "ctl/neighbour_keeper.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace lb::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kMaxPause{30};     // between questions to a silent next hop
constexpr seconds kStalePause{5};    // a STALE one is confirmed in that time (delay_first_probe_time)
constexpr milliseconds kTick{1000};  // when nothing is urgent
constexpr milliseconds kBurst{100};  // when more are due than one round takes
constexpr size_t kRound = 512;       // questions a round: 5,000 ARP requests a second at most
constexpr seconds kFullMemory{60};   // how long a refusal is told

void put_poke(NetlinkBatch& batch, uint32_t seq, const NeighbourKey& key) {
  const auto& [interface, address] = key;
  nlmsghdr* request = batch.add(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, seq);
  auto* nd = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ndmsg)));
  nd->ndm_family = address.is_ipv4() ? AF_INET : AF_INET6;
  nd->ndm_ifindex = interface;
  nd->ndm_flags = NTF_USE;
  if (address.is_ipv4()) {
    mnl_attr_put(request, NDA_DST, 4, address.ipv4_bytes());
  } else {
    mnl_attr_put(request, NDA_DST, 16, address.bytes().data());
  }
  batch.commit();
}

}  // namespace

void NeighbourKeeper::keep(const std::set<NeighbourKey>& keys) {
  std::erase_if(uses_, [&](const auto& entry) { return !keys.contains(entry.first); });
  for (const NeighbourKey& key : keys) uses_.try_emplace(key);
}

bool NeighbourKeeper::silent(const NeighbourKey& key) const {
  const auto it = uses_.find(key);
  return it != uses_.end() && it->second.silent;
}

void NeighbourKeeper::observe(const NeighbourKey& key, const Neighbour* now) {
  const auto it = uses_.find(key);
  if (it == uses_.end() || now == nullptr) return;
  if (now->usable()) {
    it->second.silent = false;
    it->second.pause = seconds(1);
  } else if ((now->state & NUD_FAILED) != 0) {
    it->second.silent = true;
  }
}

void NeighbourKeeper::read_refusals() {
  // Only refusals come back: success is not acknowledged. A lost one is repeated at the next question.
  auto drained = socket_.drain([this](const nlmsghdr& message) {
    if (message.nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(&message) < sizeof(nlmsgerr)) return;
    const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&message))->error;
    refused_ |= error == ENOBUFS || error == ENOMEM;
  });
  static_cast<void>(drained);
}

net::Result<NeighbourKeeper::Clock::time_point> NeighbourKeeper::tick(Clock::time_point now, const KernelState& state) {
  std::optional<NetlinkBatch> batch;
  size_t asked = 0;
  bool more = false;
  for (auto& [key, use] : uses_) {
    if (use.next > now) continue;
    const Neighbour* n = state.neighbour(key);
    const bool usable = n != nullptr && n->usable();
    if (usable && (n->state & NUD_STALE) == 0) continue;
    if (asked == kRound) {
      more = true;
      break;
    }
    if (!batch) batch.emplace();
    put_poke(*batch, ++seq_, key);
    asked++;
    use.next = now + (usable ? kStalePause : use.pause);
    if (!usable) use.pause = std::min(use.pause * 2, kMaxPause);
    if (batch->full()) {
      if (auto sent = socket_.send(*batch); !sent) return sent.error();
      batch.reset();
    }
  }
  if (batch) {
    if (auto sent = socket_.send(*batch); !sent) return sent.error();
  }
  read_refusals();
  if (std::exchange(refused_, false)) full_until_ = now + kFullMemory;
  table_full_ = now < full_until_;
  return now + (more ? kBurst : kTick);
}

}  // namespace lb::ctl
