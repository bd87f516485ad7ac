// TraceStore: spans in one SQLite file, found by trace, by service and time; the oldest make room
// for new ones.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "console/traces/span.h"
#include "sql/database.h"

namespace lateen::console {

struct TraceStoreLimits {
  std::int64_t max_spans = 300'000;
  std::int64_t max_age_us = 7ll * 24 * 3600 * 1'000'000;
};

struct TraceQuery {
  std::string service;                                    // empty: any
  std::string operation;                                  // empty: any
  std::vector<std::pair<std::string, std::string>> tags;  // all must be on one span
  std::int64_t start_us = 0;
  std::int64_t end_us = 0;  // 0: no end
  std::int64_t min_duration_us = 0;
  std::int64_t max_duration_us = 0;  // 0: no bound
  int limit = 20;
};

struct Operation {
  std::string name;
  SpanKind kind;
};

struct Dependency {
  std::string parent;
  std::string child;
  std::int64_t calls = 0;
};

// Thread-safe: one lock around one database.
class TraceStore {
 public:
  // Opens or makes `path` (":memory:" for tests).
  static Result<std::unique_ptr<TraceStore>> open(const std::string& path,
                                                  TraceStoreLimits limits = {});

  // In one transaction; then drops what is over the limits. `now_us` is the wall clock.
  Result<> add(const std::vector<Span>& spans, std::int64_t now_us);

  Result<std::vector<std::string>> services() const;
  Result<std::vector<Operation>> operations(const std::string& service) const;
  // By start; empty when unknown. Shared spans are split (split_shared_spans).
  Result<std::vector<Span>> trace(const std::string& id) const;
  // The newest traces with a span that fits, newest first.
  Result<std::vector<std::vector<Span>>> find(const TraceQuery& query) const;
  // Calls between services that started in the window.
  Result<std::vector<Dependency>> dependencies(std::int64_t start_us, std::int64_t end_us) const;
  std::int64_t span_count() const;

 private:
  TraceStore(std::unique_ptr<sql::Database> database, TraceStoreLimits limits)
      : limits_(limits), database_(std::move(database)) {}
  Result<> load_names();
  Result<> insert(const std::vector<Span>& spans, std::int64_t now_us);
  Result<> prune(std::int64_t now_us);
  Result<std::int64_t> deleted_rows();
  Result<std::vector<Span>> read_trace(const std::string& id) const;
  Result<std::vector<std::string>> matching_traces(const TraceQuery& query) const;

  const TraceStoreLimits limits_;
  mutable std::mutex mutex_;
  std::unique_ptr<sql::Database> database_;
  std::int64_t count_ = 0;
  // (service, operation, kind) known to the file already.
  std::set<std::tuple<std::string, std::string, int>> names_;
};

}  // namespace lateen::console
