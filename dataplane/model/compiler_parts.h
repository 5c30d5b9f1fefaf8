// The parts of Compiler::compile(), for compiler.cc and their tests only.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/model/maglev.h"
#include "dataplane/model/snapshot.h"

namespace lb::model {

// Fills listeners, addresses, ranges and listener_names. ERRORS: kInvalid: no table size keeps the bound of probes.
net::Status compile_listeners(const Config& config, const Topology& topology, const IdTable& ids, Snapshot& out);

// Tables of the last few compilations. Members: backends with weight > 0, sorted by sort_for_maglev().
class TableCache {
 public:
  std::shared_ptr<const Table> table(const std::vector<MaglevBackend>& members, uint32_t size, CompileStats& stats);
  // Of the table that these would give, whatever their ids.
  uint64_t digest(const std::vector<MaglevBackend>& members, uint32_t size, CompileStats& stats);
  // Drops what was not asked for in the last kKeep compilations: a neighbour that comes back finds its table here.
  void end_of_compilation();

 private:
  static constexpr uint64_t kKeep = 4;
  struct Key {
    uint32_t size = 0;
    std::vector<MaglevBackend> members;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const noexcept;
  };
  template <class T>
  struct Entry {
    T value{};
    uint64_t used = 0;  // number of the compilation
  };

  Table build(const std::vector<MaglevBackend>& members, uint32_t size, CompileStats& stats);
  void remember_digest(Key key, uint64_t digest);

  std::unordered_map<Key, Entry<std::shared_ptr<const Table>>, KeyHash> tables_;
  std::unordered_map<Key, Entry<uint64_t>, KeyHash> digests_;  // ids in the keys are 0
  std::vector<uint64_t> word_of_id_ = std::vector<uint64_t>(LB_MAX_BACKENDS + 1);
  uint64_t compilation_ = 0;
};

// One digest for a service with two tables.
uint64_t combine_digests(uint64_t table4, uint64_t table6);

}  // namespace lb::model
