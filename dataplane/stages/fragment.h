// Stage 1b: fragments follow their first fragment, which alone has the ports; behind this stage each of them is a
// packet of its flow like any other.
//   in    Batch::fragments and Meta of parse()
//   out   Meta::sport, dport of the ones behind the first; kHold for those that came before it
//   drop  fragment_overlap, fragment_unmatched, fragment_full
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/fragments.h"

namespace lb::stages {

// fragments: null: none but the first ones can go on.
void follow_first(Batch& b, const model::Snapshot& snapshot, Fragments* fragments) noexcept;

}  // namespace lb::stages
