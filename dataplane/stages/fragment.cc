#include "dataplane/stages/fragment.h"

namespace lb::stages {
namespace {

void follow_one(Batch& b, Slot i, const model::Snapshot& snapshot, Fragments* fragments) noexcept {
  if (fragments == nullptr) {
    if (b.meta[i].fragment == kLaterFragment) b.drop(i, LB_DROP_FragmentUnmatched);
  } else if ((b.woken >> i & 1) != 0) {
    fragments->follow_woken(b, i);
  } else {
    fragments->follow(b, i, snapshot.hash_key);
  }
}

}  // namespace

void follow_first(Batch& b, const model::Snapshot& snapshot, Fragments* fragments) noexcept {
  for (const Slot i : Bits(b.live & b.fragments)) follow_one(b, i, snapshot, fragments);
}

}  // namespace lb::stages
