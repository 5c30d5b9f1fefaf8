#include "ctl/source_files.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>
#include <filesystem>

namespace lb::ctl {

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> bytes;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data());
  std::string hex;
  for (const unsigned char b : bytes) hex += fmt::format("{:02x}", b);
  return hex;
}

model::Reader noting_reader(std::vector<SourceFile>& files) {
  model::Reader reader = model::file_reader();
  reader.read = [read = reader.read, &files](const std::string& path) {
    auto text = read(path);
    std::error_code error;
    const auto whole = std::filesystem::absolute(path, error);
    if (text) files.push_back({error ? path : whole.lexically_normal().string(), sha256_hex(*text)});
    return text;
  };
  return reader;
}

}  // namespace lb::ctl
