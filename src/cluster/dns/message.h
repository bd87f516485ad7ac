// DNS messages (RFC 1035), as far as a cluster's server needs them: one question in, a response
// out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen::cluster::dns {

enum class Type : std::uint16_t {
  kA = 1,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kAny = 255
};
enum class ResponseCode : std::uint8_t {
  kNoError = 0,
  kFormat = 1,
  kServerFailure = 2,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5
};

struct Question {
  std::uint16_t id = 0;
  bool is_recursion_desired = false;
  std::string name;  // as asked, without the last dot; labels may hold no dots
  std::uint16_t type = 0;
  std::size_t udp_bytes = 512;  // what the asker can take (EDNS)
  bool has_edns = false;
};
// InvalidArgument for anything but one ordinary question.
Result<Question> parse_question(std::string_view packet);
// The id of even a malformed query, for a format error; nullopt when there is none.
std::optional<std::uint16_t> id_of(std::string_view packet);

struct Record {
  std::string name;
  Type type = Type::kA;
  std::string data;  // wire form
  std::uint32_t ttl_seconds = 5;
};
std::string encode_name(std::string_view name);
Record address_record(std::string name, std::uint32_t ipv4);
Record name_record(std::string name, Type type, std::string_view target);  // CNAME, PTR
Record service_record(std::string name, int port, std::string_view target);
Record authority_record(std::string_view zone);

struct Answer {
  ResponseCode code = ResponseCode::kNoError;
  bool is_authoritative = true;
  std::vector<Record> records;
  std::vector<Record> authority;
  std::vector<Record> additional;
};
// `most_bytes`: records that do not fit are dropped and the truncation flag set.
std::string encode_response(const Question& question, const Answer& answer, std::size_t most_bytes);
std::string encode_failure(std::uint16_t id, ResponseCode code);

}  // namespace lateen::cluster::dns
