import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FailureLimit } from "../../../../src/server/fisco/failure-limit.ts";
import { PeerList, peerAddress } from "../../../../src/server/fisco/peers.ts";

describe("the limit on failures", () => {
  it("is reached by failures of one peer and forgiven with time", () => {
    let nowMs = 0;
    const limit = new FailureLimit({ burst: 3, perSecond: 2, nowMs: () => nowMs });
    for (let index = 0; index < 3; index++) {
      assert.equal(limit.exhausted("10.0.0.1"), false);
      limit.countFailure("10.0.0.1");
    }
    assert.equal(limit.exhausted("10.0.0.1"), true);
    assert.equal(limit.exhausted("10.0.0.2"), false);
    nowMs = 499;
    assert.equal(limit.exhausted("10.0.0.1"), true);
    nowMs = 500;
    assert.equal(limit.exhausted("10.0.0.1"), false);
  });

  it("is not reset by a clock that goes back", () => {
    let nowMs = 1000;
    const limit = new FailureLimit({ burst: 1, perSecond: 1, nowMs: () => nowMs });
    limit.countFailure("a");
    nowMs = 0;
    assert.equal(limit.exhausted("a"), true);
  });

  it("counts an IPv6 network of 64 bits as one peer", () => {
    const limit = new FailureLimit({ burst: 1, perSecond: 0 });
    limit.countFailure("2001:db8:1:2::1");
    assert.equal(limit.exhausted("2001:db8:1:2:ffff::9"), true);
    assert.equal(limit.exhausted("2001:db8:1:3::1"), false);
  });

  it("remembers a bounded number of peers", () => {
    const limit = new FailureLimit({ maxPeers: 10 });
    for (let index = 0; index < 1000; index++) limit.countFailure(`10.0.${index >> 8}.${index & 255}`);
    assert.equal(limit.size, 10);
  });
});

describe("the list of allowed peers", () => {
  it("matches addresses and blocks of both families", () => {
    const peers = new PeerList(["10.1.0.0/16", "192.0.2.7", "fd00::/8"]);
    for (const address of ["10.1.2.3", "192.0.2.7", "fd12::1"]) assert.equal(peers.allows(address), true, address);
    for (const address of ["10.2.0.1", "192.0.2.8", "fe80::1", "127.0.0.1", "::1", "unknown", ""])
      assert.equal(peers.allows(address), false, address);
  });

  it("sees an IPv4 peer on an IPv6 socket as IPv4", () => {
    assert.equal(peerAddress("::ffff:10.1.2.3"), "10.1.2.3");
    assert.equal(peerAddress("fe80::1%eth0"), "fe80::1");
    assert.equal(peerAddress(undefined), "unknown");
  });
});
