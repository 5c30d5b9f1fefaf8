#include <fmt/format.h>

#include "dataplane/model/compiler_parts.h"
#include "dataplane/net/hash.h"

namespace lb::model {
namespace {

constexpr uint8_t kTableKey[17] = "lbd table digest";

// SipHash-1-3 with a fixed public key over 64-bit words, little endian.
class Digest {
 public:
  Digest() {
    const lb_hash_key key{lb_load64(kTableKey), lb_load64(kTableKey + 8)};
    lb_sip_init(&state_, &key);
  }
  void add(uint64_t word) {
    lb_sip_word(&state_, word);
    words_++;
  }
  uint64_t finish() {
    lb_sip_word(&state_, (words_ * 8) << 56);  // the length in bytes, modulo 256
    return lb_sip_final(&state_);
  }

 private:
  lb_sip state_;
  uint64_t words_ = 0;
};

// What stands for a backend in a digest: where it is, not what it is called or numbered here.
uint64_t word_of(const MaglevBackend& b) {
  Digest d;
  d.add(lb_load64(b.address.bytes().data()));
  d.add(lb_load64(b.address.bytes().data() + 8));
  d.add(b.port);
  return d.finish();
}

std::vector<MaglevBackend> without_ids(std::vector<MaglevBackend> members) {
  for (MaglevBackend& b : members) b.id = net::kNoBackend;
  return members;
}

}  // namespace

size_t TableCache::KeyHash::operator()(const Key& key) const noexcept {
  Digest d;
  d.add(key.size);
  for (const MaglevBackend& b : key.members) {
    d.add(lb_load64(b.address.bytes().data()));
    d.add(lb_load64(b.address.bytes().data() + 8));
    d.add(b.weight | static_cast<uint64_t>(net::raw(b.id)) << 32 | static_cast<uint64_t>(b.port) << 48);
  }
  return d.finish();
}

Table TableCache::build(const std::vector<MaglevBackend>& members, uint32_t size, CompileStats& stats) {
  if (!members.empty()) stats.tables_built++;
  Table table{.size = size, .slots = build_maglev(members, size)};
  word_of_id_[0] = 0;
  for (const MaglevBackend& b : members) word_of_id_[net::raw(b.id)] = word_of(b);
  Digest d;
  d.add(size);
  for (uint16_t id : table.slots) d.add(word_of_id_[id]);
  table.digest = d.finish();
  return table;
}

std::shared_ptr<const Table> TableCache::table(const std::vector<MaglevBackend>& members, uint32_t size,
                                               CompileStats& stats) {
  auto [it, added] = tables_.try_emplace({size, members});
  it->second.used = compilation_;
  if (added) {
    it->second.value = std::make_shared<const Table>(build(members, size, stats));
  } else {
    stats.tables_reused++;
  }
  remember_digest({size, without_ids(members)}, it->second.value->digest);
  return it->second.value;
}

uint64_t TableCache::digest(const std::vector<MaglevBackend>& members, uint32_t size, CompileStats& stats) {
  auto [it, added] = digests_.try_emplace({size, without_ids(members)});
  it->second.used = compilation_;
  if (added) it->second.value = build(members, size, stats).digest;
  return it->second.value;
}

void TableCache::remember_digest(Key key, uint64_t digest) {
  digests_.insert_or_assign(std::move(key), Entry<uint64_t>{digest, compilation_});
}

void TableCache::end_of_compilation() {
  const auto stale = [this](const auto& entry) { return entry.second.used + kKeep <= compilation_; };
  std::erase_if(tables_, stale);
  std::erase_if(digests_, stale);
  compilation_++;
}

uint64_t combine_digests(uint64_t table4, uint64_t table6) {
  Digest d;
  d.add(table4);
  d.add(table6);
  return d.finish();
}

std::string digest_text(uint64_t digest) {
  return fmt::format("{:016x}", digest);
}

}  // namespace lb::model
