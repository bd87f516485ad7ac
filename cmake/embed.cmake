# Files that the programs carry: changes to them (or new ones) rebuild one object file.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
enable_language(ASM)
file(GLOB_RECURSE embedded_inputs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/charts/* ${CMAKE_SOURCE_DIR}/samples/* ${CMAKE_SOURCE_DIR}/web/dist/*)
set(embedded_asm ${CMAKE_BINARY_DIR}/embedded.S)
add_custom_command(OUTPUT ${embedded_asm}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/embed.py ${embedded_asm} ${CMAKE_SOURCE_DIR} charts samples web/dist
  DEPENDS ${CMAKE_SOURCE_DIR}/tools/embed.py ${embedded_inputs} VERBATIM)
add_library(lateen_embedded STATIC ${CMAKE_SOURCE_DIR}/src/embedded/embedded.cc ${embedded_asm})
