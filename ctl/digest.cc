#include "ctl/digest.h"

#include <cstring>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/hash.h"

namespace lb::ctl {

uint64_t digest_of(std::string_view text) noexcept {
  static constexpr lb_hash_key kPublicKey{0x6c62642d74657874ull, 0x6469676573742d31ull};  // "lbd-text", "digest-1"
  lb_sip state;
  lb_sip_init(&state, &kPublicKey);
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof word);
    lb_sip_word(&state, word);
  }
  uint64_t last = uint64_t{text.size() & 0xff} << 56;
  std::memcpy(&last, text.data() + at, text.size() - at);
  lb_sip_word(&state, last);
  return lb_sip_final(&state);
}

std::string digest_hex(std::string_view text) {
  return model::digest_text(digest_of(text));
}

}  // namespace lb::ctl
