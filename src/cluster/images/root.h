// Roots of images on disk: what a container's read-only lower layer is and what is mounted over it.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "cluster/images/catalog.h"

namespace lateen::cluster::images {

struct Bind {
  std::string source;
  std::string target;  // inside the root: "/usr"
  bool is_read_only = true;
};
struct Root {
  std::string lower;  // a directory, never written to
  std::vector<Bind> binds;
};

// Makes roots under `directory` (DATA/images), each once. Thread-safe.
class Roots {
 public:
  // `programs_dir` holds our programs (lateen, lateen-proxy, bookinfo); it shows up as /opt/lateen.
  Roots(std::string directory, std::string programs_dir)
      : directory_(std::move(directory)), programs_dir_(std::move(programs_dir)) {}
  // Removes what earlier versions of the program made.
  Result<> clear();
  Result<Root> root_of(const Image& image);

 private:
  Result<> make_skeleton(const Image& image, const std::string& at);
  std::string directory_;
  std::string programs_dir_;
  std::mutex mutex_;
};

}  // namespace lateen::cluster::images
