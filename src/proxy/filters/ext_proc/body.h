// Bodies that a processor looks at while they pass. Private to this folder.
#pragma once

#include "proxy/filters/ext_proc/session.h"

namespace lateen::proxy {

using ProcSessionRef = std::shared_ptr<ProcSession>;

// `is_request`: of which direction. `mode`: kNone shows only the trailers.
http::Body processed_body(ProcSessionRef session, http::Body body, ProcModes::Body mode,
                          bool are_trailers_sent, bool is_request);

}  // namespace lateen::proxy
