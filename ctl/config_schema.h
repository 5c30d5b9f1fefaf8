// A JSON Schema (draft 2020-12) of the configuration, made of the tables by which it is read: keys and words of
// model/keys.h, limits of model/config.h. For editors and CI; `config check` knows more rules.
#pragma once

#include <cstdint>
#include <string>

namespace lb::ctl {

enum class SchemaOf : uint8_t { kMainFile, kIncludedFile };

// Indented text, without a newline at the end. Throws std::logic_error when a key of the tables has no description.
std::string config_schema(SchemaOf what);

}  // namespace lb::ctl
