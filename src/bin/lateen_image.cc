// `lateen image list|add|remove`: the image catalog's user entries. Works whether the cluster runs
// or not: it reads the file again when it looks for an image.
#include <fmt/format.h>
#include <stdlib.h>

#include <cstdio>

#include "base/strings.h"
#include "bin/commands.h"
#include "bin/up.h"
#include "cluster/images/catalog.h"
#include "linux/files.h"

namespace lateen::bin {
namespace {

using cluster::images::Catalog;
using cluster::images::Image;

constexpr const char* kUsage =
    "usage: lateen image list\n"
    "       lateen image add NAME [--root DIR] --command PROGRAM [--arg ARGUMENT]... [--env "
    "NAME=VALUE]...\n"
    "                        [--user UID[:GID]] [--workdir DIR]\n"
    "       lateen image remove NAME\n"
    "NAME is a repository without registry and tag: acme/shop. Without --root the machine's own "
    "/usr is the root.\n"
    "All take --data-dir DIR.\n";

struct Arguments {
  std::string verb;
  std::string data_dir = default_data_dir();
  Image image;
};

Result<> set_flag(Arguments& arguments, const std::string& name, const std::string& value) {
  if (name == "--data-dir") {
    arguments.data_dir = value;
  } else if (name == "--root") {
    char* real = ::realpath(value.c_str(), nullptr);
    if (real == nullptr) return errno_error("image root " + value, errno);
    arguments.image.root = real;
    std::free(real);
  } else if (name == "--command") {
    arguments.image.entrypoint.push_back(value);
  } else if (name == "--arg") {
    arguments.image.arguments.push_back(value);
  } else if (name == "--user") {
    arguments.image.user = value;
  } else if (name == "--workdir") {
    arguments.image.working_directory = value;
  } else if (name == "--env") {
    const auto pair = split_once(value, "=");
    if (!pair) return invalid("--env wants NAME=VALUE, not \"" + value + "\"");
    arguments.image.environment.emplace_back(pair->first, pair->second);
  } else {
    return invalid("unknown flag " + name);
  }
  return {};
}

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (!name.starts_with("-")) {
      if (arguments.verb.empty()) arguments.verb = name;
      else if (arguments.image.repository.empty())
        arguments.image.repository = TRY(cluster::images::repository_of(name));
      else return invalid("unexpected argument \"" + name + "\"");
      continue;
    }
    std::string value;
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      return invalid("flag " + name + " needs a value");
    }
    TRY(set_flag(arguments, name, value));
  }
  return arguments;
}

Result<> run(const Arguments& arguments) {
  Catalog catalog(arguments.data_dir + "/images.json");
  if (arguments.verb == "list") {
    std::printf("%-45s %-30s %s\n", "NAME", "ROOT", "COMMAND");
    for (const Image& image : catalog.list()) {
      auto words = image.entrypoint;
      words.insert(words.end(), image.arguments.begin(), image.arguments.end());
      std::printf("%-45s %-30s %s\n", image.repository.c_str(),
                  image.root.empty() ? "-" : image.root.c_str(), join(words, " ").c_str());
    }
    return {};
  }
  if (arguments.image.repository.empty()) return invalid("which image? Give its name");
  if (arguments.verb == "remove") return catalog.remove(arguments.image.repository);
  if (arguments.image.entrypoint.empty() && arguments.image.arguments.empty())
    return invalid("what should it run? Give --command PROGRAM");
  TRY(os::make_directories(arguments.data_dir));
  return catalog.add(arguments.image);
}

int image_command(int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  const bool is_known = arguments.ok() && (arguments->verb == "list" || arguments->verb == "add" ||
                                           arguments->verb == "remove");
  if (!is_known) {
    if (!arguments.ok())
      std::fprintf(stderr, "lateen image: %s\n", arguments.error().message().c_str());
    std::fputs(kUsage, stderr);
    return 2;
  }
  const auto done = run(*arguments);
  if (done.ok()) return 0;
  std::fprintf(stderr, "lateen image: %s\n", done.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace lateen::bin

int run_image(int argc, char** argv) { return lateen::bin::image_command(argc, argv); }
