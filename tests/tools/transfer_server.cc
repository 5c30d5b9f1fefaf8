// The backend's end of test transfers, see transfer.h:
//   transfer_server NAME PORT     both families; prints "ready" when it listens, and runs until it is killed
#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <unordered_map>

#include "tests/tools/socket.h"
#include "tests/tools/transfer.h"

namespace lb::tools {
namespace {

constexpr int kTickMs = 5;  // how late a piece may be

struct Session {
  int fd = -1;
  Hello hello{};
  size_t hello_bytes = 0;
  Content in{}, expected{};
  size_t in_bytes = 0;   // of the piece that is arriving
  uint64_t content = 0;  // bytes sent or got
  uint64_t next_ms = 0;  // when the next piece is due
  bool bad = false, ended = false;
  Outbox out;

  bool greeted() const { return hello_bytes == sizeof(Hello); }
};

class Server {
 public:
  Server(const std::string& name, uint16_t port) : epoll_(epoll_create1(0)) {
    std::copy_n(name.begin(), std::min(name.size(), name_.size()), name_.begin());
    listener_ = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int yes = 1, no = 0;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&any), sizeof(any)) != 0) die("bind");
    if (listen(listener_, 1024) != 0) die("listen");
    watch(listener_);
    printf("ready\n");
    fflush(stdout);
  }

  [[noreturn]] void run() {
    for (;;) {
      std::array<epoll_event, 64> events{};
      const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kTickMs);
      for (int i = 0; i < n; i++) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_) {
          accept_all();
        } else if (!read_from(*sessions_.at(fd))) {
          close_session(fd);
        }
      }
      write_due();
    }
  }

 private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }
  void accept_all() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
      (sessions_[fd] = std::make_unique<Session>())->fd = fd;
      watch(fd);
    }
  }
  void close_session(int fd) {
    close(fd);
    sessions_.erase(fd);
  }

  // RETURNS: false when the session is over.
  bool read_from(Session& s) {
    while (!s.ended) {
      const ssize_t n = s.greeted() ? recv(s.fd, s.in.data() + s.in_bytes, kPiece - s.in_bytes, 0)
                                    : recv(s.fd, reinterpret_cast<uint8_t*>(&s.hello) + s.hello_bytes,
                                           sizeof(Hello) - s.hello_bytes, 0);
      if (n < 0) return errno == EAGAIN;
      if (n == 0) return s.greeted() && s.hello.mode != Mode::kProbe && end(s);
      if (s.greeted()) {
        content(s, static_cast<size_t>(n));
      } else if ((s.hello_bytes += static_cast<size_t>(n)) == sizeof(Hello) && !greet(s)) {
        return false;
      }
      if (!s.out.flush(s.fd)) return false;
    }
    return true;
  }
  bool greet(Session& s) {
    if (s.hello.magic != kMagic) return false;
    s.out.add(Record{Kind::kName, sizeof(Name)});
    s.out.add(name_);
    s.next_ms = now_ms();
    if (s.hello.mode != Mode::kProbe) return true;
    s.out.add(Record{Kind::kEnd, 8});
    s.out.add(s.content);
    return true;
  }
  void content(Session& s, size_t n) {
    s.in_bytes += n;
    if (s.in_bytes < kPiece) return;
    fill(s.expected, s.hello.id, s.hello.mode, s.content / kPiece);
    s.bad |= s.hello.mode != Mode::kUpload || s.in != s.expected;
    s.in_bytes = 0;
    s.content += kPiece;
    s.out.add(Record{Kind::kGot, 8});
    s.out.add(s.content);
  }
  bool end(Session& s) {
    if (s.in_bytes != 0) s.bad = true;
    s.out.add(Record{s.bad ? Kind::kBad : Kind::kEnd, 8});
    s.out.add(s.content);
    s.ended = true;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, s.fd, nullptr);
    return s.out.flush(s.fd);
  }

  void write_due() {
    const uint64_t now = now_ms();
    std::vector<int> over;
    for (auto& [fd, s] : sessions_) {
      if (s->greeted() && s->hello.mode == Mode::kDownload && !s->ended && s->out.empty() && now >= s->next_ms)
        piece(*s);
      if (!s->out.flush(fd) || (s->ended && s->out.empty())) over.push_back(fd);
    }
    for (const int fd : over) close_session(fd);
  }
  void piece(Session& s) {
    fill(s.expected, s.hello.id, s.hello.mode, s.content / kPiece);
    s.out.add(Record{Kind::kContent, kPiece});
    s.out.add(std::span<const uint8_t>(s.expected));
    s.content += kPiece;
    s.next_ms += s.hello.period_ms;
    s.next_ms = std::max(s.next_ms, now_ms());
  }

  int epoll_, listener_ = -1;
  Name name_{};
  std::unordered_map<int, std::unique_ptr<Session>> sessions_;
};

}  // namespace
}  // namespace lb::tools

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "transfer_server NAME PORT\n");
    return 2;
  }
  lb::tools::Server(argv[1], static_cast<uint16_t>(atoi(argv[2]))).run();
}
