# VASE_CACHE_FOLDER: where scripts/ put what they fetch and build.

if(NOT "$ENV{VASE_CACHE}" STREQUAL "")
  set(VASE_CACHE_FOLDER "$ENV{VASE_CACHE}")
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(VASE_CACHE_FOLDER "$ENV{XDG_CACHE_HOME}/vase")
else()
  set(VASE_CACHE_FOLDER "$ENV{HOME}/.cache/vase")
endif()
