// Whole files and directory trees, with errors that name the path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen::os {

// At most `most_bytes`; longer files are an error. Works on /proc and /sys files (no size known
// ahead).
Result<std::string> read_file(const std::string& path, std::size_t most_bytes = 64u << 20);
// Truncates or creates; not atomic. For /proc and /sys files too.
Result<> write_file(const std::string& path, std::string_view text, int mode = 0644);
// Writes beside `path`, syncs and renames over it: readers see the old or the new text, never a
// part.
Result<> write_file_atomic(const std::string& path, std::string_view text, int mode = 0644);
// Also makes parents. An existing directory is fine.
Result<> make_directories(const std::string& path, int mode = 0755);
// Removes a tree; a missing one is fine. Never follows symbolic links.
Result<> remove_tree(const std::string& path);
bool path_exists(const std::string& path);
bool is_directory(const std::string& path);
// Names in a directory, sorted, without . and ..
std::vector<std::string> list_directory(const std::string& path);
// The file that this process runs.
std::string own_program();

}  // namespace lateen::os
