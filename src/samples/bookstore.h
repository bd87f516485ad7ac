// The bookstore's four services. Each answers on one loop and outlives the server that calls it.
#pragma once

#include <memory>

#include "http/message.h"
#include "samples/fetcher.h"
#include "samples/settings.h"

namespace lateen::samples {

// GET /details/ID, /health. v2 asks an outside book service first.
std::unique_ptr<http::Service> make_details(const Settings& settings, Fetcher& fetcher);
// GET and POST /ratings/ID, /health. The versions v-faulty, v-delayed, v-unavailable and
// v-unhealthy misbehave on purpose.
std::unique_ptr<http::Service> make_ratings(const Settings& settings);
// GET /reviews/ID, /health; asks ratings when the version has them.
std::unique_ptr<http::Service> make_reviews(const Settings& settings, Fetcher& fetcher);
// The pages, the login and /api/v1/products….
std::unique_ptr<http::Service> make_productpage(const Settings& settings, Fetcher& fetcher);

// GET /hello, /health.
std::unique_ptr<http::Service> make_helloworld(const Settings& settings);
// The request mirror that httpbin.org made known.
std::unique_ptr<http::Service> make_httpbin();

}  // namespace lateen::samples
