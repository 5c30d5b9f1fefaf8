// 64-bit digest of a text: SipHash-1-3 with a fixed public key. Tells apart revisions and finds damage; keeps out
// nobody who wants to forge one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lb::ctl {

uint64_t digest_of(std::string_view text) noexcept;
std::string digest_hex(std::string_view text);  // 16 lower-case hex digits

}  // namespace lb::ctl
