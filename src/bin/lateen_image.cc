// `lateen image list|add|remove`: the image catalog's user entries. Works whether the cluster runs
// or not: it reads the file again when it looks for an image.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <cerrno>
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

struct Arguments {
  std::string verb;
  std::string data_dir = default_data_dir();
  std::string name;
  std::string root;
  std::vector<std::string> environment;  // NAME=VALUE
  Image image;
};

// Turns what was typed into the image's entry.
Result<> complete(Arguments& arguments) {
  Image& image = arguments.image;
  if (!arguments.name.empty())
    image.repository = TRY(cluster::images::repository_of(arguments.name));
  if (!arguments.root.empty()) {
    char* real = ::realpath(arguments.root.c_str(), nullptr);
    if (real == nullptr) return errno_error("image root " + arguments.root, errno);
    image.root = real;
    std::free(real);
  }
  for (const std::string& variable : arguments.environment) {
    const auto pair = split_once(variable, "=");
    if (!pair) return invalid("--env wants NAME=VALUE, not \"" + variable + "\"");
    image.environment.emplace_back(pair->first, pair->second);
  }
  return {};
}

void add_flags(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--data-dir", arguments.data_dir, "where the cluster's data is")
      ->capture_default_str();
  app.add_subcommand("list", "all images, the user's first");
  auto* add = app.add_subcommand("add", "map an image name to a directory and a program");
  auto* remove = app.add_subcommand("remove", "forget an image that was added");
  for (auto* verb : {add, remove})
    verb->add_option("NAME", arguments.name, "a repository without registry and tag: acme/shop")
        ->required();
  Image& image = arguments.image;
  // One value each: what follows --command is not swallowed.
  add->add_option("--root", arguments.root,
                  "the image's root directory; without it the machine's own /usr");
  add->add_option("--command", image.entrypoint, "the program, and words that always follow it")
      ->allow_extra_args(false);
  add->add_option("--arg", image.arguments,
                  "an argument that a pod's args replace; --arg=-x for one with a dash")
      ->allow_extra_args(false);
  add->add_option("--env", arguments.environment, "NAME=VALUE")->allow_extra_args(false);
  add->add_option("--user", image.user, "UID[:GID]");
  add->add_option("--workdir", image.working_directory, "the working directory");
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
  if (arguments.verb == "remove") return catalog.remove(arguments.image.repository);
  if (arguments.image.entrypoint.empty() && arguments.image.arguments.empty())
    return invalid("what should it run? Give --command PROGRAM");
  TRY(os::make_directories(arguments.data_dir));
  return catalog.add(arguments.image);
}

int image_command(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("The image catalog of the embedded cluster.", "lateen image");
  add_flags(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 2;
  }
  arguments.verb = app.get_subcommands().front()->get_name();
  auto done = complete(arguments);
  if (done.ok()) done = run(arguments);
  if (done.ok()) return 0;
  std::fprintf(stderr, "lateen image: %s\n", done.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace lateen::bin

int run_image(int argc, char** argv) { return lateen::bin::image_command(argc, argv); }
