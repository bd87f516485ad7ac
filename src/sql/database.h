// A thin door to SQLite: one file, prepared statements, transactions, errors as Results. WAL with
// synchronous=NORMAL: a killed process loses no committed transaction; a power cut may lose the
// last ones but never tears the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/function.h"
#include "base/result.h"

namespace lateen::sql {

// A prepared statement. Belongs to its database's thread discipline and must die before it. Typical
// use:
//   auto find = TRY(db.prepare("SELECT value FROM t WHERE id = ?"));
//   find.bind(1, id);  while (TRY(find.step())) use(find.text(0));  find.reset();
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept : raw_(other.raw_), where_(std::move(other.where_)) {
    other.raw_ = nullptr;
  }
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters count from 1. Text is copied.
  void bind(int index, std::int64_t value);
  void bind(int index, std::string_view text);
  void bind_null(int index);

  // True while there is a row; false when the statement is done. Errors say what the file's state
  // is.
  Result<bool> step();
  // step() for statements without rows, then reset().
  Result<> run();
  // Ready to run again; bindings are cleared.
  void reset();

  // Columns count from 0. Views live until the next step() or reset().
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  void* raw_ = nullptr;
  std::string where_;
};

struct DatabaseOptions {
  int schema_version = 1;   // kept in PRAGMA user_version; a file with a higher one is refused
  std::string_view schema;  // statements that make an empty file into version `schema_version`
  // Brings a file from `version` to schema_version, inside a transaction. Not called for new files.
  Function<Result<>(class Database& db, int version)> migrate;
  // Keeps every other process out for as long as the database is open.
  bool is_exclusive = false;
  milliseconds busy_timeout{5'000};
};

// Not thread-safe: the owner serialises.
class Database {
 public:
  // Opens or makes `path` (":memory:" for tests). The error tells apart: a directory that is not
  // writable, another process holding the file, a file of a newer version, a damaged file, a full
  // disk.
  static Result<std::unique_ptr<Database>> open(const std::string& path,
                                                const DatabaseOptions& options);
  ~Database();

  Result<Statement> prepare(std::string_view sql);
  Result<> execute(std::string_view sql);  // one or more statements without parameters
  // Runs `work` between BEGIN IMMEDIATE and COMMIT; rolls back when it fails.
  Result<> transaction(const Function<Result<>()>& work);
  // Folds the WAL into the file; best effort.
  void checkpoint();

 private:
  Database(void* raw, std::string path) : raw_(raw), path_(std::move(path)) {}
  Result<> prepare_file(const DatabaseOptions& options);
  Result<int> user_version();
  void* raw_;
  std::string path_;
};

}  // namespace lateen::sql
