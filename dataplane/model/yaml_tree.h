// One YAML document as a tree that keeps what yaml-cpp's own Node loses: the position of every key and value, duplicate
// keys, and whether a scalar stood in quotes. The only file that knows yaml-cpp.
//
// Strict on purpose: anchors, aliases, tags, several documents, control characters and deep nesting are refused, since
// no document of ours needs them and each of them can hide something from a reviewer (or eat the memory of the reader).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lb::model {

inline constexpr size_t kMaxDocumentBytes = 16u << 20;  // about eight times a node's 65,535 backends, written out
// yaml-cpp queues the tokens of a whole line before it hands out the first, some 200 bytes of memory for each.
inline constexpr size_t kMaxLineBytes = 64u << 10;
// A node's 65,535 backends with a few labels each and its services have 1.5 million keys, values, lists and maps.
inline constexpr size_t kMaxYamlNodes = 2'000'000;
inline constexpr int kMaxNesting = 16;  // our deepest value, a label, is at 6

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  bool plain = false;              // scalar without quotes
  int line = 0, column = 0;        // from 1
  std::string text;                // scalar
  std::vector<YamlNode> children;  // list: its items; map: key, value, key, value, ... as in the document
};

struct YamlError {
  int line = 0, column = 0;  // from 1; 0: the whole document
  std::string message;
};

struct YamlTree {
  YamlNode root;                  // kNull when the document is empty
  std::vector<YamlError> errors;  // not empty: root means nothing
};

// Never throws.
YamlTree read_yaml(std::string_view text);

}  // namespace lb::model
