// Pieces of a document, for those who write one with words of their own in between. Whole documents: config_text.h.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/model/config.h"

namespace lb::model {

// Plain when every YAML reader takes it as that text, else in quotes.
std::string print_scalar(std::string_view text);
// Appended to out, as they stand in print_config(): an item of `backends`, a service with its name.
void print_backend(const Backend& backend, std::string& out);
void print_service(const Service& service, std::string& out);

}  // namespace lb::model
