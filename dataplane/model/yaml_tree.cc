#include "dataplane/model/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <sstream>

#include "dataplane/model/text_rules.h"

namespace lb::model {
namespace {

struct TooDeep {
  YAML::Mark mark;
};
struct TooMany {
  YAML::Mark mark;
};

// Collects the events of one document. The stack points into the tree: a container gets no new child while one of its
// children is open, so the pointers stay valid.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree& tree) : tree_(tree) {}
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, "?", anchor, YamlNode::Kind::kNull); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "an alias (`*name`) is not read here: write the value out");
    add(mark, "?", 0, YamlNode::Kind::kNull);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = add(mark, tag, anchor, YamlNode::Kind::kScalar);
    node.text = value;
    node.plain = tag == "?";
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { stack_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { stack_.pop_back(); }

 private:
  void refuse(const YAML::Mark& mark, std::string message) {
    if (tree_.errors.size() < 100) tree_.errors.push_back({mark.line + 1, mark.column + 1, std::move(message)});
  }
  YamlNode& add(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (++nodes_ > kMaxYamlNodes) throw TooMany{mark};
    if (anchor != 0) refuse(mark, "an anchor (`&name`) is not read here: write the value out where it is needed");
    if (tag != "?" && tag != "!" && !tag.empty())
      refuse(mark, fmt::format("a tag ({}) is not read here: leave it out", quote_text(tag)));
    YamlNode& node = stack_.empty() ? tree_.root : stack_.back()->children.emplace_back();
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (stack_.size() >= static_cast<size_t>(kMaxNesting)) throw TooDeep{mark};
    stack_.push_back(&add(mark, tag, anchor, kind));
  }

  YamlTree& tree_;
  std::vector<YamlNode*> stack_;
  size_t nodes_ = 0;
};

std::string_view line_of(std::string_view text, int line) {
  for (int i = 1; i < line; ++i) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// What usually stands behind a syntax error on such a line.
std::string_view hint_for(std::string_view line) {
  const size_t colon = line.find_first_of(":-");
  const std::string_view value = colon == std::string_view::npos ? line : line.substr(colon + 1);
  const bool unquoted = value.find('"') == std::string_view::npos && value.find('\'') == std::string_view::npos;
  if (unquoted && (value.find("[") != std::string_view::npos && value.find("]:") != std::string_view::npos))
    return "; an IPv6 listener needs quotes: \"[2001:db8::10]:443/tcp\"";
  if (unquoted && value.find(": ") != std::string_view::npos) return "; a value that holds `: ` needs quotes";
  if (unquoted && value.find_first_of("*&!%@`") != std::string_view::npos)
    return "; a value that starts with one of * & ! % @ ` needs quotes";
  return "";
}

// Line ends are \n or \r\n; a tab must not indent; lines are bounded. Text is printable UTF-8.
std::optional<YamlError> check_text(std::string_view text) {
  if (text.size() > kMaxDocumentBytes)
    return YamlError{0, 0,
                     fmt::format("the document has {} bytes; at most {} are read: split services among included files",
                                 grouped(text.size()), grouped(kMaxDocumentBytes))};
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > kMaxLineBytes)
      return YamlError{number, 1,
                       fmt::format("the line has {} bytes; at most {} are read: break it", grouped(line.size()),
                                   grouped(kMaxLineBytes))};
    if (const auto bad = find_unprintable(line))
      return YamlError{number, static_cast<int>(*bad) + 1,
                       fmt::format("byte 0x{:02x} is no printable UTF-8 text; is this a YAML file?",
                                   static_cast<uint8_t>(line[*bad]))};
    const size_t first = line.find_first_not_of(' ');
    if (first != std::string_view::npos && line[first] == '\t' &&
        line.find_first_not_of(" \t") != std::string_view::npos)
      return YamlError{number, static_cast<int>(first) + 1, "a tab indents this line; YAML indents with spaces only"};
  }
  return std::nullopt;
}

void parse(std::string_view text, YamlTree& tree) {
  std::istringstream in{std::string(text)};
  try {
    YAML::Parser parser(in);
    TreeBuilder first(tree);
    parser.HandleNextDocument(first);
    YamlTree rest;
    TreeBuilder second(rest);
    if (tree.errors.empty() && parser.HandleNextDocument(second) && rest.root.line > 0)
      tree.errors.push_back({rest.root.line, rest.root.column, "a second document (`---`) is not read: one a file"});
  } catch (const TooDeep& e) {
    tree.errors.push_back({e.mark.line + 1, e.mark.column + 1,
                           fmt::format("nested more than {} levels deep; no setting is that deep", kMaxNesting)});
  } catch (const TooMany& e) {
    tree.errors.push_back({e.mark.line + 1, e.mark.column + 1,
                           fmt::format("more than {} keys and values; no node has room for what they configure",
                                       grouped(kMaxYamlNodes))});
  } catch (const YAML::Exception& e) {
    const int line = e.mark.is_null() ? 0 : e.mark.line + 1;
    tree.errors.push_back({line, e.mark.is_null() ? 0 : e.mark.column + 1,
                           fmt::format("not YAML: {}{}", e.msg, line > 0 ? hint_for(line_of(text, line)) : "")});
  } catch (const std::exception& e) {
    tree.errors.push_back({0, 0, fmt::format("not YAML: {}", e.what())});
  }
}

}  // namespace

YamlTree read_yaml(std::string_view text) {
  YamlTree tree;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  if (auto error = check_text(text)) {
    tree.errors.push_back(*std::move(error));
    return tree;
  }
  parse(text, tree);
  return tree;
}

}  // namespace lb::model
