import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  absoluteMs,
  carriesToken,
  idFromCookies,
  idleMs,
  Sessions,
  sessionCookie,
} from "../../../../src/server/console/sessions.ts";

const alice = "arn:aws:iam::123456789012:user/alice";

function sessionsAt() {
  const clock = { nowMs: 5000 };
  const revoked = new Set<string>();
  const sessions = new Sessions({ isEnabled: (principal) => !revoked.has(principal), nowMs: () => clock.nowMs });
  return { clock, revoked, sessions };
}

describe("sessions of the console", () => {
  it("are found by an id of 256 random bits, each with a token of its own", () => {
    const { sessions } = sessionsAt();
    const [one, other] = [sessions.begin(alice), sessions.begin(alice)];
    assert.match(one.id, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual(one.id, other.id);
    assert.notEqual(one.session.csrfToken, other.session.csrfToken);
    assert.equal(sessions.find(one.id, undefined)?.principal, alice);
    assert.equal(sessions.find(`${one.id.slice(0, -1)}_`, undefined), undefined);
    assert.equal(sessions.find("", undefined), undefined);
  });

  it("end after 15 minutes without a request", () => {
    const { clock, sessions } = sessionsAt();
    const { id } = sessions.begin(alice);
    clock.nowMs += idleMs - 1;
    assert.ok(sessions.find(id, undefined));
    clock.nowMs += idleMs;
    assert.equal(sessions.find(id, undefined), undefined);
    clock.nowMs -= idleMs;
    assert.equal(sessions.find(id, undefined), undefined, "one that has ended does not come back");
  });

  it("are not kept from going idle by a look that is no use", () => {
    const { clock, sessions } = sessionsAt();
    const { id } = sessions.begin(alice);
    clock.nowMs += idleMs - 1;
    assert.ok(sessions.find(id, undefined, false));
    clock.nowMs += 1;
    assert.equal(sessions.find(id, undefined, false), undefined);
  });

  it("end after 8 hours whatever is done with them", () => {
    const { clock, sessions } = sessionsAt();
    const { id } = sessions.begin(alice);
    const endMs = clock.nowMs + absoluteMs;
    for (; clock.nowMs < endMs; clock.nowMs += idleMs / 2) assert.ok(sessions.find(id, undefined));
    clock.nowMs = endMs;
    assert.equal(sessions.find(id, undefined), undefined);
  });

  it("end as soon as the principal is revoked, and do not come back with it", () => {
    const { revoked, sessions } = sessionsAt();
    const { id } = sessions.begin(alice);
    revoked.add(alice);
    assert.equal(sessions.find(id, undefined), undefined);
    revoked.delete(alice);
    assert.equal(sessions.find(id, undefined), undefined);
  });

  it("of a principal that was revoked and restored between two requests end too", () => {
    const { revoked, sessions } = sessionsAt();
    const { id } = sessions.begin(alice);
    revoked.add(alice);
    sessions.endOfRevoked();
    revoked.delete(alice);
    assert.equal(sessions.find(id, undefined), undefined);
    assert.equal(sessions.size, 0);
  });

  it("that began with a certificate hold only beside that certificate", () => {
    const { sessions } = sessionsAt();
    const { id } = sessions.begin(alice, "aa".repeat(32));
    assert.ok(sessions.find(id, "aa".repeat(32)));
    assert.equal(sessions.find(id, "bb".repeat(32)), undefined);
    assert.equal(sessions.find(id, undefined), undefined);
  });

  it("end with the certificate they began with, also where the browser still shows it", () => {
    const keys = new Set(["aa".repeat(32)]);
    const sessions = new Sessions({ isEnabled: (_, spki) => spki === undefined || keys.has(spki) });
    const { id } = sessions.begin(alice, "aa".repeat(32));
    const byCode = sessions.begin(alice);
    assert.ok(sessions.find(id, "aa".repeat(32)));
    keys.clear();
    assert.equal(sessions.find(id, "aa".repeat(32)), undefined);
    assert.ok(sessions.find(byCode.id, undefined));
  });

  it("are at most eight of one principal: the one unused for longest ends", () => {
    const { clock, sessions } = sessionsAt();
    const begun = Array.from({ length: 8 }, () => {
      clock.nowMs += 1;
      return sessions.begin(alice).id;
    });
    assert.ok(sessions.find(begun[0] ?? "", undefined));
    sessions.begin(alice);
    clock.nowMs += 1;
    assert.ok(sessions.find(begun[0] ?? "", undefined), "it was used last");
    assert.equal(sessions.find(begun[1] ?? "", undefined), undefined);
  });

  it("are kept in bounded memory, whoever signs in", () => {
    const { sessions } = sessionsAt();
    for (let index = 0; index < 1000; index++) sessions.begin(`${alice}${index}`);
    assert.equal(sessions.size, 128);
  });

  it("end at sign-out", () => {
    const { sessions } = sessionsAt();
    const { id } = sessions.begin(alice);
    sessions.end(id);
    assert.equal(sessions.find(id, undefined), undefined);
  });

  it("take the token of the session itself and nothing else", () => {
    const { sessions } = sessionsAt();
    const { session } = sessions.begin(alice);
    const { session: other } = sessions.begin(alice);
    assert.ok(carriesToken(session, session.csrfToken));
    for (const given of [undefined, "", other.csrfToken, `${session.csrfToken} `, session.csrfToken.slice(1)])
      assert.equal(carriesToken(session, given), false);
  });
});

describe("the session cookie", () => {
  it("is bound to the host, out of reach of scripts, and not sent from other sites", () => {
    assert.equal(sessionCookie("x"), "__Host-strongroom=x; Path=/; Secure; HttpOnly; SameSite=Strict");
    assert.match(sessionCookie(undefined), /^__Host-strongroom=; Max-Age=0; /);
  });

  it("is read from among others, and not when there are two or its form is wrong", () => {
    const id = "A".repeat(43);
    assert.equal(idFromCookies(`a=1; __Host-strongroom=${id}; b=2`), id);
    for (const header of [
      undefined,
      "",
      "a=1",
      `__Host-strongroom=${id}; __Host-strongroom=${id}`,
      `__host-strongroom=${id}`,
      `__Host-strongroom=${id}A`,
      `__Host-strongroom=${"A".repeat(42)}`,
      `__Host-strongroom="${id}"`,
      "__Host-strongroom=",
    ])
      assert.equal(idFromCookies(header), undefined, String(header));
  });
});
