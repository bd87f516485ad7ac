// Errors of SQLite become sentences that a user can act on; everything else is a direct call.
#include "sql/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

namespace lateen::sql {
namespace {

sqlite3* handle(void* raw) { return static_cast<sqlite3*>(raw); }
sqlite3_stmt* statement(void* raw) { return static_cast<sqlite3_stmt*>(raw); }

Error sqlite_error(sqlite3* db, int code, std::string_view path, std::string_view doing) {
  const char* text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Error(
          Code::kResourceExhausted,
          fmt::format("{} {}: the disk is full; free some space and try again", doing, path));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(
          Code::kDataLoss,
          fmt::format("{} {}: the file is damaged ({}); restore it from a copy, or remove the data "
                      "directory to start empty",
                      doing, path, text));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return unavailable(fmt::format(
          "{} {}: another process is using it; is the cluster running already?", doing, path));
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Error(
          Code::kPermissionDenied,
          fmt::format(
              "{} {}: cannot open it for writing ({}); check the directory's owner and mode", doing,
              path, text));
    case SQLITE_IOERR:
      return unavailable(fmt::format("{} {}: I/O error ({}); check the disk", doing, path, text));
    default: return internal(fmt::format("{} {}: {}", doing, path, text));
  }
}

}  // namespace

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(raw_, other.raw_);
  std::swap(where_, other.where_);
  return *this;
}
Statement::~Statement() { sqlite3_finalize(statement(raw_)); }

void Statement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement(raw_), index, value);
}
void Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement(raw_), index, text.data() == nullptr ? "" : text.data(),
                      text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}
void Statement::bind_null(int index) { sqlite3_bind_null(statement(raw_), index); }

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement(raw_));
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = sqlite_error(sqlite3_db_handle(statement(raw_)), code, where_, "using");
  sqlite3_reset(statement(raw_));
  return error;
}

Result<> Statement::run() {
  auto stepped = step();
  reset();
  if (!stepped.ok()) return std::move(stepped).error();
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement(raw_));
  sqlite3_clear_bindings(statement(raw_));
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement(raw_), column);
}
std::string_view Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement(raw_), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement(raw_), column))};
}
bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement(raw_), column) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path,
                                                 const DatabaseOptions& options) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  std::unique_ptr<Database> db(new Database(raw, path));
  if (code != SQLITE_OK) return sqlite_error(raw, code, path, "opening");
  sqlite3_busy_timeout(raw, static_cast<int>(options.busy_timeout.count()));
  sqlite3_extended_result_codes(raw, 1);
  TRY(db->prepare_file(options));
  return db;
}

Database::~Database() { sqlite3_close_v2(handle(raw_)); }

Result<> Database::prepare_file(const DatabaseOptions& options) {
  if (options.is_exclusive) TRY(execute("PRAGMA locking_mode=EXCLUSIVE"));
  TRY(
      execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;"
              "PRAGMA cache_size=-2000; PRAGMA wal_autocheckpoint=1000;"));
  const int version = TRY(user_version());
  if (version > options.schema_version) {
    return Error(
        Code::kFailedPrecondition,
        fmt::format(
            "opening {}: it was written by a newer version of lateen (format {}, this program "
            "knows up to {}); use that version, or another --data-dir",
            path_, version, options.schema_version));
  }
  if (version == options.schema_version) return {};
  return transaction([&]() -> Result<> {
    if (version == 0) {
      TRY(execute(options.schema));
    } else if (options.migrate) {
      TRY(options.migrate(*this, version));
    }
    return execute(fmt::format("PRAGMA user_version={}", options.schema_version));
  });
}

Result<int> Database::user_version() {
  auto query = TRY(prepare("PRAGMA user_version"));
  const bool has_row = TRY(query.step());
  return has_row ? static_cast<int>(query.integer(0)) : 0;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(handle(raw_), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK)
    return sqlite_error(handle(raw_), code, path_, "preparing a statement for");
  Statement prepared;
  prepared.raw_ = raw;
  prepared.where_ = path_;
  return prepared;
}

Result<> Database::execute(std::string_view sql) {
  const int code = sqlite3_exec(handle(raw_), std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(handle(raw_), code, path_, "opening");
  return {};
}

Result<> Database::transaction(const Function<Result<>()>& work) {
  TRY(execute("BEGIN IMMEDIATE"));
  auto done = work();
  if (done.ok()) done = execute("COMMIT");
  if (!done.ok()) sqlite3_exec(handle(raw_), "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

void Database::checkpoint() {
  sqlite3_wal_checkpoint_v2(handle(raw_), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

}  // namespace lateen::sql
