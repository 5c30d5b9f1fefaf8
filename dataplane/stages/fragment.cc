#include "dataplane/stages/fragment.h"

namespace lb::stages {

void follow_first(Batch& b, const model::Snapshot& snapshot, Fragments* fragments) noexcept {
  (void)snapshot;
  (void)fragments;
  for (const Slot i : Bits(b.live & b.fragments)) b.drop(i, LB_DROP_FragmentUnmatched);
}

}  // namespace lb::stages
