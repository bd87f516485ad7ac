// What a process can give back once its start, or a change of its configuration, is over.
#pragma once

namespace lateen {

// Unmaps the pages of code and constants of the program and its libraries, and returns free heap to
// the kernel. Pages that are needed again come back from the page cache at a minor fault each (16
// pages at a time): worth it for a process whose steady state runs a fraction of the code that its
// start does. Thread-safe; takes some hundred microseconds, more with a large heap.
void release_unused_pages();

}  // namespace lateen
