// Terminal lines.
#include "cli/progress.h"

#include <thread>

namespace lateen::cli {

void Progress::clear() {
  if (is_open_) session_.out << "\r\033[K";
  is_open_ = false;
}

void Progress::waiting(const std::string& part, const std::vector<std::string>& what) {
  if (!session_.is_terminal) return;
  clear();
  session_.out << "- Processing resources for " << part << ".";
  for (std::size_t i = 0; i < what.size() && i < 3; ++i)
    session_.out << (i == 0 ? " Waiting for " : ", ") << what[i];
  session_.out << std::flush;
  is_open_ = true;
}

void Progress::done(const std::string& part) {
  clear();
  session_.out << session_.mark_good() << " " << part << " installed\n" << std::flush;
}

void Progress::failed(const std::string& part, const std::string& why) {
  clear();
  session_.out << session_.mark_bad() << " " << part << " encountered an error: " << why << "\n"
               << std::flush;
}

void Progress::pause() const { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

}  // namespace lateen::cli
