#include "ctl/foreign_fd.h"

#include <fcntl.h>

#include <atomic>
#include <system_error>
#include <thread>

namespace lb::ctl {
namespace {

std::atomic<size_t> closings_under_way = 0;

}  // namespace

// Only files in memory have seals (fcntl(2)).
bool is_in_memory(int fd) {
  return ::fcntl(fd, F_GET_SEALS) >= 0;
}

void close_aside(UniqueFd fd) {
  const int number = fd.release();
  if (number < 0) return;
  closings_under_way++;
  const auto close_it = [number] {
    ::close(number);
    closings_under_way--;
  };
  try {
    std::thread(close_it).detach();
  } catch (const std::system_error&) {
    close_it();  // no thread to be had: better late than a leak
  }
}

size_t closing_aside() {
  return closings_under_way;
}

}  // namespace lb::ctl
