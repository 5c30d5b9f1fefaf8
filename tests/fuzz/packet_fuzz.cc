// Any bytes as a frame: no crash, no byte read or written outside the buffer, one verdict, and what is punted
// unchanged. The first byte chooses headroom and kernel copy; the rest is the frame.
#include <cstdlib>
#include <cstring>

#include "dataplane/stages/pipeline.h"
#include "tests/conformance/conformance.h"
#include "tests/property/table_memory.h"

namespace {

using lb::stages::Batch;
using lb::stages::Verdict;

void require(bool fine) {
  if (!fine) std::abort();
}

void check(const Batch& b, const uint8_t* frame, size_t size, const uint8_t* start, const uint8_t* end) {
  require(b.live == 0 && b.verdict[0] != Verdict::kNone);
  if (b.verdict[0] == Verdict::kPunt)
    require(b.length[0] == size && (size == 0 || std::memcmp(b.data[0], frame, size) == 0));
  if (b.verdict[0] == Verdict::kForward || b.verdict[0] == Verdict::kAnswer)
    require(b.data[0] >= start && b.data[0] + b.length[0] <= end && b.headroom[0] == b.data[0] - start);
  if (b.verdict[0] == Verdict::kDrop)
    require(b.reason[0] >= static_cast<uint8_t>(LB_DROP_FIRST) && b.reason[0] <= static_cast<uint8_t>(LB_DROP_LAST));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static const auto snapshot = lb::conformance::compile(lb::conformance::edge());
  // Kept from frame to frame, and so small that they push each other out.
  static lb::property::TableMemory memory(2);
  static uint64_t counters[LB_COUNT_MAX];
  static lb::stages::FlowTracker flows(memory.view(), {}, counters);
  static uint64_t now_ms = 0;
  flows.tick(now_ms += 100, nullptr);
  static lb::stages::Answers answers;
  answers.tick(now_ms);
  if (size < 1 || size > 9216) return 0;
  const uint8_t* frame = input + 1;
  size--;
  const auto headroom = static_cast<uint16_t>(input[0] >> 1);
  const auto buffer = std::make_unique<uint8_t[]>(headroom + size);
  if (size != 0) std::memcpy(buffer.get() + headroom, frame, size);
  auto batch = std::make_unique<Batch>();
  const lb::packet::Bytes mac = lb::packet::mac_bytes(lb::packet::kPortMac);
  std::copy(mac.begin(), mac.end(), batch->port_mac.begin());
  batch->kernel_copy = (input[0] & 1) != 0;
  batch->data[0] = buffer.get() + headroom;
  batch->length[0] = static_cast<uint16_t>(size);
  batch->headroom[0] = headroom;
  batch->start(1);
  lb::stages::run(*batch, *snapshot, {.flows = &flows, .fragments = nullptr, .answers = &answers});
  check(*batch, frame, size, buffer.get(), buffer.get() + headroom + size);
  return 0;
}
