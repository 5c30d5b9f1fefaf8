// Stage 6: what is ours but cannot go on is answered, in its own buffer: echo replies, time exceeded, port unreachable
// or a reset where a service says `on-no-listener: reject`, fragmentation needed and packet too big.
//   in    Batch::refused, with the reason of each in Batch::reason; frames as they came in
//   out   Verdict::kAnswer and the frame that is the answer; or the drop as it was: no answer is due, the limits of
//         answer_limit.h ate it, or there is no room for it in front of the packet
// Never about ICMP errors, fragments but the first, group sources or frames to a group (RFC 1122 section 3.2.2, RFC
// 4443 section 2.4). Out of the ingress port to the frame's source MAC, behind the tags it came with.
#pragma once

#include <cstdint>

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/answer_limit.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

// How many answers a worker may give. Belongs to one worker; no lock, no allocation.
class Answers {
 public:
  void tick(uint64_t now_ms) noexcept { now_ms_ = now_ms; }
  // One more for that reason, to that source (hash)? Echo replies have no limit by source: who asks is who pays.
  bool take(Drop why, uint64_t source) noexcept {
    if (why == LB_DROP_EchoLimited) return most_.take_from_total(now_ms_);
    return (why == LB_DROP_TooBig ? too_big_ : most_).take(source, now_ms_);
  }

 private:
  uint64_t now_ms_ = 0;
  AnswerBudget most_, too_big_;  // of its own, so that no flood of anything else stops path MTU discovery
};

// answers: null: nothing is answered.
void answer(Batch& b, const model::Snapshot& snapshot, Answers* answers) noexcept;

}  // namespace lb::stages
