// The bookstore's pages as text.
#pragma once

#include <string>
#include <string_view>

#include "data/json.h"
#include "samples/settings.h"

namespace lateen::samples {

// What a data source answered: its JSON with status 200, or {"error": …} with another one.
struct Part {
  int status = 0;
  data::Json value;
};

std::string render_index(const Settings& settings);
// `user` is empty when nobody is signed in.
std::string render_productpage(const data::Json& product, const Part& details, const Part& reviews,
                               std::string_view user);
std::string_view stylesheet();

}  // namespace lateen::samples
