// A compiled configuration with its overlay: flat, immutable, shared by all workers; read in place by the DPDK engine,
// copied into maps by an XDP engine. compile() is pure but for the id table, which only grows new ids.
//
// Threads: built by control, published once, read by workers, freed after the grace period.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/overlay.h"
#include "dataplane/model/reach.h"
#include "dataplane/net/abi.h"
#include "dataplane/net/ids.h"
#include "dataplane/net/result.h"

namespace lb::model {

// One Maglev table, shared by every service (and generation) that needs the same one.
struct Table {
  uint32_t size = 0;            // slots
  std::vector<uint16_t> slots;  // backend ids, network-wide of this node; 0 = none
  // Over size and, per slot, the backend's address: equal on every node with the same table.
  uint64_t digest = 0;
};

// Stable numbers for backends and services, for as long as they exist. Owned by control.
//   a backend is (pool, name, address): a new address is a new backend and a new id
//   one that is leaving keeps its id; added again meanwhile it is what it was
//   ids of removed backends are reused only after all others (least recently freed first), and are reported
//   as fresh again, so that counters can start from zero
// Where a flow table outlives the process (keep_directory), an id that nobody has stays reserved for its former owner
// until release(): entries may still name it.
class IdTable {
 public:
  using BackendKey = model::BackendKey;
  // From now on ids are reserved. digests: of digest_of(), by id, 0: nobody's; what a former process left. REQUIRES:
  // nothing was assigned.
  void keep_directory(std::span<const uint64_t> digests);
  // Gives ids to what is new in config and overlay, frees those of what is gone. ERRORS: kInvalid when there are more
  // than ids; nothing has changed then. REQUIRES: names are unique in each pool.
  net::Status assign(const Config& config, const Overlay& overlay = {});
  // Of nobody, but not free: until a count of the flow tables found no entry that names it.
  const std::multimap<uint64_t, net::BackendId>& reserved() const { return reserved_; }  // by digest
  void release(net::BackendId id);                                                       // REQUIRES: reserved
  net::BackendId backend(const BackendKey& key) const;                                   // kNoBackend when unknown
  net::ServiceIndex service(const std::string& name) const;                              // REQUIRES: known
  const std::map<BackendKey, net::BackendId>& backends() const { return backends_; }
  const std::map<std::string, net::ServiceIndex>& services() const { return services_; }
  // Of the last assign(): pools by name, in each the backends as they stand in the document.
  const std::vector<net::BackendId>& document_order() const { return document_order_; }
  // Ids given out by assign() since the last call: counters of these start now.
  std::vector<net::BackendId> take_fresh_backends();
  const std::vector<net::BackendId>& fresh_backends() const { return fresh_backends_; }
  std::vector<net::ServiceIndex> take_fresh_services();

 private:
  net::Status assign_backends(const Config& config, const Overlay& overlay);
  size_t free_numbers() const;
  void free_backend(const BackendKey& key, net::BackendId id);
  net::BackendId take_backend(const BackendKey& key);
  void assign_services(const Config& config);

  std::map<BackendKey, net::BackendId> backends_;
  std::map<std::string, net::ServiceIndex> services_;
  std::deque<net::BackendId> freed_backends_;  // oldest first
  std::multimap<uint64_t, net::BackendId> reserved_;
  bool reserves_ = false;
  std::deque<net::ServiceIndex> freed_services_;
  std::vector<net::BackendId> fresh_backends_, document_order_;
  std::vector<net::ServiceIndex> fresh_services_;
  uint32_t next_backend_ = 1, next_service_ = 0;  // never given out yet
};

// Why a backend takes no new flows in a service of that forward mode; empty: it is eligible.
struct BackendState {
  std::string pool, name;
  net::Address address;
  uint32_t weight = 0;
  net::BackendId id{};
  std::string why_not_ipip;  // "weight 0", "no route to ...", ...
  std::string why_not_dsr;   // also "not on link: next hop is ..."
  bool drained = false;
};

struct Snapshot {
  net::Generation generation{};
  lb_hash_key hash_key{};

  std::vector<lb_listener_slot> listeners;  // power of two, open addressing
  std::vector<lb_address_slot> addresses;   // power of two, open addressing: the owned-address set
  std::vector<lb_port_range> ranges;
  // Power of two words, empty when there are no addresses: bit lb_address_hash(a) & (bits - 1) is set for every address
  // in `addresses`. A clear bit says that an address is none of ours without reading that table.
  std::vector<uint64_t> address_bits;
  std::vector<lb_service> services;  // by ServiceIndex; unused ones have table_size 0
  std::vector<lb_backend> backends;  // by BackendId; [0] unused
  std::vector<std::shared_ptr<const Table>> tables;
  std::vector<const uint16_t*> table_slots;  // tables[i]->slots.data(), what the hot path reads
  std::vector<PortAddress> port_addresses;   // by PortId; may be shorter

  // Not read by workers: names for explain, stats, digests.
  std::vector<Listener> listener_names;    // lb_listener_slot::listener, lb_port_range::listener
  std::vector<std::string> service_names;  // by ServiceIndex
  // Service -> digest of its table; of both tables where it has two.
  std::map<std::string, uint64_t> configured;  // with every weight > 0 eligible
  std::map<std::string, uint64_t> live;        // in use
  std::vector<BackendState> backend_states;    // of every pool, in order of (pool, address)
  std::vector<BackendState> leaving_states;    // of those that are in no pool any more, in order of (pool, name)

  // Of flows to a listener of that family; only a dsr service with listeners of both families has two.
  std::span<const uint16_t> table_of(const lb_service& s, net::Family listener = net::Family::kIpv4) const {
    return {table_slots[listener == net::Family::kIpv4 ? s.table4 : s.table6], s.table_size};
  }
};

struct CompileStats {
  size_t tables_built = 0;   // Maglev fills done, those that only `configured` needs included
  size_t tables_reused = 0;  // services' tables carried over from former snapshots or shared within this one
};

class TableCache;

// Remembers the tables of the last snapshots by what they were built from, so that what did not change is not rebuilt.
// Control thread only.
class Compiler {
 public:
  explicit Compiler(lb_hash_key key);
  // REQUIRES: config passed validate_services(). ERRORS: kInvalid: more backends or services than ids.
  net::Result<std::shared_ptr<const Snapshot>> compile(const Config& config, const Topology& topology, IdTable& ids,
                                                       net::Generation generation, CompileStats* stats = nullptr,
                                                       const Overlay& overlay = {});

 private:
  lb_hash_key key_;
  std::shared_ptr<TableCache> cache_;
};

// 16 lower-case hex digits, as `table digest` prints it.
std::string digest_text(uint64_t digest);

// Every address of a listener: what the kernel filter of a port must hand to lbd.
std::vector<net::Address> owned_addresses(const Snapshot& snapshot);

}  // namespace lb::model
