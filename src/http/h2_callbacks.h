// nghttp2's callbacks for a Session.
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2_session.h"

namespace lateen::http::h2 {

// Static members so that they may be friends of Session. `user_data` is the Session.
struct Callbacks {
  static nghttp2_session* make_session(Session& session, bool is_server);
  static ssize_t read_outgoing(nghttp2_session*, std::int32_t id, std::uint8_t* to,
                               std::size_t length, std::uint32_t* flags, nghttp2_data_source*,
                               void* user_data);

 private:
  static bool is_costly(Session& session, const nghttp2_frame_hd& head);
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd*, void*);
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame*, void*);
  static int on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                       std::size_t name_length, const std::uint8_t* value, std::size_t value_length,
                       std::uint8_t flags, void*);
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*,
                               std::size_t, const std::uint8_t*, std::size_t, std::uint8_t, void*);
  static int on_frame(nghttp2_session*, const nghttp2_frame*, void*);
  static int on_data(nghttp2_session*, std::uint8_t flags, std::int32_t id,
                     const std::uint8_t* data, std::size_t length, void*);
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t error_code, void*);
  static int on_frame_sent(nghttp2_session*, const nghttp2_frame*, void*);
  static int send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_head,
                       std::size_t length, nghttp2_data_source*, void*);
};

// An nghttp2 name-value list that views `fields`; what HTTP/2 forbids or cannot carry is left out.
class FieldList {
 public:
  void add(std::string_view name, std::string_view value);
  void add_all(const Headers& fields);
  const nghttp2_nv* data() const { return list_.data(); }
  std::size_t size() const { return list_.size(); }
  bool has_date() const { return has_date_; }
  bool has_server() const { return has_server_; }
  bool has_length() const { return has_length_; }

 private:
  std::vector<nghttp2_nv> list_;
  bool has_date_ = false;
  bool has_server_ = false;
  bool has_length_ = false;
};

}  // namespace lateen::http::h2
