// Checks that several kinds share. Each adds what it finds to `issues` under `path`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mesh/virtual_service.h"

namespace lateen::mesh {

void check_port(std::string_view path, std::int64_t port, Issues& issues);
// exportTo: "." or "*" or namespace names, no duplicates, "*" alone.
void check_export_to(const std::vector<std::string>& export_to, Issues& issues);
void check_match(std::string_view path, const StringMatch& match, Issues& issues);
void check_labels(std::string_view path, const Labels& labels, Issues& issues);
// At least 1 ms, in whole milliseconds.
void check_duration(std::string_view path, std::optional<nanoseconds> duration, Issues& issues);
void check_percent(std::string_view path, double percent, Issues& issues);
// A regular expression that compiles; bounded, since it comes from outside.
void check_regex(std::string_view path, std::string_view regex, Issues& issues);

}  // namespace lateen::mesh
