#include "dataplane/dpdk/flow_header.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include <fmt/format.h>

#include "dataplane/flows/flow_shape.h"

namespace lb::dpdk {
namespace {

constexpr char kMagic[8] = {'l', 'b', 'd', 'f', 'l', 'o', 'w', 's'};
constexpr uint64_t kHuge = 2u << 20;

uint64_t up_to_huge(uint64_t bytes) {
  return (bytes + kHuge - 1) / kHuge * kHuge;
}

// FNV-1a: finds damage, keeps no secret.
uint64_t checksum_of(const FlowHeader& h) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&h);
  uint64_t sum = 0xcbf29ce484222325ull;
  for (size_t i = 0; i < offsetof(FlowHeader, checksum); i++) sum = (sum ^ bytes[i]) * 0x100000001b3ull;
  return sum;
}

// 36 characters with hyphens; the first 16 hex digits pairwise and the rest folded over them.
void read_boot(uint8_t boot[16]) {
  char text[64] = {};
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
  }
  for (size_t i = 0; text[i] != 0; i++) boot[i % 16] = static_cast<uint8_t>(boot[i % 16] * 31 + text[i]);
}

FlowHeader blank(const lb_hash_key& key) {
  FlowHeader h = {};
  memcpy(h.magic, kMagic, sizeof kMagic);
  h.layout = flows::kFlowLayout;
  h.key_check = flows::key_check(key);
  read_boot(h.boot);
  return h;
}

}  // namespace

std::string why_not_usable(const FlowMapping& mapping, const lb_hash_key& key, FlowFileKind kind) {
  if (mapping.size() < kHeartbeatsAt) return "it is cut short";
  const FlowHeader h = header_of(mapping), fresh = blank(key);
  if (memcmp(h.magic, kMagic, sizeof kMagic) != 0) return "it is no flow table of lbd";
  if (h.layout != flows::kFlowLayout)
    return fmt::format("its layout is {}, this lbd knows {}", h.layout, flows::kFlowLayout);
  if (h.checksum != checksum_of(h)) return "its header is damaged";
  if (h.file_bytes != mapping.size()) return fmt::format("it has {} bytes instead of {}", mapping.size(), h.file_bytes);
  if (memcmp(h.boot, fresh.boot, sizeof h.boot) != 0) return "it is from before the machine's last start";
  if (h.key_check != fresh.key_check) return "it was made with another hash key";
  if ((h.workers == 0) != (kind == FlowFileKind::kIds) || h.workers > LB_MAX_WORKERS) return "its header is damaged";
  const FlowHeader same = kind == FlowFileKind::kIds ? ids_header(key) : table_header(key, h.workers, h.lines);
  return memcmp(&h, &same, sizeof h) == 0 ? std::string() : "its header is damaged";
}

FlowHeader ids_header(const lb_hash_key& key) {
  FlowHeader h = blank(key);
  h.file_bytes = up_to_huge(kIdsAt + sizeof(uint64_t) * (LB_MAX_BACKENDS + 1));
  h.checksum = checksum_of(h);
  return h;
}

FlowHeader table_header(const lb_hash_key& key, uint32_t workers, uint32_t lines) {
  FlowHeader h = blank(key);
  h.workers = workers;
  h.lines = lines;
  h.lines_at = up_to_huge(kHeartbeatsAt + LB_MAX_WORKERS * 64);
  h.lines_stride = up_to_huge(uint64_t{lines} * sizeof(lb_flow_line));
  h.cold_at = h.lines_at + workers * h.lines_stride;
  h.cold_stride = up_to_huge(uint64_t{lines} * LB_FLOW_ENTRIES * sizeof(lb_flow_cold));
  h.file_bytes = h.cold_at + workers * h.cold_stride;
  h.checksum = checksum_of(h);
  return h;
}

FlowHeader header_of(const FlowMapping& mapping) {
  FlowHeader h;
  memcpy(&h, mapping.data(), sizeof h);
  return h;
}

bool same_shape(const FlowHeader& a, const FlowHeader& b) {
  return a.workers == b.workers && a.lines == b.lines;
}

}  // namespace lb::dpdk
