#include "ctl/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "ctl/connection.h"
#include "ctl/log.h"

namespace lb::ctl {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;

void refuse(Local::socket socket, const Reply& reply) {
  const std::string line = reply.line + '\n';
  // A fresh socket's buffer takes a line; a client that is gone already does not matter.
  [[maybe_unused]] ssize_t sent = ::send(socket.native_handle(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Why there is no place for that client; empty: there is one.
std::string no_place(const Places& places, const ServerLimits& limits, const Peer& peer, bool viewer) {
  if (places.clients >= limits.clients) return "too many clients are connected: close one, then try again";
  if (!viewer) return {};
  if (places.viewers >= limits.viewers)
    return fmt::format("{} viewers are connected, the other places are for operators: close one, then try again",
                       places.viewers);
  const auto own = places.by_viewer.find(peer.uid);
  if (own == places.by_viewer.end() || own->second.connections < limits.per_viewer) return {};
  return fmt::format("uid {} has {} connections already, as many as a viewer may: close one, then try again", peer.uid,
                     own->second.connections);
}

// A client's place for as long as this lives.
class Place {
 public:
  Place(std::shared_ptr<Places> places, uint32_t uid, bool viewer)
      : places_(std::move(places)), uid_(uid), viewer_(viewer) {
    places_->clients++;
    if (!viewer_) return;
    places_->viewers++;
    places_->by_viewer[uid_].connections++;
  }
  ~Place() {
    places_->clients--;
    if (!viewer_) return;
    places_->viewers--;
    if (--places_->by_viewer[uid_].connections == 0) places_->by_viewer.erase(uid_);
  }
  // Bytes of answers to that user; null: an operator's are not counted.
  size_t* unsent() const { return viewer_ ? &places_->by_viewer[uid_].unsent : nullptr; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  std::shared_ptr<Places> places_;
  uint32_t uid_;
  bool viewer_;
};

asio::awaitable<void> serve(Local::socket socket, Dispatcher& dispatcher, ServerLimits limits, Peer peer,
                            std::shared_ptr<Places> places, std::unique_ptr<Place> place) {
  Connection connection(std::move(socket), dispatcher, limits, std::move(peer), *places, place->unsent());
  co_await connection.run();
}

void admit(Local::socket socket, Dispatcher& dispatcher, const ServerLimits& limits,
           const std::shared_ptr<Places>& places) {
  Peer peer = peer_of(socket.native_handle());
  const Role role = dispatcher.role_of(peer);
  if (role == Role::kNone) return refuse(std::move(socket), dispatcher.turn_away(peer));
  if (const std::string why = no_place(*places, limits, peer, role != Role::kOperator); !why.empty())
    return refuse(std::move(socket), fault_reply(-32000, net::Code::kUnavailable, why));
  auto place = std::make_unique<Place>(places, peer.uid, role != Role::kOperator);
  const auto executor = socket.get_executor();
  asio::co_spawn(executor, serve(std::move(socket), dispatcher, limits, std::move(peer), places, std::move(place)),
                 asio::detached);
}

asio::awaitable<void> accept_all(Local::acceptor& acceptor, Dispatcher& dispatcher, ServerLimits limits,
                                 std::shared_ptr<Places> places) {
  while (acceptor.is_open()) {
    boost::system::error_code error;
    Local::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {
      // Out of descriptors or memory: clients wait in the backlog.
      log(LogLevel::kWarning, "accept_failed", {{"why", error.message()}});
      asio::steady_timer pause(acceptor.get_executor(), std::chrono::milliseconds(100));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    admit(std::move(socket), dispatcher, limits, places);
  }
}

}  // namespace

Server::Server(asio::io_context& io, int listener, Dispatcher& dispatcher, ServerLimits limits)
    : io_(io), acceptor_(io, Local(), listener), dispatcher_(dispatcher), limits_(limits) {}

void Server::start() {
  asio::co_spawn(io_, accept_all(acceptor_, dispatcher_, limits_, places_), asio::detached);
}

void Server::stop() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace lb::ctl
