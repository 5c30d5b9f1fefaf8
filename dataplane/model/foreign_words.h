// What other products call the things of a configuration. One table for hints in errors ("`balance` is `schedule`
// here") and for docs/glossary.md, which scripts/gen-docs writes from it.
#pragma once

#include <span>
#include <string_view>

#include "dataplane/model/keys.h"

namespace lb::model {

struct ForeignWord {
  std::string_view word;  // as it is written there; `_`, space and case do not count
  std::string_view here;  // a key, or a word of a choice: also one of a later version
  std::string_view from;  // of IPVS, keepalived, HAProxy, nginx, Katran, DPVS; empty: of others, or only meant so
};

std::span<const ForeignWord> foreign_keys() noexcept;
std::span<const ForeignWord> foreign_words(Choice choice) noexcept;

}  // namespace lb::model
