// The span table, its indexes and the searches over it.
#include "console/traces/trace_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "data/json.h"

namespace lateen::console {
namespace {

constexpr std::size_t kMaxSpansPerTrace = 20'000;
constexpr int kMaxTraces = 1'500;         // in one answer
constexpr int kMaxRowsScanned = 200'000;  // for one search
constexpr std::size_t kMaxNames = 20'000;

constexpr std::string_view kSchema = R"(
CREATE TABLE spans(seq INTEGER PRIMARY KEY, trace TEXT NOT NULL, span TEXT NOT NULL, parent TEXT NOT NULL,
  service TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, start INTEGER NOT NULL,
  duration INTEGER NOT NULL, rest TEXT NOT NULL);
CREATE INDEX spans_by_trace ON spans(trace, span);
CREATE INDEX spans_by_service ON spans(service, start);
CREATE INDEX spans_by_start ON spans(start);
CREATE TABLE names(service TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, seen INTEGER NOT NULL,
  PRIMARY KEY(service, name, kind)) WITHOUT ROWID;
)";

constexpr std::string_view kColumns =
    "trace, span, parent, service, name, kind, start, duration, rest";

data::JsonArray pack_tags(const std::vector<Tag>& tags) {
  data::JsonArray list;
  for (const Tag& tag : tags) {
    list.push_back(data::JsonArray{tag.key, tag.value, static_cast<int>(tag.type)});
  }
  return list;
}

std::vector<Tag> unpack_tags(const data::JsonArray& list) {
  std::vector<Tag> tags;
  tags.reserve(list.size());
  for (const data::Json& one : list) {
    const auto* parts = one.if_array();
    if (parts == nullptr || parts->size() != 3) continue;
    tags.push_back({std::string(data::as_string((*parts)[0])),
                    std::string(data::as_string((*parts)[1])),
                    static_cast<TagType>(data::as_int((*parts)[2]).value_or(0))});
  }
  return tags;
}

std::string pack_rest(const Span& span) {
  data::JsonArray events;
  for (const SpanEvent& event : span.events) {
    events.push_back(data::JsonArray{event.time_us, pack_tags(event.fields)});
  }
  return data::dump_json(
      {{"t", pack_tags(span.tags)}, {"e", std::move(events)}, {"p", pack_tags(span.process_tags)}});
}

void unpack_rest(Span& span, std::string_view text) {
  const auto rest = data::parse_json(text);
  if (!rest.ok()) return;
  span.tags = unpack_tags(data::get_array(rest.value(), {"t"}));
  span.process_tags = unpack_tags(data::get_array(rest.value(), {"p"}));
  for (const data::Json& one : data::get_array(rest.value(), {"e"})) {
    const auto* parts = one.if_array();
    if (parts == nullptr || parts->size() != 2) continue;
    const auto* fields = (*parts)[1].if_array();
    span.events.push_back({data::as_int((*parts)[0]).value_or(0),
                           fields == nullptr ? std::vector<Tag>() : unpack_tags(*fields)});
  }
}

Span read_row(const sql::Statement& row) {
  Span span;
  span.trace_id = row.text(0);
  span.span_id = row.text(1);
  span.parent_id = row.text(2);
  span.service = row.text(3);
  span.name = row.text(4);
  span.kind = static_cast<SpanKind>(row.integer(5));
  span.start_us = row.integer(6);
  span.duration_us = row.integer(7);
  unpack_rest(span, row.text(8));
  return span;
}

bool has_tags(const Span& span, const std::vector<std::pair<std::string, std::string>>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) {
    if (pair.first == "error" && pair.second == "true") return span.is_error();
    const Tag* tag = span.tag(pair.first);
    return tag != nullptr && tag->value == pair.second;
  });
}

}  // namespace

Result<std::unique_ptr<TraceStore>> TraceStore::open(const std::string& path,
                                                     TraceStoreLimits limits) {
  sql::DatabaseOptions options;
  options.schema = kSchema;
  auto database = TRY(sql::Database::open(path, options));
  std::unique_ptr<TraceStore> store(new TraceStore(std::move(database), limits));
  TRY(store->load_names());
  return store;
}

Result<> TraceStore::load_names() {
  auto names = TRY(database_->prepare("SELECT service, name, kind FROM names"));
  while (TRY(names.step())) {
    names_.emplace(std::string(names.text(0)), std::string(names.text(1)),
                   static_cast<int>(names.integer(2)));
  }
  auto count = TRY(database_->prepare("SELECT COUNT(*) FROM spans"));
  if (TRY(count.step())) count_ = count.integer(0);
  return {};
}

Result<> TraceStore::add(const std::vector<Span>& spans, std::int64_t now_us) {
  if (spans.empty()) return {};
  const std::lock_guard lock(mutex_);
  const std::int64_t before = count_;
  auto done = database_->transaction([&]() -> Result<> {
    TRY(insert(spans, now_us));
    return prune(now_us);
  });
  if (!done.ok()) count_ = before;
  return done;
}

Result<> TraceStore::insert(const std::vector<Span>& spans, std::int64_t now_us) {
  auto add = TRY(database_->prepare(
      "INSERT INTO spans(trace, span, parent, service, name, kind, start, duration, rest) "
      "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  auto name = TRY(database_->prepare("INSERT OR REPLACE INTO names VALUES(?, ?, ?, ?)"));
  for (const Span& span : spans) {
    add.bind(1, span.trace_id);
    add.bind(2, span.span_id);
    add.bind(3, span.parent_id);
    add.bind(4, span.service);
    add.bind(5, span.name);
    add.bind(6, static_cast<std::int64_t>(span.kind));
    add.bind(7, span.start_us > 0 ? span.start_us : now_us);
    add.bind(8, span.duration_us);
    add.bind(9, pack_rest(span));
    TRY(add.run());
    ++count_;
    const std::tuple key{span.service, span.name, static_cast<int>(span.kind)};
    if (names_.size() >= kMaxNames || !names_.insert(key).second) continue;
    name.bind(1, span.service);
    name.bind(2, span.name);
    name.bind(3, static_cast<std::int64_t>(span.kind));
    name.bind(4, now_us);
    TRY(name.run());
  }
  return {};
}

Result<> TraceStore::prune(std::int64_t now_us) {
  auto old = TRY(database_->prepare("DELETE FROM spans WHERE start < ?"));
  old.bind(1, now_us - limits_.max_age_us);
  TRY(old.run());
  count_ -= TRY(deleted_rows());
  if (count_ <= limits_.max_spans) return {};
  // A tenth at once, so that a full store does not prune with each batch.
  auto most = TRY(database_->prepare(
      "DELETE FROM spans WHERE seq IN (SELECT seq FROM spans ORDER BY seq LIMIT ?)"));
  most.bind(1, count_ - limits_.max_spans + limits_.max_spans / 10);
  TRY(most.run());
  count_ -= TRY(deleted_rows());
  return {};
}

Result<std::int64_t> TraceStore::deleted_rows() {
  auto changes = TRY(database_->prepare("SELECT changes()"));
  return TRY(changes.step()) ? changes.integer(0) : 0;
}

std::int64_t TraceStore::span_count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

Result<std::vector<std::string>> TraceStore::services() const {
  const std::lock_guard lock(mutex_);
  auto rows = TRY(database_->prepare("SELECT DISTINCT service FROM names ORDER BY service"));
  std::vector<std::string> found;
  while (TRY(rows.step())) found.emplace_back(rows.text(0));
  return found;
}

Result<std::vector<Operation>> TraceStore::operations(const std::string& service) const {
  const std::lock_guard lock(mutex_);
  auto rows =
      TRY(database_->prepare("SELECT name, kind FROM names WHERE service = ? ORDER BY name, kind"));
  rows.bind(1, service);
  std::vector<Operation> found;
  while (TRY(rows.step())) {
    found.push_back({std::string(rows.text(0)), static_cast<SpanKind>(rows.integer(1))});
  }
  return found;
}

Result<std::vector<Span>> TraceStore::trace(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  return read_trace(id);
}

Result<std::vector<Span>> TraceStore::read_trace(const std::string& id) const {
  auto rows = TRY(database_->prepare(
      fmt::format("SELECT {} FROM spans WHERE trace = ? ORDER BY start, seq LIMIT ?", kColumns)));
  rows.bind(1, id);
  rows.bind(2, static_cast<std::int64_t>(kMaxSpansPerTrace));
  std::vector<Span> spans;
  while (TRY(rows.step())) spans.push_back(read_row(rows));
  split_shared_spans(spans);
  return spans;
}

Result<std::vector<std::string>> TraceStore::matching_traces(const TraceQuery& query) const {
  std::string where = "start >= ?1 AND start <= ?2 AND duration >= ?3 AND duration <= ?4";
  if (!query.service.empty()) where += " AND service = ?5";
  if (!query.operation.empty()) where += " AND name = ?6";
  auto rows = TRY(database_->prepare(
      fmt::format("SELECT {} FROM spans WHERE {} ORDER BY start DESC LIMIT ?7", kColumns, where)));
  constexpr std::int64_t kNoBound = std::int64_t{1} << 62;
  rows.bind(1, query.start_us);
  rows.bind(2, query.end_us > 0 ? query.end_us : kNoBound);
  rows.bind(3, query.min_duration_us);
  rows.bind(4, query.max_duration_us > 0 ? query.max_duration_us : kNoBound);
  if (!query.service.empty()) rows.bind(5, query.service);
  if (!query.operation.empty()) rows.bind(6, query.operation);
  rows.bind(7, static_cast<std::int64_t>(kMaxRowsScanned));
  const auto limit = static_cast<std::size_t>(std::clamp(query.limit, 1, kMaxTraces));
  std::vector<std::string> ids;
  std::unordered_set<std::string> seen;
  while (ids.size() < limit && TRY(rows.step())) {
    std::string id(rows.text(0));
    if (seen.contains(id)) continue;
    if (!query.tags.empty() && !has_tags(read_row(rows), query.tags)) continue;
    seen.insert(id);
    ids.push_back(std::move(id));
  }
  return ids;
}

Result<std::vector<std::vector<Span>>> TraceStore::find(const TraceQuery& query) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::vector<Span>> traces;
  for (const std::string& id : TRY(matching_traces(query))) traces.push_back(TRY(read_trace(id)));
  return traces;
}

Result<std::vector<Dependency>> TraceStore::dependencies(std::int64_t start_us,
                                                         std::int64_t end_us) const {
  const std::lock_guard lock(mutex_);
  // The second form is Zipkin's shared span: client and server half with one id.
  auto rows = TRY(database_->prepare(
      "SELECT p.service, c.service, COUNT(*) FROM spans c JOIN spans p ON p.trace = c.trace AND "
      "(p.span = c.parent OR (p.span = c.span AND p.kind = 1 AND c.kind = 2)) "
      "WHERE c.start >= ? AND c.start <= ? AND p.service <> c.service AND c.kind NOT IN (1, 3) "
      "GROUP BY 1, 2 ORDER BY 1, "
      "2"));
  rows.bind(1, start_us);
  rows.bind(2, end_us);
  std::vector<Dependency> found;
  while (TRY(rows.step())) {
    found.push_back({std::string(rows.text(0)), std::string(rows.text(1)), rows.integer(2)});
  }
  return found;
}

}  // namespace lateen::console
