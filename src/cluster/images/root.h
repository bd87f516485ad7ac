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

// Makes roots under `directory` (DATA/images). Those that this program made on this boot of this
// machine are used again, others are made anew. Thread-safe.
class Roots {
 public:
  // `programs_dir` holds our programs (lateen, lateen-proxy, bookinfo); it shows up as /opt/lateen.
  Roots(std::string directory, std::string programs_dir)
      : directory_(std::move(directory)),
        programs_dir_(std::move(programs_dir)),
        current_(directory_ + "/" + generation()) {}
  // Removes those that are not used again. Takes its time: not on the way to the first container.
  void remove_old();
  Result<Root> root_of(const Image& image);

 private:
  Result<> make_skeleton(const Image& image, const std::string& at);
  static std::string generation();
  const std::string directory_;
  const std::string programs_dir_;
  const std::string current_;  // DATA/images/GENERATION
  std::mutex mutex_;
};

}  // namespace lateen::cluster::images
