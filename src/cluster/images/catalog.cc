// Looking images up, and the user's own entries.
#include "cluster/images/catalog.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "linux/files.h"

namespace lateen::cluster::images {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

// "mirror.example/team/istio/proxyv2" is istio/proxyv2 to us: whole path segments at the end must
// agree.
bool matches(std::string_view repository, std::string_view key) {
  if (repository == key) return true;
  return repository.size() > key.size() + 1 && repository.ends_with(key) &&
         repository[repository.size() - key.size() - 1] == '/';
}

template <typename Images>
const Image* best_match(const Images& images, std::string_view repository) {
  const Image* best = nullptr;
  for (const Image& image : images)
    if (matches(repository, image.repository) &&
        (best == nullptr || image.repository.size() > best->repository.size()))
      best = &image;
  return best;
}

bool is_repository_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
         c == '/';
}

std::string_view without_tag(std::string_view reference) {
  reference = reference.substr(0, reference.find('@'));
  const std::size_t colon = reference.rfind(':');
  if (colon != std::string_view::npos && reference.find('/', colon) == std::string_view::npos)
    reference = reference.substr(0, colon);
  return reference;
}

}  // namespace

Result<std::string> repository_of(std::string_view reference) {
  std::string_view name = without_tag(reference);
  const std::size_t slash = name.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view first = name.substr(0, slash);
    if (first.find_first_of(".:") != std::string_view::npos || first == "localhost")
      name = name.substr(slash + 1);
  }
  const bool is_well_formed = !name.empty() && name.front() != '/' && name.back() != '/' &&
                              std::all_of(name.begin(), name.end(), is_repository_char);
  if (!is_well_formed)
    return invalid(
        fmt::format("couldn't parse image name \"{}\": invalid reference format", reference));
  return std::string(name);
}

std::string tag_of(std::string_view reference) {
  const std::string_view bare = without_tag(reference);
  if (bare.size() == reference.size()) return "latest";
  if (reference[bare.size()] == '@') return "";
  const std::string_view rest = reference.substr(bare.size() + 1);
  return std::string(rest.substr(0, rest.find('@')));
}

Result<Image> Catalog::find(std::string_view reference) {
  const std::string repository = TRY(repository_of(reference));
  const auto added = TRY(load());
  std::vector<Image> user_images;
  for (const auto& [name, image] : added) user_images.push_back(image);
  if (const Image* image = best_match(user_images, repository)) return *image;
  if (const Image* image = best_match(built_in_images(), repository)) return *image;
  return not_found(
      fmt::format("image \"{0}\" is not in the catalog of this cluster, which pulls nothing from "
                  "registries: map it with `lateen image add {1} --root DIR --command PROGRAM`, or "
                  "see `lateen image list`",
                  reference, repository));
}

std::vector<Image> Catalog::list() {
  std::vector<Image> images;
  if (auto added = load(); added.ok())
    for (auto& [name, image] : added.value()) images.push_back(image);
  const auto& shipped = built_in_images();
  images.insert(images.end(), shipped.begin(), shipped.end());
  return images;
}

Result<> Catalog::add(const Image& image) {
  if (!image.root.empty() && !os::is_directory(image.root))
    return not_found("image root " + image.root + " is not a directory");
  auto entries = TRY(load());
  entries[image.repository] = image;
  return save(entries);
}

Result<> Catalog::remove(std::string_view repository) {
  auto entries = TRY(load());
  if (entries.erase(std::string(repository)) == 0)
    return not_found(
        fmt::format("no image \"{}\" was added (entries that ship with Lateen stay)", repository));
  return save(entries);
}

Result<std::map<std::string, Image>> Catalog::load() {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Image> entries;
  if (!os::path_exists(path_)) return entries;
  const std::string text = TRY(os::read_file(path_, 4u << 20));
  const Json file = TRY(data::parse_json(text).at("reading " + path_));
  for (const auto& [name, value] : data::get_object(file, {"images"}))
    entries[std::string(name)] = TRY(image_from_json(value, name).at(path_));
  return entries;
}

Result<> Catalog::save(const std::map<std::string, Image>& entries) {
  const std::lock_guard lock(mutex_);
  JsonObject images;
  for (const auto& [name, image] : entries) images[name] = to_json(image);
  return os::write_file_atomic(path_,
                               data::dump_json_pretty(JsonObject{{"images", images}}) + "\n");
}

Json to_json(const Image& image) {
  const auto texts = [](const std::vector<std::string>& from) {
    JsonArray array;
    for (const std::string& text : from) array.emplace_back(text);
    return array;
  };
  JsonObject environment;
  for (const auto& [name, value] : image.environment) environment[name] = value;
  JsonObject object{{"root", image.root},
                    {"entrypoint", texts(image.entrypoint)},
                    {"args", texts(image.arguments)},
                    {"env", environment},
                    {"user", image.user},
                    {"workingDir", image.working_directory}};
  return object;
}

Result<Image> image_from_json(const Json& value, std::string_view repository) {
  if (!value.is_object()) return invalid(fmt::format("image \"{}\" is not an object", repository));
  Image image;
  image.repository = repository;
  image.root = data::get_string(value, {"root"});
  image.user = data::get_string(value, {"user"});
  image.working_directory = data::get_string(value, {"workingDir"});
  for (const Json& part : data::get_array(value, {"entrypoint"}))
    image.entrypoint.emplace_back(data::as_string(part));
  for (const Json& part : data::get_array(value, {"args"}))
    image.arguments.emplace_back(data::as_string(part));
  for (const auto& [name, text] : data::get_object(value, {"env"}))
    image.environment.emplace_back(name, data::as_string(text));
  return image;
}

}  // namespace lateen::cluster::images
