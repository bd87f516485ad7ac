// WasmPlugins: filters whose modules come by extension discovery (ECDS), placed by their phase.
#pragma once

#include <functional>

#include "discovery/generate/telemetry.h"

namespace google::protobuf {
class Message;
}

namespace lateen::discovery {

using WasmPhase = mesh::WasmPlugin::Phase;

// Adds the HTTP plugins of that phase for this side and port (0: any).
void add_wasm(const View& view, Side side, int port, WasmPhase phase, HttpConnectionManager& out);
// The ECDS resource called `name`; false when it is no plugin's.
bool make_wasm_extension(const View& view, const std::string& name,
                         const std::function<void(const google::protobuf::Message&)>& serve);

}  // namespace lateen::discovery
