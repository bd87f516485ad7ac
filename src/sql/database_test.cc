// The wrapper against real files: transactions, and the sentences for files that cannot be used.
#include "sql/database.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace lateen::sql {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    char name[] = "/tmp/lateen-sql-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~DatabaseTest() override { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/state.db"; }
  DatabaseOptions options(int version = 1) const {
    DatabaseOptions made;
    made.schema_version = version;
    made.schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, value TEXT)";
    return made;
  }
  std::string directory_;
};

TEST_F(DatabaseTest, KeepsWhatWasCommittedAndDropsWhatFailed) {
  {
    auto db = Database::open(path(), options());
    ASSERT_TRUE(db.ok()) << db.error().message();
    auto insert = (*db)->prepare("INSERT INTO t (value) VALUES (?)");
    ASSERT_TRUE(insert.ok());
    insert->bind(1, "kept");
    ASSERT_TRUE(insert->run().ok());
    auto failed = (*db)->transaction([&]() -> Result<> {
      insert->bind(1, "dropped");
      TRY(insert->run());
      return internal("no");
    });
    EXPECT_FALSE(failed.ok());
  }
  auto db = Database::open(path(), options());
  ASSERT_TRUE(db.ok());
  auto query = (*db)->prepare("SELECT value FROM t");
  ASSERT_TRUE(query->step().value());
  EXPECT_EQ(query->text(0), "kept");
  EXPECT_FALSE(query->step().value());
}

TEST_F(DatabaseTest, RefusesNewerVersionByName) {
  { ASSERT_TRUE(Database::open(path(), options(2)).ok()); }
  auto db = Database::open(path(), options(1));
  ASSERT_FALSE(db.ok());
  EXPECT_EQ(db.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(db.error().message().find("newer version"), std::string::npos);
}

TEST_F(DatabaseTest, MigratesOlderFiles) {
  { ASSERT_TRUE(Database::open(path(), options(1)).ok()); }
  auto newer = options(2);
  int from = 0;
  newer.migrate = [&](Database& db, int version) -> Result<> {
    from = version;
    return db.execute("ALTER TABLE t ADD COLUMN more TEXT");
  };
  auto db = Database::open(path(), newer);
  ASSERT_TRUE(db.ok()) << db.error().message();
  EXPECT_EQ(from, 1);
  EXPECT_TRUE((*db)->execute("INSERT INTO t (more) VALUES ('x')").ok());
}

TEST_F(DatabaseTest, SaysThatAFileIsDamaged) {
  std::ofstream(path()) << std::string(4096, 'x');
  auto db = Database::open(path(), options());
  ASSERT_FALSE(db.ok());
  EXPECT_EQ(db.error().code(), Code::kDataLoss);
}

TEST_F(DatabaseTest, SaysThatAnotherHoldsAnExclusiveFile) {
  auto exclusive = options();
  exclusive.is_exclusive = true;
  exclusive.busy_timeout = milliseconds(0);
  auto first = Database::open(path(), exclusive);
  ASSERT_TRUE(first.ok()) << first.error().message();
  auto second = Database::open(path(), exclusive);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
  EXPECT_NE(second.error().message().find("another process is using it"), std::string::npos);
}

TEST_F(DatabaseTest, SaysThatADirectoryIsMissing) {
  auto db = Database::open(directory_ + "/none/state.db", options());
  ASSERT_FALSE(db.ok());
  EXPECT_EQ(db.error().code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace lateen::sql
