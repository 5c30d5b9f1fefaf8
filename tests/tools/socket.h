// The few socket calls that the test programs share. What cannot work ends the program with a line that says why.
#pragma once

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace lb::tools {

[[noreturn]] inline void die(const std::string& what) {
  fprintf(stderr, "%s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

inline uint64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// What was not accepted by the kernel yet. RETURNS: false when the connection is gone, errno says how.
class Outbox {
 public:
  template <typename T>
  void add(const T& value) {
    add(std::span(reinterpret_cast<const uint8_t*>(&value), sizeof(T)));
  }
  void add(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  bool empty() const { return bytes_.empty(); }
  bool flush(int fd) {
    while (!bytes_.empty()) {
      const ssize_t n = send(fd, bytes_.data(), bytes_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return errno == EAGAIN;
      bytes_.erase(bytes_.begin(), bytes_.begin() + n);
    }
    return true;
  }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace lb::tools
