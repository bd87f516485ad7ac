// Subcommands of the `lateen` program. Each lives in its own file, lateen_NAME.cc, and only wires.
#pragma once

namespace lateen::bin {

// argv[0] is the subcommand's own name. Returns the process's exit status.
using Command = int (*)(int argc, char** argv);

}  // namespace lateen::bin
