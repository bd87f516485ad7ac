// Status codes: reason phrases, and the status that stands for an Error.
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace lateen::http {

// "Not Found" for 404; "" for codes without a registered phrase.
std::string_view reason_phrase(int status);

// 4xx or 5xx by code and blame: an upstream's failure is 502/503/504, the client's 4xx, ours
// 500/503.
int status_of(const Error& error);

// A text/plain response with the error's status and message.
Response error_response(Arena& arena, const Error& error);

// Whether a response with `status` to `method` has no body by definition (RFC 9110 §6.4.1).
bool is_bodiless(std::string_view method, int status);

}  // namespace lateen::http
