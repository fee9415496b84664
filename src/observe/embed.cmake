# cmake -DOUTPUT=x.cpp -DFUNCTION=web_page -DFOLDER=dir -DFILES=a,b -P embed.cmake
#
# Writes a C++ source with the contents of the files, whose paths are below the folder.

string(REPLACE "," ";" FILES "${FILES}")
set(data "")
set(table "")
set(count 0)
foreach(file IN LISTS FILES)
  file(READ "${FOLDER}/${file}" hex HEX)
  file(SHA256 "${FOLDER}/${file}" hash)
  string(SUBSTRING "${hash}" 0 16 hash)
  string(LENGTH "${hex}" length)
  math(EXPR length "${length} / 2")
  string(REGEX REPLACE "(..)" "\\\\x\\1" hex "${hex}")
  string(APPEND data "constexpr char kFile${count}[] = \"${hex}\";\n")
  string(APPEND table "    Asset{\"/${file}\", \"\\\"${hash}\\\"\", {kFile${count}, ${length}}},\n")
  math(EXPR count "${count} + 1")
endforeach()

file(WRITE "${OUTPUT}" "// Written by embed.cmake.
#include <array>

#include \"observe/assets.hpp\"

namespace vase::observe {
namespace {

${data}
constexpr std::array<Asset, ${count}> kFiles = {
${table}};

}  // namespace

std::span<const Asset> ${FUNCTION}() { return kFiles; }

}  // namespace vase::observe
")
