// The first mapper whose filter passes is the one; the format of all answers comes last.

#include "proxy/http/local_replies.h"

#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "proxy/stream/stream_info.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {

Result<std::shared_ptr<const BodyFormat>> BodyFormat::compile(
    const envoy::config::core::v3::SubstitutionFormatString& config) {
  auto made = std::make_shared<BodyFormat>();
  const bool is_omitting = config.omit_empty_values();
  if (config.has_json_format()) {
    made->json_ = TRY(JsonFormat::compile(xds::struct_to_json(config.json_format()), is_omitting));
    made->content_type_ = "application/json";
  } else {
    std::string text = config.text_format();
    if (config.has_text_format_source()) text = TRY(xds::read_data(config.text_format_source()));
    made->text_ = TRY(Formatter::compile(text, is_omitting));
    made->content_type_ = "text/plain";
  }
  if (!config.content_type().empty()) made->content_type_ = config.content_type();
  return std::shared_ptr<const BodyFormat>(std::move(made));
}

std::string BodyFormat::body(const StreamInfo& info) const {
  if (text_) return text_->format(info);
  std::string out;
  json_->append(info, out);
  return out + "\n";
}

Result<std::shared_ptr<const LocalReplies>> LocalReplies::compile(
    const envoy::extensions::filters::network::http_connection_manager::v3::LocalReplyConfig&
        config) {
  auto made = std::make_shared<LocalReplies>();
  for (const auto& one : config.mappers()) {
    Mapper mapper;
    mapper.filter = TRY(compile_log_filter(one.filter()).at("mapper"));
    if (one.has_status_code()) mapper.status = static_cast<int>(one.status_code().value());
    if (one.has_body()) mapper.body = TRY(xds::read_data(one.body()));
    if (one.has_body_format_override())
      mapper.format = TRY(BodyFormat::compile(one.body_format_override()));
    mapper.headers = TRY(HeaderOps::compile(one.headers_to_add(), {}));
    made->mappers_.push_back(std::move(mapper));
  }
  if (config.has_body_format()) made->format_ = TRY(BodyFormat::compile(config.body_format()));
  return std::shared_ptr<const LocalReplies>(std::move(made));
}

void LocalReplies::apply(StreamInfo& info, Reply& reply) const {
  info.status = reply.status;
  const BodyFormat* format = format_.get();
  for (const Mapper& mapper : mappers_) {
    if (!mapper.filter(info)) continue;
    if (mapper.body) reply.body = *mapper.body;
    if (mapper.status) info.status = reply.status = *mapper.status;
    if (mapper.format != nullptr) format = mapper.format.get();
    reply.headers = &mapper.headers;
    break;
  }
  if (format == nullptr) return;
  info.local_body = reply.body;
  reply.body = format->body(info);
  reply.content_type = format->content_type();
  info.local_body.clear();
}

}  // namespace lateen::proxy
