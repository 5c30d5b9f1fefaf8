#include "ctl/hash_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ctl/log.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {
namespace {

constexpr size_t kKeyBytes = 16;
using Key = std::array<uint8_t, kKeyBytes>;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

net::Error malformed(const std::string& path, std::string_view rule) {
  return {
      net::Code::kInvalid,
      fmt::format("daemon.hash-key-file {}: {}; copy the file from another node of the fleet, or remove it and a new "
                  "key is made at the next start",
                  path, rule)};
}

net::Result<lb_hash_key> parse_key(const std::string& path, std::string text) {
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() != 2 * kKeyBytes) {
    return malformed(path, fmt::format("must hold 32 hexadecimal digits, has {} characters", text.size()));
  }
  Key bytes{};
  for (size_t i = 0; i < kKeyBytes; i++) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return malformed(path, "must hold hexadecimal digits only");
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  lb_hash_key key;
  std::memcpy(&key.k0, bytes.data(), 8);
  std::memcpy(&key.k1, bytes.data() + 8, 8);
  return key;
}

net::Result<lb_hash_key> read_key(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return io_error("open daemon.hash-key-file", path, errno);
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return io_error("read daemon.hash-key-file", path, errno);
  if ((st.st_mode & 077) != 0) {
    return net::Error{net::Code::kPermission,
                      fmt::format("daemon.hash-key-file {} has mode {:04o}: others can read or change a secret; run "
                                  "chmod 0600 {}",
                                  path, st.st_mode & 07777, path)};
  }
  auto text = read_fd(fd.get(), path, 4096);
  if (!text) return std::move(text).error();
  return parse_key(path, std::move(text).value());
}

// Under its final name only when complete: a kill in between leaves no half key, and a key that appeared meanwhile
// wins.
net::Status make_key(const std::string& path, FileOps& ops) {
  Key bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return io_error("get random bytes for", path, errno);
  }
  std::string text;
  for (uint8_t b : bytes) text += fmt::format("{:02x}", b);
  const std::string folder = path.find('/') == std::string::npos ? "." : path.substr(0, path.rfind('/'));
  if (!folder.empty()) {
    if (auto made = make_folders(folder, 0755); !made) return made;
  }
  const std::string fresh = fmt::format("{}.new-{}", path, getpid());
  if (auto written = write_synced(ops, fresh, text + '\n', 0600); !written) return written;
  const int linked = ops.link(fresh.c_str(), path.c_str());
  const int error = errno;
  ops.unlink(fresh.c_str());
  if (linked != 0 && error != EEXIST) return io_error("make daemon.hash-key-file", path, error);
  log(LogLevel::kInfo, "hash_key_made", {{"file", path}});
  return sync_folder(ops, folder.empty() ? "/" : folder);
}

}  // namespace

net::Result<lb_hash_key> load_hash_key(const std::string& path, FileOps& ops) {
  auto key = read_key(path);
  if (key || key.error().code != net::Code::kNotFound) return key;
  if (auto made = make_key(path, ops); !made) return made.error();
  return read_key(path);
}

}  // namespace lb::ctl
