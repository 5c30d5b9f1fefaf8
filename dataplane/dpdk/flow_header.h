// The header of the flow tables' files, and what must hold before one is used.
#pragma once

#include <string>

#include "dataplane/dpdk/flow_file.h"

namespace lb::dpdk {

inline constexpr size_t kHeartbeatsAt = 4096;
inline constexpr size_t kIdsAt = 4096;

struct FlowHeader {
  char magic[8];
  uint32_t layout;
  uint32_t workers;  // 0: the ids
  uint32_t lines;    // of each worker
  uint32_t pad;
  uint64_t file_bytes;
  uint64_t key_check;  // a hash under the key: entries made with another key would never be found
  uint8_t boot[16];    // time in the entries is since this boot
  uint64_t lines_at, lines_stride, cold_at, cold_stride;  // bytes; worker w's part begins at _at + w * _stride
  uint64_t checksum;                                      // over all before it
};
static_assert(sizeof(FlowHeader) == 96);

FlowHeader ids_header(const lb_hash_key& key);
FlowHeader table_header(const lb_hash_key& key, uint32_t workers, uint32_t lines);

// REQUIRES: the mapping is at least as large, as why_not_usable() says.
FlowHeader header_of(const FlowMapping& mapping);
bool same_shape(const FlowHeader& a, const FlowHeader& b);

// Empty: it can be used.
enum class FlowFileKind : uint8_t { kIds, kTable };
std::string why_not_usable(const FlowMapping& mapping, const lb_hash_key& key, FlowFileKind kind);

}  // namespace lb::dpdk
