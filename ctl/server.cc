#include "ctl/server.h"

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

void refuse(Local::socket socket) {
  const std::string line =
      fault_reply(-32000, net::Code::kUnavailable, "too many clients are connected: close one, then try again").line +
      '\n';
  // A fresh socket's buffer takes a line; a client that is gone already does not matter.
  [[maybe_unused]] ssize_t sent = ::send(socket.native_handle(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

asio::awaitable<void> serve(Local::socket socket, Dispatcher& dispatcher, ServerLimits limits,
                            std::shared_ptr<size_t> clients) {
  {
    Connection connection(std::move(socket), dispatcher, limits);
    co_await connection.run();
  }
  --*clients;
}

asio::awaitable<void> accept_all(Local::acceptor& acceptor, Dispatcher& dispatcher, ServerLimits limits,
                                 std::shared_ptr<size_t> clients) {
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
    if (*clients >= limits.clients) {
      refuse(std::move(socket));
      continue;
    }
    ++*clients;
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), dispatcher, limits, clients), asio::detached);
  }
}

}  // namespace

Server::Server(asio::io_context& io, int listener, Dispatcher& dispatcher, ServerLimits limits)
    : io_(io), acceptor_(io, Local(), listener), dispatcher_(dispatcher), limits_(limits) {}

void Server::start() {
  asio::co_spawn(io_, accept_all(acceptor_, dispatcher_, limits_, clients_), asio::detached);
}

void Server::stop() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace lb::ctl
