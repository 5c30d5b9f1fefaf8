// The words of the document: keys of each section, keys of later versions, words of values, and translations of what
// other products call the same thing. Only for reading and refusing; what a key means is in config_reader.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lb::model {

enum class Section : uint8_t {
  kTop,
  kIncluded,
  kDaemon,
  kDpdk,
  kPort,
  kXdp,
  kInterface,
  kAccess,
  kDefaults,
  kPool,
  kBackend,
  kService
};

std::span<const std::string_view> known_keys(Section section) noexcept;

// Why this key is refused and what to write: a later version's, a translation, a key of another section, a slip of the
// hand, or the list of what is known. REQUIRES: not a known key of the section.
std::string refuse_key(Section section, std::string_view key);

// A setting whose value is one of some words.
enum class Choice : uint8_t { kForward, kSchedule, kNoListener, kIdle, kHugePages, kXdpMode, kAnnounce };

std::span<const std::string_view> known_words(Choice choice) noexcept;

// The same for a value. REQUIRES: not one of the choice's words.
std::string refuse_word(Choice choice, std::string_view value);

std::string_view section_name(Section section) noexcept;  // "a backend", "daemon.dpdk"

}  // namespace lb::model
