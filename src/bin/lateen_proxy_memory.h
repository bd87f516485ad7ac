// Memory of the proxy's process; operator new and delete are replaced by linking this in.
#pragma once

// Has OpenSSL take its memory where operator new does, and malloc keep more of what is freed.
// Before anything of OpenSSL's runs.
void set_up_memory();
