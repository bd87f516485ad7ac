# Envoy's API as a library: lateen_xds_api. It is built once for the machine, in the cache folder that tools/xds/build.py
# names, not in the tree: three minutes that a second build folder does not pay again. Our own few messages
# (src/xds/proto/) are small and compile in the build folder. LATEEN_XDS_LIBS is what lateen_xds links.
find_program(PROTOC protoc REQUIRED)
set(xds_tool ${CMAKE_SOURCE_DIR}/tools/xds/build.py)
execute_process(COMMAND ${Python3_EXECUTABLE} ${xds_tool} --print-dir OUTPUT_VARIABLE LATEEN_XDS_DIR
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${xds_tool} ${CMAKE_SOURCE_DIR}/tools/xds/descriptors.py
  ${CMAKE_SOURCE_DIR}/tools/xds/files.txt ${CMAKE_SOURCE_DIR}/tools/xds/requirements.txt)

set(xds_api ${LATEEN_XDS_DIR}/lib/libxds_api.a)
add_custom_command(OUTPUT ${xds_api} COMMAND ${Python3_EXECUTABLE} ${xds_tool} USES_TERMINAL VERBATIM)
add_custom_target(lateen_xds_api_build DEPENDS ${xds_api})

# Static protobuf when Debian's libprotobuf.a is there: no relocations at start, and only what is used is linked.
find_library(PROTOBUF_LIBRARY NAMES libprotobuf.a protobuf REQUIRED)
find_package(ZLIB REQUIRED)

set(xds_proto_out ${CMAKE_BINARY_DIR}/xds_proto)
file(MAKE_DIRECTORY ${xds_proto_out})
file(GLOB_RECURSE xds_protos CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/src/xds/proto ${CMAKE_SOURCE_DIR}/src/xds/proto/*.proto)
foreach(proto ${xds_protos})
  string(REGEX REPLACE "\\.proto$" "" stem ${proto})
  set(made ${xds_proto_out}/${stem}.pb.cc ${xds_proto_out}/${stem}.pb.h)
  add_custom_command(OUTPUT ${made}
    COMMAND ${PROTOC} -I${CMAKE_SOURCE_DIR}/src/xds/proto -I/usr/include --cpp_out=${xds_proto_out} ${proto}
    DEPENDS ${CMAKE_SOURCE_DIR}/src/xds/proto/${proto} VERBATIM)
  list(APPEND xds_proto_sources ${made})
endforeach()
add_library(lateen_xds_proto STATIC ${xds_proto_sources})
target_include_directories(lateen_xds_proto SYSTEM PUBLIC ${xds_proto_out})
target_compile_options(lateen_xds_proto PRIVATE -w -O1)
if(LATEEN_SANITIZE)
  target_compile_options(lateen_xds_proto PRIVATE -fno-sanitize=all)  # protoc's code, not ours
endif()
target_link_libraries(lateen_xds_proto PUBLIC ${PROTOBUF_LIBRARY} ZLIB::ZLIB Threads::Threads)

add_library(lateen_xds_api INTERFACE)
add_dependencies(lateen_xds_api lateen_xds_api_build lateen_xds_proto)
target_include_directories(lateen_xds_api SYSTEM INTERFACE ${LATEEN_XDS_DIR}/include)
target_link_libraries(lateen_xds_api INTERFACE lateen_xds_proto ${xds_api} ${PROTOBUF_LIBRARY} ZLIB::ZLIB)
# Types come in through Any, by name: the file of each is pulled out of the archive whether code names it or not.
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/xds/files.txt xds_roots REGEX "^[a-z][a-z0-9_/]*\\.proto$")
foreach(root ${xds_roots})
  string(REPLACE "_" "_5f" symbol ${root})
  string(REPLACE "/" "_2f" symbol ${symbol})
  string(REPLACE "." "_2e" symbol ${symbol})
  target_link_options(lateen_xds_api INTERFACE -Wl,-u,descriptor_table_${symbol})
endforeach()
# The proxy runs this one without reading its fields, but shows them.
target_link_options(lateen_xds_api INTERFACE -Wl,-u,descriptor_table_istio_2fmetadata_5fexchange_2eproto)
target_compile_options(lateen_xds_api INTERFACE -Wno-deprecated-declarations)  # We read fields that old control planes still send.
set(LATEEN_XDS_LIBS lateen_xds_api)

# What only the data plane's filters read of Envoy's API: a small library beside it, made the same way.
set(xds_filters_tool ${CMAKE_SOURCE_DIR}/tools/xds/filters.py)
execute_process(COMMAND ${Python3_EXECUTABLE} ${xds_filters_tool} --print-dir OUTPUT_VARIABLE LATEEN_XDS_FILTERS_DIR
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${xds_filters_tool} ${CMAKE_SOURCE_DIR}/tools/xds/filters.txt)
set(xds_filters_api ${LATEEN_XDS_FILTERS_DIR}/lib/libxds_filters.a)
add_custom_command(OUTPUT ${xds_filters_api} COMMAND ${Python3_EXECUTABLE} ${xds_filters_tool} USES_TERMINAL VERBATIM)
add_custom_target(lateen_xds_filters_build DEPENDS ${xds_filters_api})
add_dependencies(lateen_xds_filters_build lateen_xds_api_build)
add_library(lateen_xds_filters INTERFACE)
add_dependencies(lateen_xds_filters lateen_xds_filters_build)
target_include_directories(lateen_xds_filters SYSTEM INTERFACE ${LATEEN_XDS_FILTERS_DIR}/include)
target_link_libraries(lateen_xds_filters INTERFACE ${xds_filters_api} lateen_xds_api)
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/xds/filters.txt xds_filter_roots REGEX "^[a-z][a-z0-9_/]*\\.proto$")
foreach(root ${xds_filter_roots})
  string(REPLACE "_" "_5f" symbol ${root})
  string(REPLACE "/" "_2f" symbol ${symbol})
  string(REPLACE "." "_2e" symbol ${symbol})
  target_link_options(lateen_xds_filters INTERFACE -Wl,-u,descriptor_table_${symbol})
endforeach()
