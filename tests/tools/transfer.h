// What the two ends of a test transfer say to each other. Every byte of content depends on the connection, the
// direction and its position, so that a lost, doubled or foreign piece cannot go unnoticed.
//
// The client begins with a Hello. The server answers with records: its name; then, for a download, pieces of content;
// for an upload, after each whole piece how many bytes it has. When the client has shut down its sending side the
// server ends with the number of bytes of content that it sent or got, and closes. A probe is answered with the name
// and the end at once, and closed by the client: TIME-WAIT at a backend would answer a stray packet of a later
// connection from that port with an ACK where a test waits for the RST.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace lb::tools {

inline constexpr uint32_t kMagic = 0x4c42445fu;
inline constexpr uint32_t kPiece = 4096;  // bytes of content sent at once: two full packets and a part

enum class Mode : uint32_t { kDownload = 'd', kUpload = 'u', kProbe = 'p' };

struct Hello {
  uint32_t magic, id;
  Mode mode;
  uint32_t period_ms;  // between two pieces
};

enum class Kind : uint32_t {
  kName = 0x656d616e,
  kContent = 0x61746164,
  kGot = 0x21746f67,
  kEnd = 0x21646e65,
  kBad = 0x21646162
};
struct Record {
  Kind kind;
  uint32_t bytes;  // behind this header
};
using Name = std::array<char, 8>;  // padded with zeros

using Content = std::array<uint8_t, kPiece>;

// Content of piece `number` (from 0) of a connection in one direction.
inline void fill(Content& out, uint32_t id, Mode mode, uint64_t number) {
  for (uint64_t word = 0; word < kPiece / 8; word++) {
    uint64_t x =
        (uint64_t{id} << 32 | static_cast<uint32_t>(mode)) + (number * (kPiece / 8) + word) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    std::memcpy(out.data() + word * 8, &x, 8);
  }
}

}  // namespace lb::tools
