// The bookstore's processes and its page in Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bookinfo, chromiumPath, eventually, missing, Stack } from "./stack.mjs";

const stack = new Stack();
const skip = missing(bookinfo, chromiumPath);
let url, pages = {};

before(async () => {
  if (skip) return;
  const [ratings, details] = [await stack.port(), await stack.port()];
  stack.start(bookinfo, ["ratings", `--port=${ratings}`]);
  stack.start(bookinfo, ["details", `--port=${details}`]);
  for (const version of ["v1", "v2", "v3"]) {
    const reviews = await stack.port(), page = await stack.port();
    const env = { RATINGS_HOSTNAME: "127.0.0.1", RATINGS_SERVICE_PORT: ratings, DETAILS_HOSTNAME: "127.0.0.1", DETAILS_SERVICE_PORT: details, REVIEWS_HOSTNAME: "127.0.0.1", REVIEWS_SERVICE_PORT: reviews, HOSTNAME: `reviews-${version}-pod` };
    stack.start(bookinfo, ["reviews", `--version=${version}`, `--port=${reviews}`], env);
    stack.start(bookinfo, ["productpage", `--port=${page}`], env);
    pages[version] = `http://127.0.0.1:${page}`;
  }
  url = pages.v3;
  for (const page of Object.values(pages)) await eventually(() => fetch(page + "/productpage").then((r) => r.text()), (t) => t.includes("Reviews served by"), "the page is whole");
}, { timeout: 60000 });
after(() => stack.end());

test("each version of reviews shows its stars", { skip }, async () => {
  const page = await (await stack.browser()).newPage();
  for (const [version, stars, color] of [["v1", 0, null], ["v2", 10, "black"], ["v3", 10, "red"]]) {
    await page.goto(pages[version] + "/productpage");
    assert.equal(await page.title(), "Simple Bookstore App");
    assert.equal(await page.locator(".glyphicon-star, .glyphicon-star-empty").count(), stars, version);
    assert.equal(await page.locator(".glyphicon-star").count(), stars ? 9 : 0, version);
    if (color) assert.equal(await page.locator("font").first().getAttribute("color"), color);
    assert.match(await page.locator("body").innerText(), new RegExp(`reviews-${version}-pod`));
  }
  await page.close();
});

test("signing in and out", { skip }, async () => {
  const page = await (await stack.browser()).newPage();
  await page.goto(url + "/productpage");
  await page.getByRole("button", { name: "Sign in" }).first().click();
  await page.locator("#username").fill("jason");
  await page.locator("dialog button[type=submit]").click();
  await page.waitForSelector("#user");
  assert.equal(await page.locator("#user").innerText(), "jason");
  assert.equal(new URL(page.url()).pathname, "/productpage");
  await page.getByRole("link", { name: "sign out" }).click();
  await page.waitForSelector("#sign-in-button");
  await page.close();
});

test("the page says what is missing", { skip }, async () => {
  const port = await stack.port();
  const nowhere = { DETAILS_HOSTNAME: "127.0.0.1", DETAILS_SERVICE_PORT: "1", REVIEWS_HOSTNAME: "127.0.0.1", REVIEWS_SERVICE_PORT: "1" };
  stack.start(bookinfo, ["productpage", `--port=${port}`], nowhere);
  const body = await eventually(() => fetch(`http://127.0.0.1:${port}/productpage`).then((r) => r.text()), (t) => t.includes("</html>"), "the page");
  assert.match(body, /Error fetching product details!/);
  assert.match(body, /Error fetching product reviews!/);
});
