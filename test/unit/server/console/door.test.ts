import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readPageFiles } from "../../../../src/server/console/page-files.ts";
import { absoluteMs, idleMs } from "../../../../src/server/console/sessions.ts";
import { codeOf, type RunningConsole, type Signed, signedBy, startConsole } from "./running-console.ts";

const json = (value: unknown) => JSON.stringify(value);

/** A small page in a folder of its own, with a file beside it that is no part of it. */
function samplePage(): string {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-page-"));
  mkdirSync(join(folder, "dist/assets"), { recursive: true });
  writeFileSync(join(folder, "secret.js"), "outside");
  writeFileSync(join(folder, "dist/index.html"), "<!doctype html><title>page</title>");
  writeFileSync(join(folder, "dist/assets/index-abc.js"), "1;");
  writeFileSync(join(folder, "dist/assets/index-abc.css"), "a{}");
  return folder;
}

describe("the console's door", () => {
  let folder: string;
  let running: RunningConsole;
  before(async () => {
    folder = samplePage();
    running = await startConsole(join(folder, "dist"));
    await running.admin.keys.create({ alias: "alias/ledger" });
    await running.admin.principals.create({ name: "alice", kind: "user", role: "auditor" });
    await running.admin.principals.create({ name: "carol", kind: "user", role: "administrator" });
    await running.admin.principals.create({ name: "batch", kind: "service", role: "key-user" });
  });
  after(async () => {
    await running?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const local = () => ({
    principal: running.custody.identity.localAdministrator,
    door: "local" as const,
    peer: "test",
    requestId: "test",
  });
  const administrator = async () => running.signIn(await running.code());
  const post = (path: string, body: unknown, signed?: Signed, headers = {}) =>
    running.ask({ method: "POST", path, body: json(body), headers }, signed);

  describe("for files", () => {
    it("gives each its exact content type, with a policy against everything else", async () => {
      for (const [path, type] of [
        ["/", "text/html; charset=utf-8"],
        ["/index.html", "text/html; charset=utf-8"],
        ["/assets/index-abc.js", "text/javascript; charset=utf-8"],
        ["/assets/index-abc.css", "text/css; charset=utf-8"],
      ] as const) {
        const { status, headers } = await running.ask({ path });
        assert.equal(status, 200, path);
        assert.equal(headers["content-type"], type);
        assert.match(String(headers["content-security-policy"]), /^default-src 'none'; script-src 'self'/);
        assert.equal(headers["x-content-type-options"], "nosniff");
        assert.equal(headers["x-frame-options"], "DENY");
        assert.equal(headers["referrer-policy"], "no-referrer");
        assert.match(String(headers["cache-control"]), path.startsWith("/assets/") ? /immutable/ : /^no-cache$/);
      }
    });

    it("answers 304 to who has the same already", async () => {
      const { headers } = await running.ask({ path: "/" });
      const again = await running.ask({ path: "/", headers: { "if-none-match": String(headers.etag) } });
      assert.equal(again.status, 304);
      assert.equal(again.body.length, 0);
      assert.equal((await running.ask({ path: "/", headers: { "if-none-match": '"other"' } })).status, 200);
    });

    it("has no file but those of its table, however the path is written", async () => {
      for (const path of [
        "/../secret.js",
        "/assets/../../secret.js",
        "/..%2fsecret.js",
        "/%2e%2e/secret.js",
        "/assets/%2e%2e/%2e%2e/secret.js",
        "/assets/..\\..\\secret.js",
        "//secret.js",
        "/assets/",
        "/assets",
        "/index.html?x",
        "/index.html/",
        "/INDEX.HTML",
        "/etc/passwd",
        "/__proto__",
        "/constructor",
      ]) {
        const { status, body } = await running.ask({ path });
        assert.equal(status, 404, path);
        assert.ok(!body.includes("outside"), path);
      }
      assert.equal((await running.ask({ path: "/", method: "POST", body: "" })).status, 405);
    });

    it("answers under the names of its certificate only", async () => {
      for (const path of ["/", "/api/session"]) {
        const reply = await running.ask({ path, headers: { host: "127.0.0.1:12345678" } });
        assert.equal(reply.status, 421, path);
      }
    });

    it("is not begun with a page that is missing, or that holds something else", () => {
      assert.throws(() => readPageFiles(join(folder, "nowhere")), { code: "CONSOLE_NOT_BUILT" });
      assert.throws(() => readPageFiles(join(folder, "dist/assets")), { code: "CONSOLE_NOT_BUILT" });
      const other = mkdtempSync(join(tmpdir(), "strongroom-page-"));
      writeFileSync(join(other, "index.html"), "");
      writeFileSync(join(other, "notes.txt"), "");
      assert.throws(() => readPageFiles(other), { code: "CONSOLE_NOT_BUILT" });
      rmSync(other, { recursive: true });
    });
  });

  describe("for sign-in", () => {
    it("takes a code once and puts who came on record", async () => {
      const code = await running.code("alice");
      const signed = await running.signIn(code);
      const session = JSON.parse((await running.ask({ path: "/api/session" }, signed)).body.toString());
      assert.match(session.principal, /:user\/alice$/);
      const again = await running.ask({ method: "POST", path: "/api/sign-in/code", body: code });
      assert.equal(again.status, 401);
      assert.equal(codeOf(again), "SIGN_IN_REFUSED");
      assert.equal(again.headers["set-cookie"], undefined);
      const [record] = await running.records("strongroom:ConsoleSignIn");
      assert.equal(record?.door, "console");
      assert.match(record?.principal ?? "", /:user\/alice$/);
    });

    it("refuses a code from another site's page before looking at it", async () => {
      const code = await running.code("alice");
      for (const headers of [
        { origin: "https://evil.example" },
        { origin: "null" },
        { "sec-fetch-site": "cross-site" },
      ]) {
        const reply = await running.ask({ method: "POST", path: "/api/sign-in/code", body: code, headers });
        assert.equal(codeOf(reply), "CROSS_SITE");
      }
      await running.signIn(code);
    });

    it("makes no code for services, nodes, nobody, or a user who is disabled", async () => {
      await running.admin.principals.create({ name: "gone", kind: "user", role: "auditor" });
      await running.admin.principals.disable("gone");
      for (const name of ["batch", "nobody", "gone"]) await assert.rejects(running.code(name), name);
    });

    it("refuses the code of a user who was disabled after it was made", async () => {
      await running.admin.principals.create({ name: "late", kind: "user", role: "auditor" });
      const code = await running.code("late");
      await running.admin.principals.disable("late");
      assert.equal(
        codeOf(await running.ask({ method: "POST", path: "/api/sign-in/code", body: code })),
        "SIGN_IN_REFUSED",
      );
    });

    it("refuses the code of a user who was disabled and enabled again, or replaced by another of that name", async () => {
      for (const restore of [
        async () => {
          await running.admin.principals.disable("again");
          await running.admin.principals.enable("again");
        },
        async () => {
          await running.custody.users.delete(local(), "again");
          await running.admin.principals.create({ name: "again", kind: "user", role: "administrator" });
        },
      ]) {
        const known = await running.admin.principals.list();
        if (!known.some(({ name }) => name === "again"))
          await running.admin.principals.create({ name: "again", kind: "user", role: "auditor" });
        const code = await running.code("again");
        await restore();
        const reply = await running.ask({ method: "POST", path: "/api/sign-in/code", body: code });
        assert.equal(codeOf(reply), "SIGN_IN_REFUSED");
      }
    });

    it("ends a certificate's session when another certificate takes its place", async () => {
      await running.admin.principals.create({ name: "renee", kind: "user", role: "auditor" });
      const certificate = await running.certificateFor("renee");
      const path = "/api/sign-in/certificate";
      const signed = signedBy(await running.ask({ method: "POST", path, body: "", certificate }));
      assert.equal((await running.ask({ path: "/api/keys/list" }, { ...signed, certificate })).status, 200);
      await running.certificateFor("renee");
      const reply = await running.ask({ path: "/api/keys/list" }, { ...signed, certificate });
      assert.equal(codeOf(reply), "SESSION_ENDED");
    });

    it("takes the certificate of a user, and that session only beside it", async () => {
      const certificate = await running.certificateFor("carol");
      const reply = await running.ask({ method: "POST", path: "/api/sign-in/certificate", body: "", certificate });
      assert.equal(reply.status, 200, reply.body.toString());
      const signed = signedBy(reply);
      assert.equal((await running.ask({ path: "/api/keys/list", certificate }, signed)).status, 200);
      assert.equal(codeOf(await running.ask({ path: "/api/keys/list" }, signed)), "SESSION_ENDED");
      const other = await running.certificateFor("alice");
      assert.equal(codeOf(await running.ask({ path: "/api/keys/list", certificate: other }, signed)), "SESSION_ENDED");
    });

    it("refuses the certificate of a service or node, and none at all", async () => {
      const path = "/api/sign-in/certificate";
      assert.equal(codeOf(await running.ask({ method: "POST", path, body: "" })), "SIGN_IN_REFUSED");
      for (const name of ["batch", "node-1"]) {
        const certificate = await running.certificateFor(name);
        assert.equal(
          codeOf(await running.ask({ method: "POST", path, body: "", certificate })),
          "SIGN_IN_REFUSED",
          name,
        );
      }
    });

    it("ends at sign-out, and tells the browser to forget the cookie", async () => {
      const signed = await administrator();
      const reply = await running.ask({ method: "POST", path: "/api/sign-out", body: "" }, signed);
      assert.equal(reply.status, 204);
      assert.match(reply.headers["set-cookie"]?.[0] ?? "", /^__Host-strongroom=; Max-Age=0;/);
      assert.equal(codeOf(await running.ask({ path: "/api/session" }, signed)), "SESSION_ENDED");
    });
  });

  describe("for data", () => {
    it("does everything as the session's principal, on record under its door", async () => {
      const signed = await administrator();
      const reply = await post("/api/keys/disable", { key: "alias/ledger" }, signed);
      assert.equal(reply.status, 200, reply.body.toString());
      const [record] = await running.records("kms:DisableKey");
      assert.equal(record?.door, "console");
      assert.equal(record?.principal, running.custody.identity.localAdministrator);
      await post("/api/keys/enable", { key: "alias/ledger" }, signed);
    });

    it("has no rules of its own: an auditor reads and changes nothing", async () => {
      const signed = await running.signIn(await running.code("alice"));
      assert.equal((await running.ask({ path: "/api/keys/list" }, signed)).status, 200);
      assert.equal((await running.ask({ path: "/api/nodes/view" }, signed)).status, 200);
      assert.equal((await post("/api/audit/verify", {}, signed)).status, 200);
      for (const [path, body] of [
        ["/api/keys/disable", { key: "alias/ledger" }],
        ["/api/principals/disable", { name: "carol" }],
        ["/api/grants/revoke", { key: "alias/ledger", grantId: "x" }],
      ] as const)
        assert.equal(codeOf(await post(path, body, signed)), "ACCESS_DENIED", path);
    });

    it("is refused without a session, with another's cookie form, and with a made-up one", async () => {
      for (const cookie of ["", `__Host-strongroom=${"A".repeat(43)}`, "__Host-strongroom=x", "other=1"]) {
        const reply = await running.ask({ path: "/api/keys/list", headers: { cookie } });
        assert.equal(reply.status, 401);
        assert.equal(codeOf(reply), "SESSION_ENDED");
      }
    });

    it("changes nothing without the token, the origin, or from another site", async () => {
      const signed = await administrator();
      const other = await administrator();
      const body = { key: "alias/ledger" };
      for (const [headers, session] of [
        [{ "strongroom-csrf": "" }, signed],
        [{ "strongroom-csrf": other.token }, signed],
        [{ "strongroom-csrf": `${signed.token}x` }, signed],
        [{ origin: "https://evil.example" }, signed],
        [{ origin: "null" }, signed],
        [{ "sec-fetch-site": "same-site" }, signed],
        [{ "sec-fetch-site": "cross-site" }, signed],
      ] as const) {
        const reply = await post("/api/keys/disable", body, session, headers);
        assert.equal(reply.status, 403, json(headers));
        assert.equal(codeOf(reply), "CROSS_SITE");
      }
      assert.equal((await running.admin.keys.describe("alias/ledger")).state, "enabled");
    });

    it("ends for a user who is disabled with the next request, and stays ended when she is enabled", async () => {
      await running.admin.principals.create({ name: "dora", kind: "user", role: "administrator" });
      const signed = await running.signIn(await running.code("dora"));
      assert.equal((await running.ask({ path: "/api/keys/list" }, signed)).status, 200);
      await running.admin.principals.disable("dora");
      await running.admin.principals.enable("dora");
      assert.equal(codeOf(await running.ask({ path: "/api/keys/list" }, signed)), "SESSION_ENDED");
    });

    it("ends after 15 idle minutes; what an open page asks by itself is no use", async () => {
      const signed = await administrator();
      running.clock.offsetMs += idleMs - 60_000;
      assert.equal((await running.ask({ path: "/api/session" }, signed)).status, 200);
      running.clock.offsetMs += 61_000;
      assert.equal(codeOf(await running.ask({ path: "/api/session" }, signed)), "SESSION_ENDED");
    });

    it("ends after 8 hours of use", async () => {
      const signed = await administrator();
      const steps = absoluteMs / (idleMs / 2);
      for (let step = 1; step < steps; step++) {
        running.clock.offsetMs += idleMs / 2;
        assert.equal((await running.ask({ path: "/api/integrations/list" }, signed)).status, 200);
      }
      running.clock.offsetMs += idleMs / 2;
      assert.equal(codeOf(await running.ask({ path: "/api/integrations/list" }, signed)), "SESSION_ENDED");
    });

    it("is not given for paths, methods and bodies that are none of its own", async () => {
      const signed = await administrator();
      for (const path of [
        "/api/",
        "/api/keys",
        "/api/keys/destroy",
        "/api/unwrap",
        "/api/nodes/create-token",
        "/v1/whoami",
      ])
        assert.equal((await running.ask({ path }, signed)).status, 404, path);
      assert.equal((await running.ask({ path: "/api/keys/disable" }, signed)).status, 405);
      assert.equal((await post("/api/keys/list", {}, signed)).status, 405);
      for (const body of ['{"key":1}', '{"key":"a","more":1}', "{", '{"__proto__":{}}', "[]"]) {
        const reply = await running.ask({ method: "POST", path: "/api/keys/disable", body }, signed);
        assert.equal(reply.status, 400, body);
      }
      const text = { method: "POST", path: "/api/keys/disable", body: "{}", headers: { "content-type": "text/plain" } };
      assert.equal((await running.ask(text, signed)).status, 415);
      assert.deepEqual(running.log, []);
    });

    it("keeps an integration whose secret is never told again", async () => {
      const signed = await administrator();
      const fields = { name: "bank-a", region: "eu-west-1", apiKey: "AKIAIOSFODNN7EXAMPLE", masterKey: "alias/ledger" };
      const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
      const headers = {
        "content-type": "application/octet-stream",
        "strongroom-input": Buffer.from(json(fields)).toString("base64"),
      };
      const path = "/api/integrations/create";
      const withoutSecret = await running.ask({ method: "POST", path, headers }, signed);
      assert.equal(withoutSecret.status, 400);
      const made = await running.ask({ method: "POST", path, headers, body: secret }, signed);
      assert.equal(made.status, 200, made.body.toString());
      const list = (await running.ask({ path: "/api/integrations/list" }, signed)).body.toString();
      assert.equal(JSON.parse(list).available, true);
      assert.match(list, /"apiKey":"AKIAIOSFODNN7EXAMPLE"/);
      for (const answer of [made.body.toString(), list]) assert.ok(!answer.includes(secret));
      assert.equal((await post("/api/integrations/delete", { name: "bank-a" }, signed)).status, 204);
    });
  });

  it("has none of the native door's operations, the making of codes among them", async () => {
    for (const path of ["/v1/console/create-code", "/v1/keys/list"])
      assert.equal((await running.ask({ method: "POST", path, body: "{}" })).status, 405, path);
    const signed = await administrator();
    const reply = await post("/api/console/create-code", {}, signed);
    assert.equal(reply.status, 404);
  });

  it("slows down who guesses codes, and lets in who waits", async () => {
    const wrong = () => running.ask({ method: "POST", path: "/api/sign-in/code", body: "0000-0000-0000" });
    const statuses: number[] = [];
    for (let count = 0; count < 14; count++) statuses.push((await wrong()).status);
    assert.ok(statuses.includes(429), String(statuses));
    const code = await running.code();
    assert.equal((await running.ask({ method: "POST", path: "/api/sign-in/code", body: code })).status, 429);
    running.clock.offsetMs += 60_000;
    await running.signIn(code);
  });
});
