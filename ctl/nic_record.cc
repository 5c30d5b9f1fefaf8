#include "ctl/nic_record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "ctl/file_ops.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;
constexpr size_t kMaxRecord = size_t{64} << 20;  // a NIC with a whole routing table

std::string to_hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    uint8_t byte = 0;
    const auto parsed = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + i + 2) throw std::invalid_argument("not hexadecimal");
    bytes.push_back(byte);
  }
  return bytes;
}

json texts_json(const std::vector<Carried>& items) {
  json list = json::array();
  for (const Carried& item : items) list.push_back({{"text", item.text}, {"message", to_hex(item.message)}});
  return list;
}

std::vector<Carried> carried_of(const json& list) {
  std::vector<Carried> items;
  for (const json& item : list)
    items.push_back({item.at("text").get<std::string>(), from_hex(item.at("message").get<std::string>())});
  return items;
}

NicRecord record_of(const json& whole) {
  NicRecord record;
  record.pci = whole.at("pci").get<std::string>();
  record.port = whole.at("port").get<std::string>();
  record.driver = whole.at("driver").get<std::string>();
  record.override_ = whole.at("driver_override").get<std::string>();
  record.interface = whole.at("interface").get<std::string>();
  const auto mac = net::Mac::parse(whole.at("mac").get<std::string>());
  if (!mac) throw std::invalid_argument(mac.error().message);
  record.mac = *mac;
  record.mtu = whole.at("mtu").get<uint32_t>();
  record.up = whole.at("up").get<bool>();
  record.addresses = carried_of(whole.at("addresses"));
  record.routes = carried_of(whole.at("routes"));
  record.complete = whole.at("complete").get<bool>();
  if (const json& by = whole.at("confirm_by_ms"); !by.is_null()) record.confirm_by_ms = by.get<uint64_t>();
  return record;
}

}  // namespace

std::string encode_record(const NicRecord& r) {
  const json whole = {{"schema", kSchema},
                      {"pci", r.pci},
                      {"port", r.port},
                      {"driver", r.driver},
                      {"driver_override", r.override_},
                      {"interface", r.interface},
                      {"mac", r.mac.to_string()},
                      {"mtu", r.mtu},
                      {"up", r.up},
                      {"addresses", texts_json(r.addresses)},
                      {"routes", texts_json(r.routes)},
                      {"complete", r.complete},
                      {"confirm_by_ms", r.confirm_by_ms ? json(*r.confirm_by_ms) : json()}};
  return whole.dump(2) + "\n";
}

net::Result<NicRecord> decode_record(const std::string& text) {
  try {
    const json whole = json::parse(text);
    if (const int schema = whole.at("schema").get<int>(); schema != kSchema) {
      return net::Error{
          net::Code::kUnsupported,
          fmt::format("written by another version of lbctl (schema {}, this one knows {})", schema, kSchema)};
    }
    return record_of(whole);
  } catch (const std::exception& e) {
    return net::Error{net::Code::kInvalid, fmt::format("damaged: {}", e.what())};
  }
}

net::Result<UniqueFd> NicRecords::lock() {
  if (auto made = make_folders(folder_, 0700); !made) return made.error();
  const std::string path = folder_ + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return io_error("open", path, errno);
  constexpr std::chrono::milliseconds kBetween{100};
  for (auto waited = kBetween * 0; flock(fd.get(), LOCK_EX | LOCK_NB) != 0; waited += kBetween) {
    if (errno != EWOULDBLOCK && errno != EINTR) return io_error("lock", path, errno);
    if (waited >= patience_)
      return net::Error{net::Code::kTimeout,
                        fmt::format("another lbctl has been moving a NIC for {} s ({} is locked); try again",
                                    patience_.count() / 1000, path)};
    std::this_thread::sleep_for(kBetween);
  }
  return fd;
}

net::Result<std::optional<NicRecord>> NicRecords::find(const std::string& pci) const {
  const std::string path = path_of(pci);
  const auto text = read_file(path, kMaxRecord);
  if (!text && text.error().code == net::Code::kNotFound) return std::optional<NicRecord>();
  if (!text) return text.error();
  auto record = decode_record(*text);
  if (!record) return net::Error{record.error().code, fmt::format("{}: {}", path, record.error().message)};
  return std::optional(std::move(*record));
}

NicRecords::Listing NicRecords::all() const {
  std::vector<std::string> addresses;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, none)) {
    if (entry.path().extension() == ".json") addresses.push_back(entry.path().stem());
  }
  std::sort(addresses.begin(), addresses.end());
  Listing listing;
  for (const std::string& pci : addresses) {
    auto record = find(pci);
    if (!record) listing.unreadable.push_back(record.error());
    if (record && *record) listing.records.push_back(std::move(**record));
  }
  return listing;
}

net::Status NicRecords::save(const NicRecord& record) {
  if (auto made = make_folders(folder_, 0700); !made) return made;
  const std::string path = path_of(record.pci), next = path + ".new";
  FileOps& files = system_files();
  if (auto written = write_synced(files, next, encode_record(record), 0600); !written) return written;
  if (files.rename(next.c_str(), path.c_str()) != 0) return io_error("replace", path, errno);
  return sync_folder(files, folder_);
}

net::Status NicRecords::remove(const std::string& pci) {
  ::unlink(log_path(pci).c_str());  // of a trial that could not be undone then
  const std::string path = path_of(pci);
  if (system_files().unlink(path.c_str()) != 0 && errno != ENOENT) return io_error("remove", path, errno);
  return {};
}

}  // namespace lb::ctl
