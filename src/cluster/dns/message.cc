// DNS wire format.
#include "cluster/dns/message.h"

#include "base/strings.h"

namespace lateen::cluster::dns {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kMostUdpBytes = 4096;

std::uint16_t read_u16(std::string_view packet, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(packet[at]) << 8 |
                                    static_cast<unsigned char>(packet[at + 1]));
}

void put_u16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

void put_u32(std::string& out, std::uint32_t value) {
  put_u16(out, value >> 16);
  put_u16(out, value & 0xffff);
}

void put_record(std::string& out, const Record& record, std::string_view question_name) {
  // The name asked for stands right behind the header.
  if (iequals(record.name, question_name)) put_u16(out, 0xc000 | kHeaderBytes);
  else out += encode_name(record.name);
  put_u16(out, static_cast<std::uint16_t>(record.type));
  put_u16(out, 1);
  put_u32(out, record.ttl_seconds);
  put_u16(out, record.data.size());
  out += record.data;
}

}  // namespace

std::optional<std::uint16_t> id_of(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return std::nullopt;
  return read_u16(packet, 0);
}

Result<Question> parse_question(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return invalid("a DNS query is shorter than its header");
  Question question;
  question.id = read_u16(packet, 0);
  const std::uint16_t flags = read_u16(packet, 2);
  if ((flags & 0x8000) != 0) return invalid("a DNS response came where a query was due");
  if (((flags >> 11) & 15) != 0) return Error(Code::kUnimplemented, "a DNS query of another kind");
  question.is_recursion_desired = (flags & 0x0100) != 0;
  if (read_u16(packet, 4) != 1) return invalid("a DNS query with other than one question");
  const std::uint16_t additional = read_u16(packet, 10);
  std::size_t at = kHeaderBytes;
  while (true) {
    if (at >= packet.size()) return invalid("a DNS name that does not end");
    const auto length = static_cast<unsigned char>(packet[at++]);
    if (length == 0) break;
    if (length > 63 || at + length > packet.size() || question.name.size() + length > 254)
      return invalid("a malformed DNS name");
    if (!question.name.empty()) question.name += '.';
    question.name += packet.substr(at, length);
    at += length;
  }
  if (at + 4 > packet.size()) return invalid("a DNS question that is cut off");
  question.type = read_u16(packet, at);
  at += 4;
  // An OPT record of EDNS: root name, type 41, then the size that the asker takes.
  if (additional >= 1 && at + 11 <= packet.size() && packet[at] == 0 &&
      read_u16(packet, at + 1) == static_cast<std::uint16_t>(Type::kOpt)) {
    question.has_edns = true;
    question.udp_bytes =
        std::min(kMostUdpBytes, std::max<std::size_t>(512, read_u16(packet, at + 3)));
  }
  return question;
}

std::string encode_name(std::string_view name) {
  std::string out;
  if (!name.empty())
    for (std::string_view label : split(name, '.')) {
      if (label.empty() || label.size() > 63) continue;
      out += static_cast<char>(label.size());
      out += label;
    }
  return out + '\0';
}

Record address_record(std::string name, std::uint32_t ipv4) {
  Record record{std::move(name), Type::kA, {}};
  put_u32(record.data, ipv4);
  return record;
}

Record name_record(std::string name, Type type, std::string_view target) {
  return {std::move(name), type, encode_name(target)};
}

Record service_record(std::string name, int port, std::string_view target) {
  Record record{std::move(name), Type::kSrv, {}};
  put_u16(record.data, 0);
  put_u16(record.data, 100);
  put_u16(record.data, static_cast<std::size_t>(port));
  record.data += encode_name(target);
  return record;
}

Record authority_record(std::string_view zone) {
  Record record{std::string(zone), Type::kSoa, {}};
  record.data =
      encode_name("ns.dns." + std::string(zone)) + encode_name("hostmaster." + std::string(zone));
  for (std::uint32_t number : {1u, 7200u, 1800u, 86400u, 5u}) put_u32(record.data, number);
  return record;
}

std::string encode_response(const Question& question, const Answer& answer,
                            std::size_t most_bytes) {
  std::string body = encode_name(question.name);
  put_u16(body, question.type);
  put_u16(body, 1);
  const std::size_t opt_bytes = question.has_edns ? 11 : 0;
  bool is_truncated = false;
  const auto put_all = [&](const std::vector<Record>& records) {
    std::size_t count = 0;
    for (const Record& record : records) {
      std::string bytes;
      put_record(bytes, record, question.name);
      if (kHeaderBytes + body.size() + bytes.size() + opt_bytes > most_bytes) {
        is_truncated = true;
        break;
      }
      body += bytes;
      ++count;
    }
    return count;
  };
  const std::size_t answers = put_all(answer.records);
  const std::size_t authorities = put_all(answer.authority);
  const bool was_truncated = is_truncated;
  std::size_t additionals = put_all(answer.additional);
  is_truncated = was_truncated;  // additional records are a courtesy
  if (question.has_edns) {
    body += '\0';
    put_u16(body, static_cast<std::uint16_t>(Type::kOpt));
    put_u16(body, kMostUdpBytes);
    put_u32(body, 0);
    put_u16(body, 0);
    ++additionals;
  }
  std::string out;
  put_u16(out, question.id);
  std::uint16_t flags = 0x8000 | 0x0080;
  if (answer.is_authoritative) flags |= 0x0400;
  if (is_truncated) flags |= 0x0200;
  if (question.is_recursion_desired) flags |= 0x0100;
  put_u16(out, flags | static_cast<std::uint16_t>(answer.code));
  put_u16(out, 1);
  put_u16(out, answers);
  put_u16(out, authorities);
  put_u16(out, additionals);
  return out + body;
}

std::string encode_failure(std::uint16_t id, ResponseCode code) {
  std::string out;
  put_u16(out, id);
  put_u16(out, 0x8080u | static_cast<std::uint16_t>(code));
  return out + std::string(8, '\0');
}

}  // namespace lateen::cluster::dns
