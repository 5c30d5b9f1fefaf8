// Any bytes as frames, one after the other: no crash, no byte read or written outside a buffer, every frame counted
// under one verdict or held, what is punted unchanged, and valid IPv4 headers on what leaves. The first byte chooses
// headroom and kernel copy; the rest are the frames, with kBetween between them.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "tests/conformance/lone_worker.h"
#include "tests/property/table_memory.h"

namespace {

using lb::conformance::Arrival;
using lb::conformance::LoneWorker;
using lb::conformance::StepOutcome;
using lb::conformance::Verdict;
using lb::packet::Bytes;

constexpr std::array<uint8_t, 4> kBetween = {0xfe, 0xed, 0xfa, 0xce};
constexpr size_t kMostFrames = 16, kMostBytes = 9216;

void require(bool fine) {
  if (!fine) std::abort();
}

std::vector<Bytes> split_input(const uint8_t* input, size_t size) {
  std::vector<Bytes> frames;
  const uint8_t* const end = input + size;
  for (const uint8_t* at = input;; at += kBetween.size()) {
    const uint8_t* const next = std::search(at, end, kBetween.begin(), kBetween.end());
    frames.emplace_back(at, next);
    if (next == end || frames.size() == kMostFrames) return frames;
    at = next;
  }
}

void check(const StepOutcome& out, const Bytes& in) {
  require(out.verdict != Verdict::kNone && out.verdict != Verdict::kSplit);
  if (out.verdict == Verdict::kPunt) return require(out.frames.size() >= 1 && out.frames[0] == in);
  if (out.verdict == Verdict::kDrop) {
    const auto reason = static_cast<lb_counter>(out.reason);
    require(reason >= LB_DROP_FIRST && reason <= LB_DROP_LAST);
  }
  if (out.verdict != Verdict::kForward && out.verdict != Verdict::kAnswer) return;
  require(!out.frames.empty());
  for (const Bytes& f : out.frames) {
    require(f.size() >= 14 + 20);
    if (f[12] != 0x08 || f[13] != 0x00) continue;
    const size_t header = (f[14] & 15u) * 4u;
    require(f.size() >= 14 + header && lb::packet::checksum(std::span(f).subspan(14, header)) == 0);
  }
}

void check_balance(const uint64_t* counters, uint64_t frames) {
  uint64_t verdicts =
      counters[LB_COUNT_Forwarded] + counters[LB_COUNT_Answered] + counters[LB_COUNT_Punted] + counters[LB_COUNT_Held];
  for (size_t d = LB_DROP_FIRST; d <= LB_DROP_LAST; d++) verdicts += counters[d];
  require(verdicts == frames);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static const auto snapshot = lb::conformance::compile(lb::conformance::edge());
  if (size < 1) return 0;
  // So small that flows, datagrams and held fragments push each other out.
  lb::property::TableMemory memory(1);
  static const auto state = std::make_shared<lb::stages::WorkerState>();
  std::fill(std::begin(state->counters), std::end(state->counters), 0);
  LoneWorker worker(memory.view(), {}, {.datagrams = 8, .held = 4, .held_bytes = 2048, .held_each = 3}, state);
  const Arrival arrival{.headroom = static_cast<uint16_t>(input[0] >> 1),
                        .kernel_copy = (input[0] & 1) != 0,
                        .exception_path = (input[0] & 2) != 0};
  uint64_t frames = 0, now_ms = 1'000'000;
  for (const Bytes& frame : split_input(input + 1, size - 1)) {
    if (frame.size() > kMostBytes) continue;
    worker.tick(now_ms += 1ull << (frames * 2 % 11));
    frames++;
    check(worker.run(frame, *snapshot, arrival), frame);
    check_balance(worker.state().counters, frames);
  }
  worker.tick(now_ms + 10'000);
  check_balance(worker.state().counters, frames);
  return 0;
}
