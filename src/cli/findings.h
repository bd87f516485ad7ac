// Printing what analyze and precheck find, in istioctl's forms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/session.h"
#include "mesh/analyze/analyze.h"

namespace lateen::cli {

// As suppressions and reports name the object: "VirtualService default/reviews".
std::string origin_of(const mesh::Finding& finding);
// "Info", "Warning" or "Error", in any case.
bool parse_level(std::string_view text, mesh::Level& out);
// `output` is log, json or yaml.
Result<> print_findings(Session& session, const std::string& output,
                        const std::vector<mesh::Finding>& findings);

}  // namespace lateen::cli
