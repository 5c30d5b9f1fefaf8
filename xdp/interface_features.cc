#include "xdp/interface_features.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "xdp/interface_request.h"

namespace lb::xdp {
namespace {

// A struct of linux/ethtool.h with an array at its end.
template <class Head>
class Command {
 public:
  Command(uint32_t code, size_t bytes_behind) : words_((sizeof(Head) + bytes_behind + 7) / 8) { head()->cmd = code; }
  Head* head() { return reinterpret_cast<Head*>(words_.data()); }

 private:
  std::vector<uint64_t> words_;
};

bool bit(const std::vector<uint32_t>& words, size_t at) {
  return (words[at / 32] >> at % 32 & 1) != 0;
}

net::Result<std::vector<std::string>> names_of(const std::string& ifname) {
  InterfaceRequest request(ifname);
  Command<ethtool_sset_info> info(ETHTOOL_GSSET_INFO, sizeof(uint32_t));
  info.head()->sset_mask = 1ull << ETH_SS_FEATURES;
  if (!request.ethtool(info.head())) return request.error("asking for its features");
  const uint32_t count = info.head()->data[0];
  Command<ethtool_gstrings> strings(ETHTOOL_GSTRINGS, size_t{count} * ETH_GSTRING_LEN);
  strings.head()->string_set = ETH_SS_FEATURES;
  strings.head()->len = count;
  if (!request.ethtool(strings.head())) return request.error("asking for the names of its features");
  std::vector<std::string> names;
  for (uint32_t i = 0; i < strings.head()->len; i++) {
    const auto* name = reinterpret_cast<const char*>(strings.head()->data) + size_t{i} * ETH_GSTRING_LEN;
    names.emplace_back(name, strnlen(name, ETH_GSTRING_LEN));
  }
  return names;
}

}  // namespace

net::Result<FeatureTable> FeatureTable::read(const std::string& ifname) {
  FeatureTable table(ifname);
  auto names = names_of(ifname);
  if (!names) return names.error();
  table.names_ = std::move(*names);
  const size_t words = (table.names_.size() + 31) / 32;
  Command<ethtool_gfeatures> features(ETHTOOL_GFEATURES, words * sizeof(ethtool_get_features_block));
  features.head()->size = static_cast<uint32_t>(words);
  InterfaceRequest request(ifname);
  if (!request.ethtool(features.head())) return request.error("asking for its features");
  for (size_t w = 0; w < words; w++) {
    const ethtool_get_features_block& block = features.head()->features[w];
    table.active_.push_back(block.active);
    table.changeable_.push_back(block.available & ~block.never_changed);
  }
  return table;
}

Features FeatureTable::active(const Features& of) const {
  Features found;
  for (size_t i = 0; i < names_.size(); i++)
    if (bit(active_, i) && of.contains(names_[i])) found.insert(names_[i]);
  return found;
}

net::Status FeatureTable::set(const Features& which, bool on) const {
  Command<ethtool_sfeatures> command(ETHTOOL_SFEATURES, active_.size() * sizeof(ethtool_set_features_block));
  command.head()->size = static_cast<uint32_t>(active_.size());
  for (size_t i = 0; i < names_.size(); i++) {
    if (!which.contains(names_[i]) || !bit(changeable_, i)) continue;
    ethtool_set_features_block& block = command.head()->features[i / 32];
    block.valid |= 1u << i % 32;
    if (on) block.requested |= 1u << i % 32;
  }
  InterfaceRequest request(ifname_);
  if (!request.ethtool(command.head())) return request.error("setting its features");
  return {};
}

}  // namespace lb::xdp
