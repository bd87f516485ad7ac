// The image catalog: what stands in for a registry. A reference like
// "docker.io/istio/proxyv2:1.9.1" is reduced to its repository, which names a root directory and
// what to run in it. Entries ship with the program; users add theirs to images.json in the data
// directory (`lateen image add`), which is read again when it changes.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/json.h"

namespace lateen::cluster::images {

struct Image {
  std::string repository;  // the entry's key: "istio/proxyv2"
  std::string root;        // a directory; empty: the machine's own /usr, read-only, under our /etc
  std::vector<std::string> entrypoint;  // a pod's `command` replaces it
  std::vector<std::string> arguments;   // a pod's `args` replace them
  std::vector<std::pair<std::string, std::string>> environment;
  std::string user;  // "1337", "1337:1337" or empty: root
  std::string working_directory;
  // Programs of ours under /usr/local/bin or a full path: {"pilot-agent", "lateen"}.
  std::vector<std::pair<std::string, std::string>> programs;
};

class Catalog {
 public:
  // `path`: images.json; may be missing.
  explicit Catalog(std::string path) : path_(std::move(path)) {}

  // Thread-safe. NotFound says how to map an unknown image; InvalidArgument for a reference that is
  // none.
  Result<Image> find(std::string_view reference);
  // All entries, users' first.
  std::vector<Image> list();
  Result<> add(const Image& image);
  // NotFound when no user entry has that name.
  Result<> remove(std::string_view repository);

 private:
  Result<std::map<std::string, Image>> load();
  Result<> save(const std::map<std::string, Image>& entries);
  std::string path_;
  std::mutex mutex_;
};

// "quay.io:443/a/b:tag@sha256:…" gives "a/b": no registry, tag or digest. InvalidArgument for
// malformed references.
Result<std::string> repository_of(std::string_view reference);
// The tag; "latest" when there is none, empty with a digest only.
std::string tag_of(std::string_view reference);
const std::vector<Image>& built_in_images();

data::Json to_json(const Image& image);
Result<Image> image_from_json(const data::Json& value, std::string_view repository);

}  // namespace lateen::cluster::images
