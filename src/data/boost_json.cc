// Boost.JSON's own code, compiled once here instead of linking its shared library.
#include <boost/json/src.hpp>
