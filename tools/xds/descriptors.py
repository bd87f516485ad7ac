"""Turns the Python gencode of a protobuf wheel into one FileDescriptorSet, with nothing but the standard library."""

import ast
import fnmatch
import zipfile


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def _fields(message):
    """(field number, bytes) of the length-delimited fields of an encoded message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(message, at)
            yield tag >> 3, message[at:at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            raise ValueError(f"unexpected wire type {kind} in a file descriptor")


def _encode_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def descriptor_set(encoded_files):
    """A FileDescriptorSet (field 1, repeated) of encoded FileDescriptorProtos."""
    return b"".join(b"\x0a" + _encode_varint(len(one)) + one for one in encoded_files)


def files_of_set(encoded_set):
    """name -> encoded FileDescriptorProto."""
    return {name_of(one): one for number, one in _fields(encoded_set) if number == 1}


def name_of(encoded_file):
    return next(value for number, value in _fields(encoded_file) if number == 1).decode()


def imports_of(encoded_file):
    return [value.decode() for number, value in _fields(encoded_file) if number == 3]


def files_of_wheel(path):
    """name -> encoded FileDescriptorProto, from every *_pb2.py of the wheel."""
    files = {}
    with zipfile.ZipFile(path) as wheel:
        for member in wheel.namelist():
            if not member.endswith("_pb2.py"):
                continue
            for node in ast.walk(ast.parse(wheel.read(member))):
                if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                        and node.func.attr == "AddSerializedFile" and isinstance(node.args[0], ast.Constant)):
                    files[name_of(node.args[0].value)] = node.args[0].value
    return files


def closure(files, patterns):
    """Names that match the patterns and all they import, imports first."""
    order, seen = [], set()

    def visit(name, wanted_by):
        if name in seen:
            return
        seen.add(name)
        if name not in files:
            raise SystemExit(f"{name} (wanted by {wanted_by}) is not in the package")
        for other in imports_of(files[name]):
            visit(other, name)
        order.append(name)

    for pattern in patterns:
        matches = sorted(name for name in files if fnmatch.fnmatchcase(name, pattern) and
                         name.count("/") == pattern.count("/"))
        if not matches:
            raise SystemExit(f"tools/xds/files.txt: nothing in the package matches '{pattern}'")
        for name in matches:
            visit(name, "files.txt")
    return order
